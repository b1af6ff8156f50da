-- `history` has a line for each change of the step: the time, the state, the tries, and why the last one failed. Steps
-- from before have none.
ALTER TABLE souk_saga_step ADD COLUMN history TEXT NOT NULL DEFAULT '';
