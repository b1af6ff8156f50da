-- Per product, received = available + reserved + sold, always: no code can break it unseen.
CREATE TABLE stock (
    product_id TEXT PRIMARY KEY,
    received BIGINT NOT NULL,
    available BIGINT NOT NULL CHECK (available >= 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    sold BIGINT NOT NULL CHECK (sold >= 0),
    CHECK (received = available + reserved + sold)
);

-- A key is kept for ever. One that was released before it was ever reserved has no order and no items.
CREATE TABLE reservations (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    items TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'released', 'expired', 'committed', 'returned')),
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX reservations_lapsing ON reservations (expires_at) WHERE state = 'reserved';

-- The record of changes by hand, and what makes their repeats harmless.
CREATE TABLE adjustments (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    product_id TEXT NOT NULL,
    delta BIGINT NOT NULL CHECK (delta <> 0),
    reason TEXT NOT NULL,
    available BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (caller, key)
);
