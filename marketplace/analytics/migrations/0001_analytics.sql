-- The generations of figures: the one that is read, and one that is being built beside it.
CREATE TABLE generations (
    generation BIGINT PRIMARY KEY,
    is_live BOOLEAN NOT NULL
);
INSERT INTO generations (generation, is_live) VALUES (1, TRUE);

-- Each fact that was counted, once. `number` is the sum that a refund makes, else 0; `amount` is what an order that was
-- confirmed costs, or a refund gave back, else 0.
CREATE TABLE facts (
    generation BIGINT NOT NULL,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    time BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (generation, order_id, kind, number)
);
CREATE INDEX facts_by_time ON facts (generation, time);

-- What the facts add up to. A figure is the sum of its slots. A sum that does not fit is refused, never rounded.
CREATE TABLE figures (
    generation BIGINT NOT NULL,
    measure TEXT NOT NULL,
    day TEXT NOT NULL,
    currency TEXT NOT NULL,
    subject TEXT NOT NULL,
    slot BIGINT NOT NULL,
    count BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount <= 9223372036854775807),
    PRIMARY KEY (generation, measure, day, currency, subject, slot)
);
