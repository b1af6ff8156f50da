-- Each charge that belonged to no order, once. It is open until it is given back, or no longer stands in Payment's book.
CREATE TABLE lost_charges (
    payment_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    is_open BOOLEAN NOT NULL
);
CREATE INDEX lost_charges_open ON lost_charges (payment_id) WHERE is_open;
