-- The words of the catalogue by their trigrams, for typing mistakes: `marketplace.product.store.vocabulary`.
CREATE TABLE product_trigrams (
    trigram TEXT COLLATE "C" NOT NULL,
    word TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (trigram, word)
);

INSERT INTO product_trigrams (trigram, word)
SELECT DISTINCT substr('  ' || word || ' ', at, 3), word
FROM ts_stat('SELECT search FROM products'), generate_series(1, length(word) + 1) AS at;
