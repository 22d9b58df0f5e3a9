-- The aggregator's whole state. Times are milliseconds since 1970; hashes are SHA-256 in hexadecimal;
-- vectors are little-endian f32. Nothing here is particular to one database: BLOB is the one type whose name
-- differs elsewhere (BYTEA in PostgreSQL).

-- One training task. `version` grows with every change that a RoundView can show.
CREATE TABLE federation (
    id               TEXT    NOT NULL PRIMARY KEY,
    task             TEXT    NOT NULL,
    task_hash        TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    description      TEXT    NOT NULL,
    model_origin     TEXT    NOT NULL,
    dim              BIGINT  NOT NULL,
    steps            BIGINT  NOT NULL,
    status           TEXT    NOT NULL,
    step             BIGINT  NOT NULL,
    version          BIGINT  NOT NULL,
    theta_hash       TEXT    NOT NULL,
    participants     BIGINT  NOT NULL,
    created_at       BIGINT  NOT NULL
);

-- θ and the server optimiser's moments, apart from `federation` because few statements need them.
CREATE TABLE model (
    federation       TEXT    NOT NULL PRIMARY KEY REFERENCES federation (id),
    theta            BLOB    NOT NULL,
    moment1          BLOB    NOT NULL,
    moment2          BLOB    NOT NULL,
    updates          BIGINT  NOT NULL
);

-- The current round of each federation: the state of the round machine.
CREATE TABLE round (
    federation       TEXT    NOT NULL PRIMARY KEY REFERENCES federation (id),
    number           BIGINT  NOT NULL,
    phase            TEXT    NOT NULL,
    since            BIGINT,
    enrolled         BIGINT  NOT NULL,
    cohort           BIGINT  NOT NULL,
    delivered        BIGINT  NOT NULL,
    gone             BIGINT  NOT NULL
);

-- Finished rounds, as the API shows them (JSON).
CREATE TABLE round_record (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    number           BIGINT  NOT NULL,
    body             TEXT    NOT NULL,
    PRIMARY KEY (federation, number)
);

-- Only hashes of secrets are kept.
CREATE TABLE invite (
    hash             TEXT    NOT NULL PRIMARY KEY,
    federation       TEXT    NOT NULL REFERENCES federation (id),
    created_at       BIGINT  NOT NULL
);

-- `lease_until` is 0 once somebody has left for good; their token is void from then on.
CREATE TABLE participant (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    number           BIGINT  NOT NULL,
    token_hash       TEXT    NOT NULL UNIQUE,
    joined_at        BIGINT  NOT NULL,
    lease_until      BIGINT  NOT NULL,
    departed         BIGINT  NOT NULL,
    PRIMARY KEY (federation, number)
);
CREATE INDEX participant_lease ON participant (federation, lease_until);

-- Where each participant is in a round; without a row, idle. `gone` is a member of the cohort whose lease ran
-- out or who left. Rows of the last few rounds stay, so that an update that comes again is known as such.
CREATE TABLE standing (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    round            BIGINT  NOT NULL,
    participant      BIGINT  NOT NULL,
    standing         TEXT    NOT NULL,
    PRIMARY KEY (federation, round, participant)
);

-- Updates of the current round; deleted in the transaction that sums them. The key is what makes it
-- impossible to count one twice.
CREATE TABLE contribution (
    federation       TEXT    NOT NULL REFERENCES federation (id),
    round            BIGINT  NOT NULL,
    participant      BIGINT  NOT NULL,
    examples         BIGINT  NOT NULL,
    delta            BLOB    NOT NULL,
    metrics          TEXT    NOT NULL,
    bytes            BIGINT  NOT NULL,
    PRIMARY KEY (federation, round, participant)
);

-- Who drives the timers. Any process may; the lease only saves the others the work.
CREATE TABLE lease (
    name             TEXT    NOT NULL PRIMARY KEY,
    holder           TEXT    NOT NULL,
    until            BIGINT  NOT NULL
);
