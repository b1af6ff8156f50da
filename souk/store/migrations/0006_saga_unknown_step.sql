-- `unknown_step`: the lease is over, and the program that looked last does not know this step, or the saga. It
-- leaves the run alone, for the version that does; empty for every other run.
ALTER TABLE souk_saga_run ADD COLUMN unknown_step TEXT NOT NULL DEFAULT '';
