-- In which order a user has forgotten cards, so that the last ones alone are kept. 0: not forgotten, or before this.
ALTER TABLE cards ADD COLUMN forgotten_at BIGINT NOT NULL DEFAULT 0;
