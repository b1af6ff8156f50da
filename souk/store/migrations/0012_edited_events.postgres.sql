-- An operator may edit a parked event for a consumer: it gets this payload, and the event stays as it was published. A
-- decision "edited" keeps the payload that the consumer had before.
ALTER TABLE souk_outbox_delivery ADD COLUMN payload BYTEA;
ALTER TABLE souk_outbox_decision ADD COLUMN payload_before BYTEA;
