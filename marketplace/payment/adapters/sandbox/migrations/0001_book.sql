-- Keys are kept for ever. A slow charge settles later: until then it can still be voided.
CREATE TABLE charges (
    key TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    refunded BIGINT NOT NULL CHECK (refunded >= 0 AND refunded <= amount),
    settles_at BIGINT NOT NULL
);
CREATE TABLE refunds (
    key TEXT PRIMARY KEY,
    charge_key TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0)
);
