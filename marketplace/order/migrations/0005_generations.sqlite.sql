-- The read model may be kept twice, while it is rebuilt: a row belongs to a generation. `version` is the order's version
-- that a row shows; 0 is older than any.
CREATE TABLE orders_in_generations (
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    body BYTEA NOT NULL,
    generation BIGINT NOT NULL DEFAULT 1,
    version BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id, generation)
);
INSERT INTO orders_in_generations (id, user_id, status, created_at, body)
SELECT id, user_id, status, created_at, body FROM orders;
DROP TABLE orders;
ALTER TABLE orders_in_generations RENAME TO orders;
CREATE INDEX orders_by_user ON orders (user_id, created_at DESC, id DESC);
INSERT INTO souk_generation (projection, generation, is_live) VALUES ('read-model', 1, TRUE);
