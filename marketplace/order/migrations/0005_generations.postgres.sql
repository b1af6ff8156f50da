-- The read model may be kept twice, while it is rebuilt: a row belongs to a generation. `version` is the order's version
-- that a row shows; 0 is older than any.
ALTER TABLE orders ADD COLUMN generation BIGINT NOT NULL DEFAULT 1, ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE orders DROP CONSTRAINT orders_pkey;
ALTER TABLE orders ADD PRIMARY KEY (id, generation);
INSERT INTO souk_generation (projection, generation, is_live) VALUES ('read-model', 1, TRUE);
