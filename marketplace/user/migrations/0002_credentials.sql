-- Wrong passwords, and asked for emails that are taken, of the last minutes. `account` and `address` are
-- digests under the service's secret; `user_id` is empty where there is no such account.
DROP TABLE login_failures;

CREATE TABLE login_failures (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    user_id TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE INDEX login_failures_by_account ON login_failures (account, at);

CREATE INDEX login_failures_by_address ON login_failures (address, at);

CREATE INDEX login_failures_by_time ON login_failures (at);

CREATE INDEX login_failures_by_user ON login_failures (user_id);

-- From where somebody logged in, as digests under the service's secret: failures of others do not lock them out there.
CREATE TABLE known_addresses (
    user_id TEXT NOT NULL,
    address TEXT NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, address)
);

CREATE INDEX known_addresses_by_time ON known_addresses (used_at);
