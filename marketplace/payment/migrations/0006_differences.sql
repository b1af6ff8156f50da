-- Each difference between the provider's record and the book, once, under the provider's key of the charge. It is open
-- until it is corrected, or no longer found; `seen_at` is when it was last found.
CREATE TABLE differences (
    charge_key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    is_open BOOLEAN NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX differences_open ON differences (seen_at) WHERE is_open;
