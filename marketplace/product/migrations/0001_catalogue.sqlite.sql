-- `number` is what the full-text index refers to: VACUUM may move an implicit rowid.
CREATE TABLE products (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    price BIGINT NOT NULL CHECK (price >= 0),
    currency TEXT NOT NULL,
    image_url TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX products_by_name ON products (sort_name, id);

CREATE INDEX products_by_price ON products (price, id);

CREATE INDEX products_by_time ON products (created_at, id);

CREATE INDEX products_by_category ON products (category, sort_name, id);

CREATE VIRTUAL TABLE product_search USING fts5 (name, category, description, tokenize = 'unicode61');
