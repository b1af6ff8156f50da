-- How far the provider's record has been compared with this book. `position` is the last key of the record,
-- `ours` the last payment; the record is gone through from its first key again after each sweep.
CREATE TABLE reconciliation (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    position TEXT NOT NULL,
    ours TEXT NOT NULL,
    swept_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);
INSERT INTO reconciliation (only_one, position, ours, swept_at, due_at) VALUES (1, '', '', 0, 0);
