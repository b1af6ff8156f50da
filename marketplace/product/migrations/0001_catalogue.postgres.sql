CREATE TABLE products (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT NOT NULL,
    sort_name TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    price BIGINT NOT NULL CHECK (price >= 0),
    currency TEXT NOT NULL,
    image_url TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    search TSVECTOR
);

CREATE INDEX products_by_name ON products (sort_name, id);

CREATE INDEX products_by_price ON products (price, id);

CREATE INDEX products_by_time ON products (created_at, id);

CREATE INDEX products_by_category ON products (category, sort_name, id);

CREATE INDEX products_by_word ON products USING GIN (search);
