-- The tables of the two worlds. Keys, references and indexes come when they are full: constraints.sql.

CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'refunded');
CREATE TYPE run_status AS ENUM ('pending', 'running', 'succeeded', 'failed', 'retried');

-- The shop.

CREATE TABLE customers (
    id          bigint      NOT NULL,
    first_name  text        NOT NULL,
    last_name   text        NOT NULL,
    email       text        NOT NULL,
    phone       text,
    street      text        NOT NULL,
    postcode    varchar(10) NOT NULL,
    city        text        NOT NULL,
    country     char(2)     NOT NULL,
    tier        text        NOT NULL CHECK (tier IN ('basic', 'silver', 'gold', 'platinum')),
    birthday    date,
    newsletter  boolean     NOT NULL DEFAULT false,
    preferences jsonb       NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE products (
    id         integer        NOT NULL,
    sku        text           NOT NULL,
    name       text           NOT NULL,
    category   text           NOT NULL,
    price      numeric(10, 2) NOT NULL CHECK (price > 0),
    cost       numeric(10, 2) NOT NULL CHECK (cost >= 0),
    stock      integer        NOT NULL CHECK (stock >= 0),
    active     boolean        NOT NULL DEFAULT true,
    attributes jsonb          NOT NULL DEFAULT '{}',
    created_at timestamptz    NOT NULL DEFAULT now(),
    updated_at timestamptz    NOT NULL DEFAULT now(),
    CHECK (cost < price),
    CHECK (updated_at >= created_at)
);

CREATE TABLE orders (
    id           bigint         NOT NULL,
    reference    text           NOT NULL,
    customer_id  bigint         NOT NULL,
    status       order_status   NOT NULL,
    currency     char(3)        NOT NULL,
    items_total  numeric(12, 2) NOT NULL CHECK (items_total > 0),
    shipping     numeric(8, 2)  NOT NULL CHECK (shipping >= 0),
    total        numeric(12, 2) NOT NULL,
    carrier      text,
    tracking     text,
    gift_note    text,
    trace_id     uuid           NOT NULL,
    placed_at    timestamptz    NOT NULL,
    paid_at      timestamptz,
    shipped_at   timestamptz,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    refunded_at  timestamptz,
    updated_at   timestamptz    NOT NULL,
    CHECK (total = items_total + shipping),
    CHECK (paid_at > placed_at),
    CHECK (shipped_at > paid_at),
    CHECK (delivered_at > shipped_at),
    CHECK (refunded_at > delivered_at),
    CHECK (cancelled_at > placed_at AND paid_at IS NULL OR cancelled_at IS NULL),
    CHECK ((status IN ('paid', 'shipped', 'delivered', 'refunded')) = (paid_at IS NOT NULL)),
    CHECK ((status IN ('shipped', 'delivered', 'refunded')) = (shipped_at IS NOT NULL)),
    CHECK ((status IN ('delivered', 'refunded')) = (delivered_at IS NOT NULL)),
    CHECK ((status = 'cancelled') = (cancelled_at IS NOT NULL)),
    CHECK ((status = 'refunded') = (refunded_at IS NOT NULL))
);

CREATE TABLE order_items (
    order_id   bigint         NOT NULL,
    position   smallint       NOT NULL CHECK (position > 0),
    product_id integer        NOT NULL,
    quantity   smallint       NOT NULL CHECK (quantity > 0),
    price      numeric(10, 2) NOT NULL,
    amount     numeric(12, 2) NOT NULL,
    CHECK (amount = price * quantity)
);

CREATE TABLE payments (
    id          bigint         NOT NULL,
    order_id    bigint         NOT NULL,
    attempt     smallint       NOT NULL CHECK (attempt > 0),
    status      text           NOT NULL CHECK (status IN ('captured', 'failed', 'refunded')),
    method      text           NOT NULL,
    amount      numeric(12, 2) NOT NULL CHECK (amount > 0),
    reason      text,
    created_at  timestamptz    NOT NULL,
    refunded_at timestamptz,
    CHECK ((status = 'failed') = (reason IS NOT NULL)),
    CHECK ((status = 'refunded') = (refunded_at IS NOT NULL))
);

-- The pipeline.

CREATE TABLE schema_versions (
    id         integer     NOT NULL,
    source     text        NOT NULL,
    version    smallint    NOT NULL CHECK (version > 0),
    change     text        NOT NULL,
    columns    jsonb       NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to   timestamptz,
    CHECK (valid_to > valid_from)
);

CREATE TABLE ingestions (
    id           bigint      NOT NULL,
    source       text        NOT NULL,
    status       run_status  NOT NULL,
    attempts     smallint    NOT NULL CHECK (attempts >= 0),
    files        integer     NOT NULL CHECK (files >= 0),
    reason       text,
    scheduled_at timestamptz NOT NULL,
    finished_at  timestamptz,
    CHECK ((status = 'failed') = (reason IS NOT NULL)),
    CHECK ((status IN ('succeeded', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((status = 'pending') = (attempts = 0)),
    CHECK (status <> 'retried' OR attempts > 1),
    CHECK (finished_at > scheduled_at)
);

CREATE TABLE runs (
    id           bigint      NOT NULL,
    ingestion_id bigint      NOT NULL,
    attempt      smallint    NOT NULL CHECK (attempt > 0),
    retry_of     bigint,
    status       run_status  NOT NULL CHECK (status IN ('running', 'succeeded', 'failed')),
    worker       text        NOT NULL,
    reason       text,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    CHECK ((attempt = 1) = (retry_of IS NULL)),
    CHECK ((status = 'failed') = (reason IS NOT NULL)),
    CHECK ((status = 'running') = (finished_at IS NULL)),
    CHECK (finished_at > started_at)
);

CREATE TABLE processed_files (
    id             bigint      NOT NULL,
    run_id         bigint      NOT NULL,
    source         text        NOT NULL,
    schema_version smallint    NOT NULL,
    bucket         text        NOT NULL,
    object_key     text        NOT NULL,
    format         text        NOT NULL CHECK (format IN ('jsonl', 'csv', 'parquet')),
    size           bigint      NOT NULL CHECK (size >= 0),
    checksum       char(32)    NOT NULL, -- the MD5 of its bytes, which is the object's ETag
    row_count      bigint      NOT NULL CHECK (row_count >= 0),
    status         text        NOT NULL CHECK (status IN ('loaded', 'duplicate', 'rejected')),
    reason         text,
    late           boolean     NOT NULL,
    arrived_at     timestamptz NOT NULL,
    processed_at   timestamptz NOT NULL,
    CHECK ((status = 'loaded') = (reason IS NULL)),
    CHECK (processed_at > arrived_at)
);
