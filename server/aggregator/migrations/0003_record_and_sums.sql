-- The federation's record: one line of JSON for its beginning and one for every round that ended. Lines are only
-- ever added; everybody may read them, and every θ follows from them.
CREATE TABLE line (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    number           BIGINT  NOT NULL,
    body             TEXT    NOT NULL,
    PRIMARY KEY (federation, number)
);

-- Where the record stands: how many lines, and the hash of the last. `rho` is what all rounds so far have cost a
-- participant (zCDP), `epsilon` the same as the record tells it; nothing without noise. The rest is what lists show
-- of the task.
ALTER TABLE federation ADD COLUMN lines         BIGINT           NOT NULL DEFAULT 0;
ALTER TABLE federation ADD COLUMN record        TEXT             NOT NULL
    DEFAULT '0000000000000000000000000000000000000000000000000000000000000000';
ALTER TABLE federation ADD COLUMN rho           DOUBLE PRECISION NOT NULL DEFAULT 0.0;
ALTER TABLE federation ADD COLUMN epsilon       DOUBLE PRECISION;
ALTER TABLE federation ADD COLUMN epsilon_limit DOUBLE PRECISION;
ALTER TABLE federation ADD COLUMN delta         DOUBLE PRECISION;
ALTER TABLE federation ADD COLUMN secure        BIGINT           NOT NULL DEFAULT 0;

-- |U1|, once round keys are published.
ALTER TABLE round ADD COLUMN members BIGINT NOT NULL DEFAULT 0;

-- Messages of the current round's secure sum, as they came; deleted in the transaction that ends the round.
CREATE TABLE message (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    round            BIGINT  NOT NULL,
    phase            TEXT    NOT NULL,
    participant      BIGINT  NOT NULL,
    body             BLOB    NOT NULL,
    PRIMARY KEY (federation, round, phase, participant)
);

-- Public keys of the current round's roster: none may be there twice.
CREATE TABLE round_key (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    public           TEXT    NOT NULL,
    PRIMARY KEY (federation, public)
);

-- What was frozen when a phase of the current round began: the roster for `shares`, who dealt shares for `masked`,
-- the survivors for `unmask`. What participants ask for is kept as they get it.
CREATE TABLE frozen (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    phase            TEXT    NOT NULL,
    body             BLOB    NOT NULL,
    PRIMARY KEY (federation, phase)
);

-- The shares that were dealt to each participant in the current round, as they get them.
CREATE TABLE inbox (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    participant      BIGINT  NOT NULL,
    body             BLOB    NOT NULL,
    PRIMARY KEY (federation, participant)
);
