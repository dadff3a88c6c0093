"""Targets in force beside what was done, in one query; and snapshots of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import aggregation
from closedloop_targets.boards import means
from closedloop_targets.boards.rules import Standing
from closedloop_targets.book import in_force
from closedloop_targets.periods.rules import Period

# What targets in force ask of holders in the period.
# Where several plans reach a holder, those of the unit that stands highest in the tree count: they follow each other.
REACHED = """
holder AS (SELECT * FROM unnest(%(ids)s::text[], %(units)s::text[]) AS h (id, unit_id)),
reached AS (
    SELECT t.id AS target_id, t.holder_id, t.currency, t.start_date, t.end_date, t.minor, t.product_id, t.book_rate,
           rank() OVER (PARTITION BY t.holder_id ORDER BY array_position(%(tops)s::text[], t.plan_unit_id)) AS place
      FROM target_in_force t
     WHERE t.holder_id = ANY(%(ids)s) AND t.holder_kind = %(kind)s AND t.metric = %(metric)s AND t.counts
       AND t.start_date <= %(end)s AND t.end_date >= %(start)s
), goal AS (
    SELECT reached.*,
           {asked} AS asked
      FROM reached WHERE place = 1
)
"""
STANDING = f"""
WITH {REACHED}, goals AS (
    SELECT holder_id, sum(asked)::bigint AS asked, max(currency) AS currency,
           (array_agg(target_id ORDER BY asked DESC, target_id))[1] AS target_id
      FROM goal GROUP BY holder_id
), fact AS MATERIALIZED (
    {{fact}}
), done AS (
    SELECT holder_id, sum(minor)::bigint AS minor FROM fact WHERE date BETWEEN %(start)s AND %(end)s GROUP BY holder_id
), week AS (
    SELECT goal.holder_id, c.period, c.start_date, c.end_date, sum(in_books(c.minor, goal.book_rate)) AS asked
      FROM goal JOIN cell c ON c.target_id = goal.target_id AND c.grain = 'week'
     WHERE c.start_date <= %(today)s
     GROUP BY goal.holder_id, c.period, c.start_date, c.end_date
), span AS (
    SELECT DISTINCT period, start_date, end_date FROM week
), past AS (
    -- Side by side and summed, not joined: the planner cannot know how few spans there are.
    SELECT holder_id, period, start_date, end_date, sum(asked) AS asked, sum(done) AS done
      FROM (SELECT holder_id, period, start_date, end_date, asked, 0 AS done FROM week
            UNION ALL
            SELECT fact.holder_id, span.period, span.start_date, span.end_date, 0, fact.minor
              FROM fact JOIN span ON fact.date BETWEEN span.start_date AND span.end_date) AS both_sides
     GROUP BY holder_id, period, start_date, end_date
), whole AS (
    -- A week that two targets share, each its days, is one week; days that two have in common are done once.
    SELECT holder_id, min(start_date) AS start_date, max(end_date) AS end_date, sum(asked) AS asked,
           sum(done) FILTER (WHERE reach IS NULL OR end_date > reach) AS done
      FROM (SELECT past.*, max(end_date) OVER (PARTITION BY holder_id, period ORDER BY start_date, end_date DESC
                                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
              FROM past WHERE asked > 0) AS pieces
     GROUP BY holder_id, period
), streak AS (
    SELECT holder_id, count(*) FILTER (WHERE all_under)::int AS weeks
      FROM (SELECT holder_id, bool_and(CASE WHEN %(lower_is_better)s THEN done > asked ELSE done < asked END)
                               OVER (PARTITION BY holder_id ORDER BY start_date DESC) AS all_under
              FROM whole WHERE end_date < %(today)s) AS s
     GROUP BY holder_id
), expected AS (
    SELECT holder_id,
           sum(CASE WHEN end_date < %(today)s THEN asked
                    ELSE asked * (%(today)s - start_date + 1) / (end_date - start_date + 1) END)::bigint AS asked
      FROM past WHERE start_date >= %(start)s AND end_date <= %(end)s
     GROUP BY holder_id
)
SELECT holder.id AS holder_id, holder.unit_id, coalesce(goals.target_id::text, '') AS target_id,
       coalesce(goals.currency, %(currency)s) AS currency, goals.asked AS target, coalesce(done.minor, 0) AS done,
       coalesce(CASE WHEN %(end)s < %(today)s THEN goals.asked ELSE expected.asked END, 0) AS expected,
       coalesce(streak.weeks, 0) AS weeks_under, %(lower_is_better)s AS lower_is_better
  FROM holder
  LEFT JOIN goals ON goals.holder_id = holder.id
  LEFT JOIN done ON done.holder_id = holder.id
  LEFT JOIN expected ON expected.holder_id = holder.id
  LEFT JOIN streak ON streak.holder_id = holder.id
"""
ASKED = in_force.asked("reached", "target_id", "%(start)s", "%(end)s")
DAYS = "actual.date BETWEEN least(%(start)s, (SELECT min(start_date) FROM goal)) AND greatest(%(end)s, %(today)s)"
OF_PEOPLE = f"""
SELECT owner_id AS holder_id, date, sum(base_minor) AS minor
  FROM actual WHERE metric = %(metric)s AND owner_id = ANY(%(ids)s) AND {DAYS}
 GROUP BY owner_id, date
"""
OF_UNITS = f"""
SELECT tree.above AS holder_id, date, sum(base_minor) AS minor
  FROM unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below)
  JOIN actual ON actual.metric = %(metric)s AND actual.unit_id = tree.below AND {DAYS}
 GROUP BY tree.above, date
"""
ADD_SNAPSHOT = """
INSERT INTO board_snapshot (board, date, metric, period, position, holder_id, unit_id, light, taken_at, data, figures)
SELECT %(board)s, %(date)s, %(metric)s, %(period)s, position, holder_id, unit_id, light, %(now)s, data, figures
  FROM unnest(%(positions)s::int[], %(holder_ids)s::text[], %(unit_ids)s::text[], %(lights)s::smallint[],
      %(data)s::bytea[], %(figures)s::jsonb[])
       AS taken (position, holder_id, unit_id, light, data, figures)
ON CONFLICT (board, date, metric, period, holder_id) DO UPDATE
   SET position = excluded.position, light = excluded.light, taken_at = excluded.taken_at, data = excluded.data,
       figures = excluded.figures
"""
SNAPSHOT_DAY = """
SELECT max(date) FROM board_snapshot
 WHERE board = %(board)s AND metric = %(metric)s AND period = %(period)s AND date BETWEEN %(since)s AND %(until)s
"""
SNAPSHOT = """
SELECT position, holder_id, unit_id, light, taken_at, data
  FROM board_snapshot
 WHERE board = %(board)s AND metric = %(metric)s AND period = %(period)s AND date = %(date)s
   AND (%(holder_ids)s::text[] IS NULL OR holder_id = ANY(%(holder_ids)s)) AND light >= %(light)s
       AND position > %(after)s
 ORDER BY position LIMIT %(limit)s
"""


# Of people, their key actions of a day.
ACTIONS = """
SELECT owner_id, count(*)::int AS planned, count(*) FILTER (WHERE state IN ('claimed', 'verified'))::int AS done
  FROM key_action WHERE owner_id = ANY(%(people)s) AND date = %(day)s AND state <> 'cancelled' GROUP BY owner_id
"""


@dataclass(frozen=True, slots=True)
class Taken:
    position: int
    holder_id: str
    unit_id: str
    light: int
    taken_at: datetime
    data: bytes


async def standings(
    work: Work,
    reader: Reader | Transaction,
    holders: Sequence[tuple[str, str]],
    *,
    kind: str,
    metric: str,
    period: Period,
    today: date,
    tops: Sequence[str],
    currency: str,
    closure: Mapping[str, list[str]] | None = None,
) -> list[Standing]:
    """One per holder (id, unit id); with `closure` the holders are units and what is done below them counts."""
    manner = aggregation.of(work, metric)
    grain, cut = in_force.adds_up(period)
    params: dict[str, Any] = {
        "ids": [holder for holder, _ in holders],
        "units": [unit for _, unit in holders],
        "kind": kind,
        "metric": metric,
        "start": period.start,
        "end": period.end,
        "today": today,
        "grain": grain,
        "cut": cut,
        "tops": list(tops),
        "currency": currency,
        "lower_is_better": manner.lower_is_better,
        **(closure or {}),
    }
    units = closure is not None
    if not manner.adds_up:
        params |= aggregation.manners(work)
        return await reader.all(means.standing(manner.aggregation, units=units), params, into=Standing)
    return await reader.all(STANDING.format(fact=OF_UNITS if units else OF_PEOPLE, asked=ASKED), params, into=Standing)
