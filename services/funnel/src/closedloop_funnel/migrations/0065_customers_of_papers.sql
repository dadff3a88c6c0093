-- Whom a quote or a contract was submitted for: its deal may be another customer's by now, and then its decision is not
-- about this one.
ALTER TABLE quote ADD COLUMN account_id uuid;
ALTER TABLE contract ADD COLUMN account_id uuid;
UPDATE quote q SET account_id = o.account_id FROM opportunity o WHERE o.id = q.opportunity_id AND q.submitted_revision > 0;
UPDATE contract c SET account_id = o.account_id FROM opportunity o WHERE o.id = c.opportunity_id AND c.submitted_revision > 0;
