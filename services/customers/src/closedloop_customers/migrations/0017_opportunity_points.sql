-- A need is one point however often its ticket is told; null where a confirmed suggestion made it.
ALTER TABLE opportunity_point ADD COLUMN source_key text;
CREATE UNIQUE INDEX opportunity_point_source_key ON opportunity_point (source_key);
CREATE INDEX opportunity_point_owner ON opportunity_point (owner_id, id);
CREATE INDEX opportunity_point_unit ON opportunity_point (unit_id, id);
