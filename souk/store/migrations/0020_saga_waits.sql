-- `waiting_since`: since when the run waits for a message or for a time, `wait_until`: how long at most; 0 for a run that
-- does not. Nobody drives such a run: it has no owner, and `lease_until` is when it is looked at next.
ALTER TABLE souk_saga_run ADD COLUMN waiting_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE souk_saga_run ADD COLUMN wait_until BIGINT NOT NULL DEFAULT 0;

-- The messages that a run expects, from its start. `message_id` is the one that it has; empty until one came.
CREATE TABLE souk_saga_wait (
    subject    TEXT   NOT NULL,
    saga       TEXT   NOT NULL,
    attempt    BIGINT NOT NULL,
    step       TEXT   NOT NULL,
    message    TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    message_id TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (subject, saga, attempt, step)
);
CREATE INDEX souk_saga_wait_key ON souk_saga_wait (message, key);

-- The messages that came, each once by its id. `fate`: kept, taken or late; the run is that which took it, or for which
-- it was too late, and empty for a message that is kept.
CREATE TABLE souk_saga_message (
    message     TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    key         TEXT   NOT NULL,
    body        BYTEA  NOT NULL,
    traceparent TEXT   NOT NULL,
    fate        TEXT   NOT NULL,
    received_at BIGINT NOT NULL,
    subject     TEXT   NOT NULL DEFAULT '',
    saga        TEXT   NOT NULL DEFAULT '',
    attempt     BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (message, id)
);
CREATE INDEX souk_saga_message_kept ON souk_saga_message (message, key) WHERE fate = 'kept';
CREATE INDEX souk_saga_message_subject ON souk_saga_message (subject, saga, attempt);
CREATE INDEX souk_saga_message_old ON souk_saga_message (received_at) WHERE fate <> 'taken';
