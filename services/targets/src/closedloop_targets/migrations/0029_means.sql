-- What a child of a mean weighs among its siblings (heads, visits, whatever its cascade shared by); null where nobody said.
ALTER TABLE target ADD COLUMN weight numeric;
CREATE OR REPLACE VIEW target_in_force AS
SELECT t.id, t.plan_id, t.number, t.parent_id, t.holder_kind, t.holder_id, t.depth, t.metric, t.product_id, t.product_line,
       t.segment, t.period, t.start_date, t.end_date,
       CASE WHEN t.currency = '' THEN t.minor ELSE in_books(t.minor, plan.book_rate) END AS minor,
       CASE WHEN t.currency = '' THEN t.base_minor ELSE in_books(t.base_minor, plan.book_rate) END AS base_minor,
       CASE WHEN t.currency = '' OR plan.book_currency = '' THEN t.currency ELSE plan.book_currency END AS currency,
       t.owner_id, t.unit_id, t.counts, plan.unit_id AS plan_unit_id,
       CASE WHEN t.currency = '' THEN 1 ELSE plan.book_rate END AS book_rate, t.weight
  FROM target t JOIN plan ON plan.id = t.plan_id AND plan.version_in_force = t.number;
-- A mean is asked of every week as it is; releases before cut it up as if it were a sum. Metrics that a rulebook of the
-- company calls means are known to the service alone: they are spread anew with their plan's next version.
UPDATE spread s SET minors = array_fill(t.minor, ARRAY[cardinality(s.minors)])
  FROM target t
 WHERE t.id = s.target_id
   AND t.metric IN ('visit_completion', 'stage_pace', 'proposals_made', 'feedback_collected', 'visit_quality',
                    'first_response', 'follow_up_on_time', 'needs_diagnosed', 'log_completeness', 'authentic_contacts',
                    'customer_care', 'lead_conversion', 'on_time_delivery', 'resolution_time');
