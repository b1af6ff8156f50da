-- Events, in the transaction that they belong to. `seq` is given when a row is written, not when it
-- commits, so rows may become visible out of order: nothing may remember "read up to seq n".
CREATE TABLE souk_outbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    type        TEXT NOT NULL,
    source      TEXT NOT NULL,
    key         TEXT NOT NULL,
    partition   BIGINT NOT NULL,
    time        BIGINT NOT NULL,
    payload     BLOB NOT NULL,
    traceparent TEXT NOT NULL,
    routed      BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX souk_outbox_unrouted ON souk_outbox (seq) WHERE NOT routed;

-- One row for each consumer of an event. `state` is pending, delivered or parked.
CREATE TABLE souk_outbox_delivery (
    seq        BIGINT NOT NULL,
    consumer   TEXT NOT NULL,
    partition  BIGINT NOT NULL,
    state      TEXT NOT NULL DEFAULT 'pending',
    failures   BIGINT NOT NULL DEFAULT 0,
    reason     TEXT NOT NULL DEFAULT '',
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (seq, consumer)
);
CREATE INDEX souk_outbox_delivery_pending ON souk_outbox_delivery (consumer, seq) WHERE state = 'pending';
CREATE INDEX souk_outbox_delivery_parked ON souk_outbox_delivery (seq) WHERE state = 'parked';

-- Who relays a partition, until when (database's clock, microseconds), and the fencing epoch.
CREATE TABLE souk_outbox_lease (
    partition BIGINT PRIMARY KEY,
    owner     TEXT NOT NULL,
    epoch     BIGINT NOT NULL,
    until     BIGINT NOT NULL
);

-- Relays that are alive, so that they share the partitions evenly.
CREATE TABLE souk_outbox_relay (
    owner TEXT PRIMARY KEY,
    until BIGINT NOT NULL
);

-- Events that a consumer of this database has handled.
CREATE TABLE souk_inbox (
    consumer   TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    handled_at BIGINT NOT NULL,
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX souk_inbox_handled_at ON souk_inbox (handled_at);
