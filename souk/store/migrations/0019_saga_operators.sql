-- `paused_at`: since when an operator has kept the run from being driven; 0 for a run that is not paused.
-- `asked`: what an operator asked of the run that the next owner is to do first, as JSON; empty for nothing.
ALTER TABLE souk_saga_run ADD COLUMN paused_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE souk_saga_run ADD COLUMN asked TEXT NOT NULL DEFAULT '';

-- What operators did with a run, and why. Rows are only added; `number` counts from 1 in a run.
CREATE TABLE souk_saga_action (
    subject  TEXT   NOT NULL,
    saga     TEXT   NOT NULL,
    attempt  BIGINT NOT NULL,
    number   BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    action   TEXT   NOT NULL,
    step     TEXT   NOT NULL,
    operator TEXT   NOT NULL,
    why      TEXT   NOT NULL,
    PRIMARY KEY (subject, saga, attempt, number)
);
