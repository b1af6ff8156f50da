-- The indices of a search engine that have had every change since they were begun.
CREATE TABLE followed_indices (
    name TEXT PRIMARY KEY
);
