-- How a cascade went over time: of products that have a season or a history of their own, and what a reader must know.
ALTER TABLE cascade ADD COLUMN product_shapes jsonb;
ALTER TABLE cascade ADD COLUMN time_profile text NOT NULL DEFAULT '';
ALTER TABLE cascade ADD COLUMN time_note text NOT NULL DEFAULT '';
