-- How long the stock of a product lasts, as integrations told it last (S78), beside a plan that is recalibrated (S5).
CREATE TABLE stock_days (
    product_id text PRIMARY KEY,
    date       date NOT NULL,
    -- Null when nothing sold.
    days       double precision,
    -- none, blue, yellow, red
    light      text NOT NULL
);
