-- The words of the catalogue by their trigrams, for typing mistakes: `marketplace.product.store.vocabulary`.
CREATE TABLE product_trigrams (
    trigram TEXT NOT NULL,
    word TEXT NOT NULL,
    PRIMARY KEY (trigram, word)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE product_terms USING fts5vocab (product_search, 'row');

WITH RECURSIVE padded (word, text, at) AS (
    SELECT term, '  ' || term || ' ', 1 FROM product_terms
    UNION ALL
    SELECT word, text, at + 1 FROM padded WHERE at + 3 <= length(text)
)
INSERT INTO product_trigrams (trigram, word) SELECT substr(text, at, 3), word FROM padded WHERE TRUE
ON CONFLICT DO NOTHING;

DROP TABLE product_terms;
