-- What a season's months come to, from the first point's month on (S2, S6).
ALTER TABLE forecast ADD COLUMN seasons jsonb;
-- How the model and seasonal-naive did, whichever was chosen.
ALTER TABLE forecast ADD COLUMN model_mase double precision;
ALTER TABLE forecast ADD COLUMN model_coverage double precision;
ALTER TABLE forecast ADD COLUMN plain_mase double precision;
ALTER TABLE forecast ADD COLUMN plain_coverage double precision;
