-- The definition that a run began with. Runs from before are of version 1, and have no fingerprint.
ALTER TABLE souk_saga_run ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE souk_saga_run ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';

-- The definitions that were in use; `steps` has a line for each step, of which `fingerprint` is a digest.
CREATE TABLE souk_saga_definition (
    saga        TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    fingerprint TEXT   NOT NULL,
    steps       TEXT   NOT NULL,
    first_at    BIGINT NOT NULL,
    PRIMARY KEY (saga, version, fingerprint)
);
