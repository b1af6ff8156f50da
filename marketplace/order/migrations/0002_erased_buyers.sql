-- Whose addresses were erased: an order that was checked just before keeps none either.
CREATE TABLE erased_buyer (
    user_id TEXT PRIMARY KEY
);
