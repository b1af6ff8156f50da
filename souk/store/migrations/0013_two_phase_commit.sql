-- The coordinator's record of one run of a two-phase commit. Times are microseconds of the database's clock.
-- Presumed abort: only the phases `committing` and `committed` mean that it commits. `owner` drives it until
-- `lease_until`; a run without a decision whose lease is over is aborted by whoever takes it over.
CREATE TABLE souk_two_phase_run (
    key          TEXT    PRIMARY KEY,
    name         TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    attempt      BIGINT  NOT NULL,
    phase        TEXT    NOT NULL,
    ended        BOOLEAN NOT NULL,
    input        BYTEA   NOT NULL,
    on_behalf_of TEXT    NOT NULL,
    traceparent  TEXT    NOT NULL,
    owner        TEXT    NOT NULL,
    lease_until  BIGINT  NOT NULL,
    started_at   BIGINT  NOT NULL,
    changed_at   BIGINT  NOT NULL,
    refused_step TEXT    NOT NULL DEFAULT '',
    reason       TEXT    NOT NULL DEFAULT '',
    detail       TEXT    NOT NULL DEFAULT '',
    status       BYTEA,
    sent         BOOLEAN NOT NULL DEFAULT TRUE,
    final        BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX souk_two_phase_run_open ON souk_two_phase_run (lease_until) WHERE NOT ended;
CREATE INDEX souk_two_phase_run_subject ON souk_two_phase_run (subject) WHERE NOT ended;

-- A participant's branches that have ended, by the key of their run, for ever: a repeat is harmless, and a prepare that
-- arrives after the roll-back is refused. The row `committed` is written inside the prepared transaction, so it is
-- there for others from its commit on.
CREATE TABLE souk_two_phase_branch (
    key   TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('committed', 'rolled back'))
);
