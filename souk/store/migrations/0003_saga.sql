-- One run of a saga: an attempt for a subject. Times are microseconds of the database's clock.
-- `active`: somebody has to work on it; `parked`: some step waits for an operator; `ended`: neither.
-- `owner` drives it until `lease_until`; a write with another `epoch` than the row's is refused.
-- `revision` counts writes, so that a commit whose answer was lost is not repeated.
CREATE TABLE souk_saga_run (
    subject      TEXT    NOT NULL,
    saga         TEXT    NOT NULL,
    attempt      BIGINT  NOT NULL,
    phase        TEXT    NOT NULL,
    active       BOOLEAN NOT NULL,
    parked       BOOLEAN NOT NULL,
    ended        BOOLEAN NOT NULL,
    input        BYTEA   NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    traceparent  TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    epoch        BIGINT  NOT NULL,
    revision     BIGINT  NOT NULL DEFAULT 0,
    lease_until  BIGINT  NOT NULL,
    deadline_at  BIGINT  NOT NULL,
    started_at   BIGINT  NOT NULL,
    changed_at   BIGINT  NOT NULL,
    refused_step TEXT    NOT NULL DEFAULT '',
    reason       TEXT    NOT NULL DEFAULT '',
    detail       TEXT    NOT NULL DEFAULT '',
    status       BYTEA,
    sent         BOOLEAN NOT NULL DEFAULT TRUE,
    final        BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (subject, saga, attempt)
);
CREATE INDEX souk_saga_run_active ON souk_saga_run (lease_until) WHERE active;
CREATE INDEX souk_saga_run_open ON souk_saga_run (started_at) WHERE NOT ended;

-- One step of a run, from the moment it is registered: before its call is made. `tries` counts calls
-- that ended, of its undo once it goes back.
CREATE TABLE souk_saga_step (
    subject    TEXT   NOT NULL,
    saga       TEXT   NOT NULL,
    attempt    BIGINT NOT NULL,
    step       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    tries      BIGINT NOT NULL,
    result     BYTEA  NOT NULL,
    note       TEXT   NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (subject, saga, attempt, step)
);
