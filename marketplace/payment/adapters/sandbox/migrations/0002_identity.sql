-- Names the book, for those whose charges are in it.
CREATE TABLE identity (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    book TEXT NOT NULL
);
