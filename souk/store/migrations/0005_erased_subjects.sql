-- Users whose data was erased: nothing of theirs is kept from then on, though their tokens may still be valid.
CREATE TABLE souk_erased_subjects (
    subject   TEXT PRIMARY KEY,
    erased_at BIGINT NOT NULL
);
