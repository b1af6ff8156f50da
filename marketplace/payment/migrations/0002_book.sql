-- Which bank's book these charges are in. In another book their keys are unknown, and a cancelled
-- charge would pass for one that never was.
CREATE TABLE provider_book (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    book TEXT NOT NULL
);
