-- When it was told: of two tellings of one day the later one stands, in whatever order they come.
ALTER TABLE stock_days ADD COLUMN told_at timestamptz NOT NULL DEFAULT '-infinity';
