-- What boards outside read, as against callers of the API: views in a schema of their own, with names and no other
-- personal data. Whoever is let into the schema sees nothing else of this database.
CREATE SCHEMA report;

-- Figures of a line beside the line as it was shown, for SQL; null on lines taken by a release before.
-- {"target", "done", "expected", "value": minor units, or millionths where "currency" is empty, ...}
ALTER TABLE board_snapshot ADD COLUMN figures jsonb;

-- In whole units: 123456 fen are 1234.56; without a currency millionths of a plain number.
CREATE FUNCTION report.amount(minor bigint, currency text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT minor / CASE
        WHEN currency = '' THEN 1000000.0
        WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF',
                          'XOF', 'XPF') THEN 1.0
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 1000.0
        ELSE 100.0 END
$$;

CREATE VIEW report.board_line AS
SELECT board, date, metric, period, position + 1 AS place, holder_id, unit_id, taken_at,
       (ARRAY['none', 'blue', 'yellow', 'red'])[light] AS light,
       report.amount((figures->>'target')::bigint, figures->>'currency') AS target,
       report.amount((figures->>'done')::bigint, figures->>'currency') AS done,
       report.amount((figures->>'expected')::bigint, figures->>'currency') AS expected,
       (figures->>'done')::float8 / nullif((figures->>'target')::float8, 0) AS completion,
       figures->>'currency' AS currency, figures
  FROM board_snapshot WHERE figures IS NOT NULL;

-- S10: each person's done and target, as taken each morning.
CREATE VIEW report.person_progress AS
SELECT l.date, l.metric, l.period, l.place, coalesce(p.name, l.holder_id) AS person, coalesce(u.name, l.unit_id) AS unit,
       l.target, l.done, l.expected, l.completion, l.light, (l.figures->>'weeks_under')::int AS weeks_under, l.currency,
       l.taken_at
  FROM report.board_line l
  LEFT JOIN org_person p ON p.id = l.holder_id
  LEFT JOIN org_unit u ON u.id = l.unit_id
 WHERE l.board = 'people';

-- S11: units of a kind by completion, as taken each week; equal completion shares a rank.
CREATE VIEW report.team_ranking AS
SELECT ranked.*, lag(rank) OVER (PARTITION BY kind, metric, period, unit_id ORDER BY date) AS rank_before
  FROM (SELECT l.date, l.metric, l.period, substr(l.board, 9) AS kind, l.holder_id AS unit_id,
               coalesce(u.name, l.holder_id) AS unit, coalesce(p.name, u.manager_id, '') AS leader, l.target, l.done,
               l.completion, l.light, l.currency, l.taken_at,
               rank() OVER (PARTITION BY l.board, l.date, l.metric, l.period ORDER BY l.completion DESC NULLS LAST) AS rank
          FROM report.board_line l
          LEFT JOIN org_unit u ON u.id = l.holder_id
          LEFT JOIN org_person p ON p.id = u.manager_id
         WHERE starts_with(l.board, 'ranking:')) AS ranked;

-- S12: graded customers, the stage of their most advanced open deal, and when anything last moved. `reminded_at` stands
-- while a reminder of the owner does.
CREATE VIEW report.key_customer AS
SELECT a.name AS customer, a.grade, coalesce(p.name, a.owner_id) AS owner, coalesce(u.name, a.unit_id) AS unit,
       deal.pipeline, deal.stage, deal.stage_at, report.amount(deal.open_minor::bigint, deal.currency) AS open_amount,
       deal.currency, met.last_at AS last_activity_at,
       greatest(met.last_at, deal.stage_at,
                CASE WHEN met.last_at IS NULL AND deal.stage_at IS NULL THEN a.known_since END) AS last_movement_at,
       a.reminded_at
  FROM account_copy a
  LEFT JOIN LATERAL (
    SELECT d.*, sum(d.minor) OVER () AS open_minor FROM account_deal d
     WHERE d.account_id = a.id AND d.open ORDER BY d.probability DESC, d.stage_at DESC NULLS LAST, d.id LIMIT 1) AS deal ON true
  LEFT JOIN account_activity met ON met.account_id = a.id
  LEFT JOIN org_person p ON p.id = a.owner_id
  LEFT JOIN org_unit u ON u.id = a.unit_id
 WHERE a.merged_into = '' AND a.grade <> '';

-- S18: what neighbouring departments did beside the attainment it drives, as taken each morning.
CREATE VIEW report.alignment AS
SELECT l.date, l.figures->>'neighbour' AS metric, l.metric AS driven_metric, l.period, l.place,
       coalesce(u.name, l.figures->>'department', '') AS department,
       report.amount((l.figures->>'value')::bigint, l.currency) AS value, l.target, l.currency, l.light,
       (l.figures->>'attainment')::float8 AS attainment, (l.figures->>'correlation')::float8 AS correlation,
       (l.figures->>'months')::int AS months, l.figures->>'verdict' AS verdict, l.taken_at
  FROM report.board_line l
  LEFT JOIN org_unit u ON u.id = l.figures->>'department'
 WHERE l.board = 'alignment';

-- What was warned of, and when somebody answered.
CREATE VIEW report.alarm AS
SELECT a.kind, (ARRAY['none', 'blue', 'yellow', 'red'])[a.light + 1] AS light, a.state,
       coalesce(p.name, hu.name, a.holder_id) AS holder, coalesce(u.name, a.unit_id) AS unit,
       coalesce(o.name, a.owner_id) AS owner, a.metric, a.period, a.message, a.deviation_ratio, a.raised_at,
       a.due_at, a.first_answered_at, a.settled_at, a.escalation_level
  FROM alarm a
  LEFT JOIN org_person p ON a.holder_kind = 'person' AND p.id = a.holder_id
  LEFT JOIN org_unit hu ON a.holder_kind = 'unit' AND hu.id = a.holder_id
  LEFT JOIN org_unit u ON u.id = a.unit_id
  LEFT JOIN org_person o ON o.id = a.owner_id;

-- What was done, by metric, day and unit; what was taken back sums to nothing.
CREATE VIEW report.actual AS
SELECT a.date, a.metric, coalesce(u.name, a.unit_id) AS unit, report.amount(a.base_minor, a.base_currency) AS done,
       a.base_currency AS currency, a.recorded_at
  FROM actual a LEFT JOIN org_unit u ON u.id = a.unit_id;
