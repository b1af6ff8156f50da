-- One row for each key that a caller has used, kept as long as what it created.
CREATE TABLE souk_idempotency (
    caller          TEXT NOT NULL,
    method          TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint     TEXT NOT NULL,
    subject         TEXT NOT NULL,
    reply           BYTEA,
    status          BYTEA,
    created_at      BIGINT NOT NULL,
    finished_at     BIGINT,
    PRIMARY KEY (caller, method, idempotency_key)
);

-- Immutable events, appended to a stream with an expected version. `position` is their order over all streams.
CREATE TABLE souk_event_store (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream   TEXT NOT NULL,
    version  BIGINT NOT NULL,
    type     TEXT NOT NULL,
    payload  BYTEA NOT NULL,
    metadata TEXT NOT NULL,
    time     BIGINT NOT NULL,
    UNIQUE (stream, version)
);
