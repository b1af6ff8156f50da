-- The platform remembers for every service alike who was erased.
INSERT INTO souk_erased_subjects (subject, erased_at) SELECT user_id, 0 FROM erased_buyer WHERE TRUE
ON CONFLICT (subject) DO NOTHING;
DROP TABLE erased_buyer;
