-- Branches of decided runs that their participant refuses to end. While a run has one it waits for an operator, and
-- nobody drives it. `since` is in microseconds of the database's clock.
CREATE TABLE souk_two_phase_parked (
    key    TEXT   NOT NULL,
    branch TEXT   NOT NULL,
    reason TEXT   NOT NULL,
    tries  BIGINT NOT NULL,
    since  BIGINT NOT NULL,
    PRIMARY KEY (key, branch)
);
