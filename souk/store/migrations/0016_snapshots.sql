-- The state of long streams of the event store at one of their versions, as the code of version `fold` folds them.
CREATE TABLE souk_snapshot (
    stream TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    fold BIGINT NOT NULL,
    state BYTEA NOT NULL
);
