-- How far each follower of the event store is: every event up to this position was handled, once.
CREATE TABLE souk_position (
    follower TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);
