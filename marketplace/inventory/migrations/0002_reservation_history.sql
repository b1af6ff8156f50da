-- `history` has a line for each change of the state: the time, and the state. Reservations from before have none.
ALTER TABLE reservations ADD COLUMN history TEXT NOT NULL DEFAULT '';
