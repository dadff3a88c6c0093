-- Whose a record is now, where its customer was merged into another one; what is unmerged is its own again.
CREATE VIEW account_now AS
SELECT a.id, coalesce(s.id, a.id) AS now_id,
       CASE WHEN s.id IS NULL THEN a.owner_id ELSE s.owner_id END AS owner_id,
       CASE WHEN s.id IS NULL THEN a.unit_id ELSE s.unit_id END AS unit_id,
       CASE WHEN s.id IS NULL THEN a.participant_ids ELSE s.participant_ids END AS participant_ids
  FROM account a LEFT JOIN account s ON s.id = a.merged_into_id;
CREATE INDEX account_merged ON account (merged_into_id) WHERE merged_into_id IS NOT NULL;
