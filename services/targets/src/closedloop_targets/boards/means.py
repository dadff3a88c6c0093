"""Standings in what does not add up: a mean is asked of every week as it is of the quarter, and held against the mean of
what was done; a week in which nothing was measured says nothing."""

from __future__ import annotations

from closedloop_targets import aggregation
from closedloop_targets.metrics.rules import Aggregation

STANDING = """
WITH holder AS (SELECT * FROM unnest(%(ids)s::text[], %(units)s::text[]) AS h (id, unit_id)),
reached AS (
    SELECT t.id AS target_id, t.holder_id, t.metric, t.currency, t.start_date, t.end_date, t.minor,
           rank() OVER (PARTITION BY t.holder_id ORDER BY array_position(%(tops)s::text[], t.plan_unit_id)) AS place
      FROM target_in_force t
     WHERE t.holder_id = ANY(%(ids)s) AND t.holder_kind = %(kind)s AND t.metric = %(metric)s AND t.counts
       AND t.start_date <= %(end)s AND t.end_date >= %(start)s
), goal AS (
    SELECT reached.*, least(end_date, %(end)s) - greatest(start_date, %(start)s) + 1 AS days FROM reached WHERE place = 1
), goals AS (
    SELECT holder_id, {asked} AS asked, max(currency) AS currency,
           (array_agg(target_id ORDER BY days DESC, target_id))[1] AS target_id
      FROM goal GROUP BY holder_id
), fact AS MATERIALIZED (
    {fact}
), done AS (
    SELECT holder_id, {done} AS minor FROM fact WHERE date BETWEEN %(start)s AND %(end)s GROUP BY holder_id
), week AS (
    SELECT holder_id, period, min(cell_start) AS start_date, max(cell_end) AS end_date, {asked_of_week} AS asked
      FROM (SELECT goal.holder_id, goal.metric, c.period, c.start_date AS cell_start, c.end_date AS cell_end, c.minor,
                   c.end_date - c.start_date + 1 AS days
              FROM goal JOIN cell c ON c.target_id = goal.target_id AND c.grain = 'week') AS cells
     GROUP BY holder_id, period
), whole AS (
    SELECT week.holder_id, week.start_date, week.asked, {done} AS done
      FROM week
      JOIN fact ON fact.holder_id = week.holder_id AND fact.date BETWEEN week.start_date AND week.end_date
     WHERE week.end_date < %(today)s
     GROUP BY week.holder_id, week.start_date, week.asked
), streak AS (
    SELECT holder_id, count(*) FILTER (WHERE all_under)::int AS weeks
      FROM (SELECT holder_id,
                   bool_and(CASE WHEN %(lower_is_better)s THEN done > asked ELSE done < asked END)
                       OVER (PARTITION BY holder_id ORDER BY start_date DESC) AS all_under
              FROM whole WHERE done IS NOT NULL) AS s
     GROUP BY holder_id
)
SELECT holder.id AS holder_id, holder.unit_id, coalesce(goals.target_id::text, '') AS target_id,
       coalesce(goals.currency, %(currency)s) AS currency, goals.asked AS target, done.minor AS done,
       coalesce(goals.asked, 0) AS expected, coalesce(streak.weeks, 0) AS weeks_under,
       %(lower_is_better)s AS lower_is_better
  FROM holder
  LEFT JOIN goals ON goals.holder_id = holder.id
  LEFT JOIN done ON done.holder_id = holder.id
  LEFT JOIN streak ON streak.holder_id = holder.id
"""
DAYS = "actual.date BETWEEN least(%(start)s, (SELECT min(start_date) FROM goal)) AND greatest(%(end)s, %(today)s)"
COLUMNS = "actual.date, actual.id, actual.base_minor, actual.weight, actual.reverses_id, actual.reversed_by_id"
OF_PEOPLE = f"""
SELECT owner_id AS holder_id, {COLUMNS} FROM actual WHERE metric = %(metric)s AND owner_id = ANY(%(ids)s) AND {DAYS}
"""
OF_UNITS = f"""
SELECT tree.above AS holder_id, {COLUMNS}
  FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
  JOIN actual ON actual.metric = %(metric)s AND actual.unit_id = tree.below AND {DAYS}
"""


def standing(manner: Aggregation, *, units: bool) -> str:
    """With the parameters of the board and of `aggregation.manners`."""
    return STANDING.format(
        fact=OF_UNITS if units else OF_PEOPLE,
        done=aggregation.value(manner, "fact"),
        asked=aggregation.asked("%(metric)s::text", "minor", "days", "end_date"),
        asked_of_week=aggregation.asked("%(metric)s::text", "minor", "days", "cell_end"),
    )
