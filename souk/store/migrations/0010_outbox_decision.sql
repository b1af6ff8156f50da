-- What operators decided about parked events: who, when and why. `decision` is replayed or discarded.
CREATE TABLE souk_outbox_decision (
    event_id   TEXT NOT NULL,
    consumer   TEXT NOT NULL,
    decision   TEXT NOT NULL,
    decided_by TEXT NOT NULL,
    why        TEXT NOT NULL,
    decided_at BIGINT NOT NULL
);
CREATE INDEX souk_outbox_decision_event ON souk_outbox_decision (event_id);
