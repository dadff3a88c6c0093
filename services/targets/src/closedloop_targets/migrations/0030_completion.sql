-- Where less is better, what was done over what was asked is no completion: a line says its own.
CREATE OR REPLACE VIEW report.board_line AS
SELECT board, date, metric, period, position + 1 AS place, holder_id, unit_id, taken_at,
       (ARRAY['none', 'blue', 'yellow', 'red'])[light] AS light,
       report.amount((figures->>'target')::bigint, figures->>'currency') AS target,
       report.amount((figures->>'done')::bigint, figures->>'currency') AS done,
       report.amount((figures->>'expected')::bigint, figures->>'currency') AS expected,
       CASE WHEN figures ? 'completion' THEN (figures->>'completion')::float8
            ELSE (figures->>'done')::float8 / nullif((figures->>'target')::float8, 0) END AS completion,
       figures->>'currency' AS currency, figures
  FROM board_snapshot WHERE figures IS NOT NULL;
