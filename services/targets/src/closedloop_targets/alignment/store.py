"""Figures of departments and what a unit was to reach, month by month; and the board as it was on a day."""

from __future__ import annotations

from closedloop_targets import aggregation
from closedloop_targets.book import in_force

# Position of a line, position of a span, and the value of the metric in it: a mean by weights, a sum, or the last.
VALUES = f"""
SELECT line.position AS line, span.position AS span, {aggregation.values("line.metric", "a")} AS value
  FROM unnest(%(metrics)s::text[], %(departments)s::text[]) WITH ORDINALITY AS line (metric, department_id, position)
 CROSS JOIN unnest(%(starts)s::date[], %(ends)s::date[]) WITH ORDINALITY AS span (start_date, end_date, position)
  JOIN actual a ON a.metric = line.metric AND a.date BETWEEN span.start_date AND span.end_date
   AND (line.department_id = '' OR a.unit_id IN (
        SELECT below FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
         WHERE above = line.department_id))
 GROUP BY line.position, span.position, line.metric
"""
ASKED_OF = aggregation.asked(
    "r.metric", "in_books(c.minor, r.book_rate)", "c.end_date - c.start_date + 1", "c.end_date"
)
# What a unit's plans ask for in each span of whole months.
ASKED = f"""
WITH reached AS ({in_force.REACHED})
SELECT span.position AS span, {ASKED_OF} AS minor
  FROM unnest(%(starts)s::date[], %(ends)s::date[]) WITH ORDINALITY AS span (start_date, end_date, position)
 CROSS JOIN reached r
  JOIN cell c ON c.target_id = r.id AND c.grain = 'month'
   AND c.start_date >= span.start_date AND c.end_date <= span.end_date
 GROUP BY span.position, r.metric
"""
# Targets of departments for a span, of metrics that do not add up: the newest says it.
OWN = f"""
WITH reached AS ({in_force.REACHED})
SELECT DISTINCT ON (holder_id, metric) holder_id, metric, minor
  FROM reached ORDER BY holder_id, metric, start_date DESC, id
"""
KEEP = """
INSERT INTO board_snapshot (board, date, metric, period, position, holder_id, unit_id, light, taken_at, data, figures)
SELECT %(board)s, %(date)s, %(metric)s, %(period)s, position, holder_id, %(unit_id)s, light, %(now)s, data, figures
  FROM unnest(%(positions)s::int[], %(holder_ids)s::text[], %(lights)s::smallint[], %(data)s::bytea[], %(figures)s::jsonb[])
       AS taken (position, holder_id, light, data, figures)
ON CONFLICT (board, date, metric, period, holder_id) DO UPDATE
   SET position = excluded.position, light = excluded.light, taken_at = excluded.taken_at, data = excluded.data,
       figures = excluded.figures
"""
TAKEN = """
SELECT position, taken_at, data FROM board_snapshot
 WHERE board = %(board)s AND metric = %(metric)s AND period = %(period)s AND unit_id = %(unit_id)s
   AND date = (SELECT max(date) FROM board_snapshot
                WHERE board = %(board)s AND metric = %(metric)s AND period = %(period)s AND unit_id = %(unit_id)s
                  AND date BETWEEN %(since)s AND %(until)s)
 ORDER BY position
"""
