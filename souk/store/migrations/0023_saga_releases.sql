-- Which release of each service a run has met, as `service=version` with commas in between; empty for none.
ALTER TABLE souk_saga_run ADD COLUMN releases TEXT NOT NULL DEFAULT '';
