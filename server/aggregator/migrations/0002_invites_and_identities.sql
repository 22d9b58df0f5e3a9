-- Invites that end: by time, by number of uses, or because the organiser takes them back. `id` names one in
-- lists and addresses; those from before get one from their hash, which says nothing about the secret.
ALTER TABLE invite ADD COLUMN id         TEXT   NOT NULL DEFAULT '';
ALTER TABLE invite ADD COLUMN expires_at BIGINT;
ALTER TABLE invite ADD COLUMN uses       BIGINT;
ALTER TABLE invite ADD COLUMN used       BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invite ADD COLUMN revoked_at BIGINT;
UPDATE invite SET id = SUBSTR(hash, 1, 16);
CREATE UNIQUE INDEX invite_id ON invite (federation, id);

-- Who somebody is beyond their token: an Ed25519 public key in hexadecimal, and the hash of the invite that it
-- first joined with. Without a key, nobody can be told from a newcomer.
ALTER TABLE participant ADD COLUMN identity TEXT;
ALTER TABLE participant ADD COLUMN invite   TEXT;
CREATE UNIQUE INDEX participant_identity ON participant (federation, identity);
