-- `forgotten`: the run ended long ago, and its input and the results of its steps were dropped.
ALTER TABLE souk_saga_run ADD COLUMN forgotten BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX souk_saga_run_remembered ON souk_saga_run (changed_at) WHERE ended AND NOT forgotten;
