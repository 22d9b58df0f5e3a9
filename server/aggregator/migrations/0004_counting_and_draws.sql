-- The counting round is concluded: the mapping is learnt. How long the held-out loss has not improved, for
-- `federation.patience`: the least mean loss so far, and the rounds since then.
ALTER TABLE federation ADD COLUMN counted        BIGINT           NOT NULL DEFAULT 0;
ALTER TABLE federation ADD COLUMN least_loss     DOUBLE PRECISION;
ALTER TABLE federation ADD COLUMN patience_spent BIGINT           NOT NULL DEFAULT 0;

-- What the draw of those who train follows from, and whether somebody who was not drawn waits (`federation.active`).
ALTER TABLE round ADD COLUMN registered BIGINT NOT NULL DEFAULT 0;
ALTER TABLE round ADD COLUMN attempt    BIGINT NOT NULL DEFAULT 0;
ALTER TABLE round ADD COLUMN waiting    BIGINT NOT NULL DEFAULT 0;
