-- A deal that only darkens (its light changes, its time of change does not) is noted by the statement that darkens it: ten
-- thousand at once, all together, and nobody calls a function for each.
DROP TRIGGER opportunity_changed ON opportunity;
CREATE TRIGGER opportunity_changed AFTER UPDATE ON opportunity
    FOR EACH ROW WHEN (NEW.version <> OLD.version
                       AND NOT (NEW.dwell_light <> OLD.dwell_light AND NEW.updated_at = OLD.updated_at))
    EXECUTE FUNCTION note_deal_changed();
-- Lights, margins, who was in touch last: columns no index has. With room on its page a new version of the row stays there.
ALTER TABLE opportunity SET (fillfactor = 85);
