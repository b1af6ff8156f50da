-- Keys of refused requests that created nothing are kept for a day, and of each caller the newest 1,000.
CREATE INDEX souk_idempotency_refused ON souk_idempotency (created_at) WHERE subject = '' AND status IS NOT NULL;
CREATE INDEX souk_idempotency_refused_of ON souk_idempotency (caller, created_at)
WHERE subject = '' AND status IS NOT NULL;
