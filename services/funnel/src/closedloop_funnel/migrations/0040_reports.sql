-- What boards outside read, as against callers of the API: views in a schema of their own, with names and no other
-- personal data. Whoever is let into the schema sees nothing else of this database.
CREATE SCHEMA report;

-- In whole units: 123456 fen are 1234.56.
CREATE FUNCTION report.amount(minor bigint, currency text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT minor / CASE
        WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF',
                          'XOF', 'XPF') THEN 1.0
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 1000.0
        ELSE 100.0 END
$$;

-- S47: every move of a deal; `dwell_days` is how long it was in the stage it left, in days of the stage's calendar.
CREATE VIEW report.stage_move AS
SELECT m.at, m.pipeline_id AS pipeline, m.from_stage_key AS from_stage, m.to_stage_key AS to_stage, m.direction,
       m.dwell_days, coalesce(u.name, o.unit_id) AS unit, m.imported
  FROM stage_move m
  JOIN opportunity o ON o.id = m.opportunity_id
  LEFT JOIN org_unit u ON u.id = o.unit_id;

-- Open deals as they stand, by pipeline, stage and unit; overdue are those whose stay has made its light yellow or red.
CREATE VIEW report.stage_stock AS
SELECT o.pipeline_id AS pipeline, o.stage_key AS stage, coalesce(u.name, o.unit_id) AS unit, count(*) AS deals,
       report.amount(coalesce(sum(o.reporting_minor), 0)::bigint, o.reporting_currency) AS amount,
       o.reporting_currency AS currency, count(*) FILTER (WHERE o.dwell_light IN ('yellow', 'red')) AS overdue,
       min(o.stage_entered_at) AS oldest_at
  FROM opportunity o LEFT JOIN org_unit u ON u.id = o.unit_id
 WHERE o.state = 'open'
 GROUP BY o.pipeline_id, o.stage_key, coalesce(u.name, o.unit_id), o.reporting_currency;

-- The funnel as it stood each morning (and whenever somebody took a picture), by pipeline and stage.
CREATE VIEW report.stage_morning AS
SELECT s.taken_at, d.pipeline_id AS pipeline, d.stage_key AS stage, count(*) AS deals
  FROM snapshot s
  JOIN snapshot_deal d ON d.from_sequence <= s.sequence AND (d.until_sequence IS NULL OR d.until_sequence > s.sequence)
 GROUP BY s.taken_at, d.pipeline_id, d.stage_key;

-- Deals that ended.
CREATE VIEW report.deal_closed AS
SELECT o.closed_at, o.close_date, o.state AS outcome, o.pipeline_id AS pipeline, o.closed_from AS from_stage,
       coalesce(u.name, o.unit_id) AS unit, coalesce(p.name, o.owner_id) AS owner,
       report.amount(o.reporting_minor, o.reporting_currency) AS amount, o.reporting_currency AS currency,
       o.reason_code, o.imported
  FROM opportunity o
  LEFT JOIN org_unit u ON u.id = o.unit_id
  LEFT JOIN org_person p ON p.id = o.owner_id
 WHERE o.state <> 'open';

-- What was done with customers, without what was said.
CREATE VIEW report.activity AS
SELECT a.at, a.kind, a.state, coalesce(u.name, a.unit_id) AS unit, a.effective, a.authenticity
  FROM activity a LEFT JOIN org_unit u ON u.id = a.unit_id;
