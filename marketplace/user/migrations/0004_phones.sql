-- The number for text messages, or an empty text.
ALTER TABLE users ADD COLUMN phone TEXT NOT NULL DEFAULT '';
