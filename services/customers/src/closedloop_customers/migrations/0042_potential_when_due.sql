-- Every account is evaluated by itself when it is due; nobody had to ask any more, and many never were.

-- The version of the rulebook by which an account was looked at last, changed or not.
ALTER TABLE potential ADD COLUMN considered_version bigint NOT NULL DEFAULT -1;

-- Companies that are set up already get the daily look where they have the daily health.
INSERT INTO timer (kind, subject, at, next_at)
SELECT 'customers.potential_look', subject, at, at FROM timer WHERE kind = 'customers.health_daily'
ON CONFLICT (kind, subject) DO NOTHING;
