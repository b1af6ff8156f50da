-- `history` has a line for each change of the status, or when the charge is cancelled: the time, and both. Payments from
-- before have none.
ALTER TABLE payments ADD COLUMN history TEXT NOT NULL DEFAULT '';
