-- The platform keeps the generations of every projection.
INSERT INTO souk_generation (projection, generation, is_live) SELECT 'figures', generation, is_live FROM generations;
DROP TABLE generations;
