-- Personal data: every row here goes when its user is erased.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE addresses (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    line1 TEXT NOT NULL,
    line2 TEXT,
    city TEXT NOT NULL,
    region TEXT,
    postal_code TEXT NOT NULL,
    country TEXT NOT NULL,
    phone TEXT,
    created_at BIGINT NOT NULL
);

CREATE INDEX addresses_by_user ON addresses (user_id, created_at, id);

-- Only digests of tokens are kept; `family_key` makes a successor out of its token.
CREATE TABLE refresh_families (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    family_key BYTEA NOT NULL,
    current_digest BYTEA NOT NULL,
    previous_digest BYTEA,
    rotated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX refresh_families_by_user ON refresh_families (user_id);

CREATE INDEX refresh_families_by_end ON refresh_families (expires_at);

-- `account` is a digest of the email that was typed, whether or not there is such an account.
CREATE TABLE login_failures (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE INDEX login_failures_by_account ON login_failures (account, at);

CREATE INDEX login_failures_by_time ON login_failures (at);

CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    private_jwk TEXT NOT NULL,
    signs_from BIGINT NOT NULL
);
