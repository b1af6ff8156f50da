-- Keys by which programs call in their owner's name. Of a key itself only the digest (SHA-256) is kept.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT
);

CREATE INDEX api_keys_by_user ON api_keys (user_id, created_at, id);

CREATE INDEX api_keys_by_end ON api_keys (expires_at);
