-- What boards outside read, as against callers of the API: views in a schema of their own, with names and no other
-- personal data. Whoever is let into the schema sees nothing else of this database.
CREATE SCHEMA report;

-- Inquiries and how they were answered, without whose they are.
CREATE VIEW report.lead AS
SELECT l.received_at, l.source, l.stage, l.outcome, coalesce(u.name, l.unit_id) AS unit, coalesce(p.name, l.owner_id) AS owner,
       l.response_due_at, l.responded_at, l.responded_in_time, l.response_light AS light, l.escalation_level,
       l.converted_at, l.closed_at
  FROM lead l
  LEFT JOIN org_unit u ON u.id = l.unit_id
  LEFT JOIN org_person p ON p.id = l.owner_id
 WHERE l.merged_into_id IS NULL AND NOT l.historical;
