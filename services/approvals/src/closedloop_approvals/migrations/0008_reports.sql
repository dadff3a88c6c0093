-- What boards outside read, as against callers of the API: views in a schema of their own, with names and no other
-- personal data. Whoever is let into the schema sees nothing else of this database.
CREATE SCHEMA report;

-- Matters that need signatures; `took` is the time of the calendar in which somebody was asked;
-- one that escalated was not decided in time.
CREATE VIEW report.decision AS
SELECT r.kind, r.state, coalesce(u.name, r.unit_id) AS unit, r.opened_at, r.due_at, r.closed_at, r.elapsed AS took,
       r.escalation_level, r.not_required, CASE WHEN r.closed_at IS NOT NULL THEN r.escalation_level = 0 END AS in_time
  FROM approval_request r LEFT JOIN org_unit u ON u.id = r.unit_id
 WHERE NOT r.imported;

-- Work of people, whoever asked for it.
CREATE VIEW report.task AS
SELECT t.kind, t.origin, t.state, (ARRAY['none', 'blue', 'yellow', 'red'])[t.light] AS light,
       coalesce(u.name, t.assignee_unit_id) AS unit, coalesce(p.name, t.assignee_id) AS assignee, t.raised_at, t.due_at,
       t.responded_at, t.settled_at, t.escalation_level, t.effect
  FROM task t
  LEFT JOIN org_unit u ON u.id = t.assignee_unit_id
  LEFT JOIN org_person p ON p.id = t.assignee_id;
