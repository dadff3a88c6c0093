-- What one of a plan's smallest coins is in the books' (U16), set whenever a version of it is published; 1 and '' where the
-- plan is in the company's money.
ALTER TABLE plan ADD COLUMN book_rate numeric NOT NULL DEFAULT 1;
ALTER TABLE plan ADD COLUMN book_currency text NOT NULL DEFAULT '';

CREATE FUNCTION in_books(minor bigint, rate numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN rate = 1 THEN minor ELSE round(minor * rate)::bigint END
$$;
-- Targets that hold now, in the money in which what was done is kept.
CREATE VIEW target_in_force AS
SELECT t.id, t.plan_id, t.number, t.parent_id, t.holder_kind, t.holder_id, t.depth, t.metric, t.product_id, t.product_line,
       t.segment, t.period, t.start_date, t.end_date,
       CASE WHEN t.currency = '' THEN t.minor ELSE in_books(t.minor, plan.book_rate) END AS minor,
       CASE WHEN t.currency = '' THEN t.base_minor ELSE in_books(t.base_minor, plan.book_rate) END AS base_minor,
       CASE WHEN t.currency = '' OR plan.book_currency = '' THEN t.currency ELSE plan.book_currency END AS currency,
       t.owner_id, t.unit_id, t.counts, plan.unit_id AS plan_unit_id,
       CASE WHEN t.currency = '' THEN 1 ELSE plan.book_rate END AS book_rate
  FROM target t JOIN plan ON plan.id = t.plan_id AND plan.version_in_force = t.number;
