-- `sent` counts the tries that may have reached the participant; only they count towards the limit of tries.
ALTER TABLE souk_saga_step ADD COLUMN sent BIGINT NOT NULL DEFAULT 0;
