-- Charges, each with the intent that was recorded before anybody was asked for money. `source` is
-- "wallet", "card/<saved card>", or "token/<digest>" of a top-up; `promised` is what was given back
-- and what is about to be. A row is due for recovery at `next_try_at`.
CREATE TABLE payments (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    purpose TEXT NOT NULL CHECK (purpose IN ('order', 'top-up')),
    order_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    source TEXT NOT NULL,
    method TEXT NOT NULL,
    status TEXT NOT NULL,
    cancelled BOOLEAN NOT NULL,
    decline_reason TEXT NOT NULL,
    refunded BIGINT NOT NULL,
    promised BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    next_try_at BIGINT,
    tries BIGINT NOT NULL,
    CHECK (0 <= refunded AND refunded <= promised AND promised <= amount)
);
CREATE INDEX payments_of_user ON payments (user_id, id);
CREATE INDEX payments_due ON payments (next_try_at) WHERE next_try_at IS NOT NULL;

-- What was or will be given back; the provider knows a refund by its id.
CREATE TABLE refunds (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    payment_id TEXT NOT NULL REFERENCES payments (id),
    amount BIGINT NOT NULL CHECK (amount >= 0),
    reason TEXT NOT NULL,
    undo BOOLEAN NOT NULL,
    done BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    next_try_at BIGINT,
    tries BIGINT NOT NULL
);
CREATE INDEX refunds_of_payment ON refunds (payment_id);
CREATE INDEX refunds_due ON refunds (next_try_at) WHERE next_try_at IS NOT NULL;

-- The double-entry ledger: only ever added to. The postings of a transaction sum to zero.
CREATE TABLE postings (
    transaction_id TEXT NOT NULL,
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount <> 0),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (transaction_id, account)
);

-- The sum of each wallet's postings, to be spent by one conditional update. `used` means that it has
-- postings, and its currency stays.
CREATE TABLE wallets (
    user_id TEXT PRIMARY KEY,
    currency TEXT NOT NULL,
    balance BIGINT NOT NULL CHECK (balance >= 0),
    used BOOLEAN NOT NULL
);

-- Cards by the provider's token, never by their number. A forgotten one can still be charged for an
-- order that chose it before.
CREATE TABLE cards (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    token TEXT NOT NULL,
    brand TEXT NOT NULL,
    last4 TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    forgotten BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX cards_of_user ON cards (user_id, id);
CREATE UNIQUE INDEX cards_default ON cards (user_id) WHERE is_default AND NOT forgotten;
