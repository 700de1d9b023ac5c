-- The orders table, as the Order API creates it.
CREATE TABLE IF NOT EXISTS orders (
    id         serial      PRIMARY KEY,
    product_id int         NOT NULL,
    quantity   int         NOT NULL,
    status     varchar(20) NOT NULL DEFAULT 'pending',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
