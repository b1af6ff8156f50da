-- Where the handler failed: a digest of the kind of the error and of our lines that it passed, and the last of these.
ALTER TABLE souk_outbox_delivery ADD COLUMN digest TEXT NOT NULL DEFAULT '';
ALTER TABLE souk_outbox_delivery ADD COLUMN location TEXT NOT NULL DEFAULT '';
