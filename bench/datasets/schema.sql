CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id integer NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'paid', 'shipped', 'cancelled')),
    placed_at timestamptz NOT NULL,
    note text
);
CREATE TABLE order_items (
    order_id bigint NOT NULL REFERENCES orders (id),
    position integer NOT NULL,
    product_id integer NOT NULL,
    quantity integer NOT NULL,
    price numeric(12, 2) NOT NULL,
    PRIMARY KEY (order_id, position)
);
CREATE INDEX ON orders (customer_id);
