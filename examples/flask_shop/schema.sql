CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE product (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    description TEXT NOT NULL,
    cents INTEGER NOT NULL,
    stock INTEGER NOT NULL CHECK (stock >= 0),
    hue INTEGER NOT NULL,
    picture TEXT
);

CREATE TABLE purchase (
    id INTEGER PRIMARY KEY,
    placed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    customer TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT NOT NULL
);

CREATE TABLE purchase_line (
    purchase_id INTEGER NOT NULL REFERENCES purchase (id),
    product_id INTEGER NOT NULL REFERENCES product (id),
    quantity INTEGER NOT NULL,
    cents INTEGER NOT NULL,
    PRIMARY KEY (purchase_id, product_id)
);

-- Every worker process signs sessions with the same key, also after a restart.
INSERT INTO setting VALUES ('secret_key', lower(hex(randomblob(32))));

INSERT INTO product (id, name, origin, description, cents, stock, hue) VALUES
    (1, 'Assam Gold', 'India', 'Malty and round, with golden tips. Takes milk well.', 890, 120, 24),
    (2, 'Sencha Uji', 'Japan', 'First harvest, steamed: green, sweet, a little like the sea.', 1450, 60, 110),
    (3, 'Dong Ding', 'Taiwan', 'A roasted oolong that tastes different with each infusion.', 1790, 45, 70),
    (4, 'Earl Grey', 'Sri Lanka', 'Black tea with oil of real bergamot, and nothing else.', 750, 200, 215),
    (5, 'Rooibos', 'South Africa', 'Red, mild and free of caffeine: for the evening.', 620, 180, 8),
    (6, 'Peppermint', 'England', 'Whole leaves, cut by hand, dried slowly.', 540, 150, 160);

-- The trade of past years, so that the books have something to show.
WITH RECURSIVE past (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM past WHERE number < 5000)
INSERT INTO purchase (id, placed_at, customer, email, address)
SELECT
    number,
    datetime('2024-01-01 08:00:00', '+' || (number * 197) || ' minutes'),
    'Customer ' || number,
    'customer' || number || '@example.com',
    number || ' Harbour Road'
FROM past;

INSERT INTO purchase_line (purchase_id, product_id, quantity, cents)
SELECT purchase.id, product.id, 1 + purchase.id % 4, product.cents
FROM purchase JOIN product ON product.id = 1 + purchase.id % 6;

PRAGMA user_version = 1;
