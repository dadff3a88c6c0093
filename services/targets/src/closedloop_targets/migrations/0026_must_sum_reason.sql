-- Why the children of a plan need not sum to their parent; empty for plans whose rulebook says so, and of before.
ALTER TABLE plan ADD COLUMN must_sum_reason text NOT NULL DEFAULT '';
