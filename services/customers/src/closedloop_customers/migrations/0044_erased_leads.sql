-- A lead of a person who was erased could be opened again by hand, and somebody was to answer nobody.

ALTER TABLE lead ADD COLUMN erased_at timestamptz;

UPDATE lead SET erased_at = done.at
  FROM (SELECT subject, max(time) AS at FROM audit_entry WHERE action = 'erase' GROUP BY subject) AS done
 WHERE done.subject = lead.id::text;
