-- What a reader wants of mails: their language, and none about the way of orders.
ALTER TABLE users ADD COLUMN locale TEXT NOT NULL DEFAULT 'en';

ALTER TABLE users ADD COLUMN unsubscribed BOOLEAN NOT NULL DEFAULT FALSE;
