-- Keys, references and indexes, made when the tables are full: several times quicker than row by row.

ALTER TABLE customers ADD PRIMARY KEY (id), ADD UNIQUE (email);
ALTER TABLE products ADD PRIMARY KEY (id), ADD UNIQUE (sku);
ALTER TABLE orders ADD PRIMARY KEY (id), ADD UNIQUE (reference);
ALTER TABLE order_items ADD PRIMARY KEY (order_id, position);
ALTER TABLE payments ADD PRIMARY KEY (id), ADD UNIQUE (order_id, attempt);
ALTER TABLE schema_versions ADD PRIMARY KEY (id), ADD UNIQUE (source, version);
ALTER TABLE ingestions ADD PRIMARY KEY (id), ADD UNIQUE (source, scheduled_at);
ALTER TABLE runs ADD PRIMARY KEY (id), ADD UNIQUE (ingestion_id, attempt);
ALTER TABLE processed_files ADD PRIMARY KEY (id), ADD UNIQUE (bucket, object_key);

ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;
ALTER TABLE order_items ADD FOREIGN KEY (order_id) REFERENCES orders, ADD FOREIGN KEY (product_id) REFERENCES products;
ALTER TABLE payments ADD FOREIGN KEY (order_id) REFERENCES orders;
ALTER TABLE runs ADD FOREIGN KEY (ingestion_id) REFERENCES ingestions, ADD FOREIGN KEY (retry_of) REFERENCES runs;
ALTER TABLE processed_files ADD FOREIGN KEY (run_id) REFERENCES runs,
    ADD FOREIGN KEY (source, schema_version) REFERENCES schema_versions (source, version);

CREATE INDEX products_category ON products (category) WHERE active;
CREATE INDEX orders_customer ON orders (customer_id, placed_at);
CREATE INDEX orders_under_way ON orders (placed_at) WHERE status IN ('placed', 'paid', 'shipped');
CREATE INDEX order_items_product ON order_items (product_id);
CREATE INDEX ingestions_open ON ingestions (scheduled_at) WHERE status IN ('pending', 'running', 'retried');
CREATE INDEX processed_files_checksum ON processed_files (checksum);
