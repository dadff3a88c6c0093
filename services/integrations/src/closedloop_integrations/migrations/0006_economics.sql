-- What the raw transactions say in figures: one row per transaction, code and product. A version that is superseded is closed, not
-- deleted, so that a figure can be asked for as it was known; what codes mean here (unit, customer, seller) may be learned later.
CREATE TABLE economic_fact (
    transaction_id uuid NOT NULL,
    source         text NOT NULL,
    source_id      text NOT NULL,
    number         text NOT NULL,
    order_number   text NOT NULL,
    day            date NOT NULL,
    -- First days: of the month of `day`, and of the month it is booked to.
    month          date NOT NULL,
    booked_month   date NOT NULL,
    -- revenue, goods, moved, stock, orders, order_products, cost:<code>, ledger:<account>
    code           text NOT NULL,
    product_id     text NOT NULL,
    unit_id        text NOT NULL,
    channel        text NOT NULL,
    person_id      text NOT NULL,
    account_id     uuid,
    opportunity_id uuid,
    contract_id    uuid,
    warehouse      text NOT NULL,
    amount_minor   bigint NOT NULL,
    quantity       numeric NOT NULL,
    currency       text NOT NULL,
    known_from     timestamptz NOT NULL,
    known_until    timestamptz
);
CREATE INDEX economic_fact_transaction ON economic_fact (transaction_id);
CREATE INDEX economic_fact_source ON economic_fact (source, source_id) WHERE known_until IS NULL;
CREATE INDEX economic_fact_order ON economic_fact (source, order_number) WHERE known_until IS NULL AND order_number <> '';
CREATE INDEX economic_fact_ordered ON economic_fact (source, number) WHERE known_until IS NULL AND code = 'orders';
CREATE INDEX economic_fact_day ON economic_fact (day, code);
CREATE INDEX economic_fact_booked ON economic_fact (booked_month, code);
CREATE INDEX economic_fact_known ON economic_fact (known_from);
CREATE INDEX economic_fact_account ON economic_fact (account_id, code) WHERE known_until IS NULL;
CREATE INDEX economic_fact_bought ON economic_fact (account_id, day) WHERE known_until IS NULL AND code IN ('orders', 'revenue');
CREATE INDEX economic_fact_opportunity ON economic_fact (opportunity_id) WHERE known_until IS NULL AND opportunity_id IS NOT NULL;
CREATE INDEX economic_fact_stock ON economic_fact (product_id, warehouse, day DESC) WHERE known_until IS NULL AND code = 'stock';

-- The facts in force by month, kept where they change, so that no reader adds up lines.
CREATE TABLE margin_sum (
    month        date NOT NULL,
    booked_month date NOT NULL,
    unit_id      text NOT NULL,
    channel      text NOT NULL,
    person_id    text NOT NULL,
    product_id   text NOT NULL,
    code         text NOT NULL,
    currency     text NOT NULL,
    amount_minor bigint NOT NULL,
    entries      bigint NOT NULL,
    PRIMARY KEY (month, code, unit_id, channel, person_id, product_id, booked_month, currency)
);
CREATE INDEX margin_sum_booked ON margin_sum (booked_month, code);
-- The same by customer, for what a customer is worth.
CREATE TABLE account_sum (
    account_id   uuid NOT NULL,
    month        date NOT NULL,
    code         text NOT NULL,
    currency     text NOT NULL,
    amount_minor bigint NOT NULL,
    entries      bigint NOT NULL,
    PRIMARY KEY (account_id, month, code, currency)
);
CREATE INDEX account_sum_currency ON account_sum (currency, month);

-- The money things were ever booked in: mostly one, and then nobody looks for others.
CREATE TABLE economic_currency (currency text PRIMARY KEY);

CREATE FUNCTION economic_fact_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO economic_currency SELECT DISTINCT currency FROM made ON CONFLICT DO NOTHING;
    INSERT INTO margin_sum AS kept
    SELECT month, booked_month, unit_id, channel, person_id, product_id, code, currency, sum(amount_minor), count(*)
      FROM made WHERE known_until IS NULL AND code <> 'stock' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 7, 3, 4, 5, 6, 2, 8
    ON CONFLICT (month, code, unit_id, channel, person_id, product_id, booked_month, currency) DO UPDATE
       SET amount_minor = kept.amount_minor + excluded.amount_minor, entries = kept.entries + excluded.entries;
    INSERT INTO account_sum AS kept
    SELECT account_id, month, code, currency, sum(amount_minor), count(*)
      FROM made WHERE known_until IS NULL AND account_id IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, month, code, currency) DO UPDATE
       SET amount_minor = kept.amount_minor + excluded.amount_minor, entries = kept.entries + excluded.entries;
    RETURN NULL;
END $$;
CREATE FUNCTION economic_fact_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO margin_sum AS kept
    SELECT month, booked_month, unit_id, channel, person_id, product_id, code, currency, -sum(amount_minor), -count(*)
      FROM old WHERE known_until IS NULL AND code <> 'stock' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 7, 3, 4, 5, 6, 2, 8
    ON CONFLICT (month, code, unit_id, channel, person_id, product_id, booked_month, currency) DO UPDATE
       SET amount_minor = kept.amount_minor + excluded.amount_minor, entries = kept.entries + excluded.entries;
    INSERT INTO account_sum AS kept
    SELECT account_id, month, code, currency, -sum(amount_minor), -count(*)
      FROM old WHERE known_until IS NULL AND account_id IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (account_id, month, code, currency) DO UPDATE
       SET amount_minor = kept.amount_minor + excluded.amount_minor, entries = kept.entries + excluded.entries;
    RETURN NULL;
END $$;
CREATE TRIGGER economic_fact_made AFTER INSERT ON economic_fact REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION economic_fact_made();
CREATE TRIGGER economic_fact_gone AFTER DELETE ON economic_fact REFERENCING OLD TABLE AS old
    FOR EACH STATEMENT EXECUTE FUNCTION economic_fact_gone();
CREATE TRIGGER economic_fact_changed_gone AFTER UPDATE ON economic_fact REFERENCING OLD TABLE AS old
    FOR EACH STATEMENT EXECUTE FUNCTION economic_fact_gone();
CREATE TRIGGER economic_fact_changed_made AFTER UPDATE ON economic_fact REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION economic_fact_made();

-- How often the margin of a deal was told.
CREATE TABLE deal_margin (
    opportunity_id uuid PRIMARY KEY,
    version        bigint NOT NULL
);

-- The light each product's stock was told with last.
CREATE TABLE stock_light (
    product_id text PRIMARY KEY,
    light      text NOT NULL
);
