-- A consumer may hold the later events of a key back behind a parked one: this finds the parked ones.
DROP INDEX souk_outbox_delivery_parked;
CREATE INDEX souk_outbox_delivery_parked ON souk_outbox_delivery (consumer, partition, seq) WHERE state = 'parked';
