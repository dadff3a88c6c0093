-- What goods cost when they were invoiced, so that a quote's margin is known before it is signed (S63).

-- The newest telling of every invoice and credit note, whether it had costs or not: what comes late replaces nothing.
CREATE TABLE costed_invoice (
    source    text NOT NULL,
    source_id text NOT NULL,
    version   bigint NOT NULL,
    PRIMARY KEY (source, source_id)
);

-- Its goods as that telling has them, one row per product. What takes an invoice back stands without a minus.
CREATE TABLE invoiced_cost (
    source     text NOT NULL,
    source_id  text NOT NULL,
    version    bigint NOT NULL,
    product_id text NOT NULL,
    number     text NOT NULL,
    -- What a credit note or a reversal takes back: "id:" and its id at the source, or "number:" and its number; else empty.
    back_to    text NOT NULL,
    date       date NOT NULL,
    quantity   numeric NOT NULL,
    cost_minor bigint NOT NULL,
    currency   text NOT NULL,
    PRIMARY KEY (source, source_id, version, product_id, currency)
);
CREATE INDEX invoiced_cost_last ON invoiced_cost (product_id, date DESC, number DESC, source, source_id) WHERE back_to = '';
CREATE INDEX invoiced_cost_back ON invoiced_cost (source, back_to, product_id) WHERE back_to <> '';

-- As it was expected when the lines were written or submitted; unknown while a product's cost is.
ALTER TABLE quote ADD COLUMN margin_ratio float8;
