-- The ledger of facts. A row is never changed but for the note that it was taken back; every sum of rows is right.
CREATE TABLE actual (
    id             uuid PRIMARY KEY,
    metric         text NOT NULL,
    -- The person credited; empty where a unit is.
    owner_id       text NOT NULL,
    -- Where the person was on the day.
    unit_id        text NOT NULL,
    product_id     text NOT NULL,
    product_line   text NOT NULL,
    segment        text NOT NULL,
    account_id     text NOT NULL,
    subject        text NOT NULL,
    date           date NOT NULL,
    -- As it came: minor units of the currency, or millionths where the currency is empty.
    minor          bigint NOT NULL,
    currency       text NOT NULL,
    -- In the company's currency.
    base_minor     bigint NOT NULL,
    base_currency  text NOT NULL,
    weight         numeric NOT NULL,
    -- Life-cycle stage of the product on the day; empty without a product.
    stage          text NOT NULL,
    reason         text NOT NULL,
    source         text NOT NULL,
    source_id      text NOT NULL,
    brought_by     text NOT NULL,
    observed_at    timestamptz,
    -- Version of the record it was read from; an older one changes nothing.
    revision       bigint NOT NULL,
    reverses_id    uuid,
    reversed_by_id uuid,
    reversed_at    timestamptz,
    recorded_at    timestamptz NOT NULL
);
CREATE UNIQUE INDEX actual_source_key ON actual (source, source_id) WHERE reverses_id IS NULL AND reversed_by_id IS NULL;
CREATE INDEX actual_subject ON actual (subject) WHERE reverses_id IS NULL AND reversed_by_id IS NULL;
-- What boards, history and cascades read: one metric of some holders in a span of days.
CREATE INDEX actual_owner ON actual (metric, owner_id, date) INCLUDE (base_minor);
CREATE INDEX actual_unit ON actual (metric, unit_id, date) INCLUDE (base_minor, product_id);
CREATE INDEX actual_recorded ON actual (date DESC, id DESC);
-- Newest version heard of a record outside, so that an old one that comes late does not restate it.
CREATE TABLE actual_source (
    subject  text PRIMARY KEY,
    revision bigint NOT NULL
);
