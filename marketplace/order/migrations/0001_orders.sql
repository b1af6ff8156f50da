-- The read model: one row an order, as everybody sees it. `souk rebuild orders` makes it anew from the event log.
CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX orders_by_user ON orders (user_id, created_at DESC, id DESC);

-- Which idempotency key an order was placed under.
CREATE TABLE order_key (
    order_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    key TEXT NOT NULL
);

-- Where the parcel goes: personal data, erasable, never in an event.
CREATE TABLE order_address (
    order_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX order_address_by_user ON order_address (user_id);
