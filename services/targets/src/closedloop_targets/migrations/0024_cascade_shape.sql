-- Weights of days by which a cascade was spread where working days were not: what is changed by hand afterwards follows them.
ALTER TABLE cascade ADD COLUMN shape jsonb;
