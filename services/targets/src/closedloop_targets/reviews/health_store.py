"""A month's targets beside their actions, exceptions, cells and causes: what the health report is computed of (S19)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from closedloop_chassis.data.transaction import Reader
from closedloop_chassis.work import Work
from closedloop_targets import aggregation, ledger
from closedloop_targets.aggregation import Manner
from closedloop_targets.book import in_force
from closedloop_targets.periods.rules import Period
from closedloop_targets.reviews.health import Node

# `asked` is what a target's days of the month ask for: its cells, or all of it where it lies within the month or does not add up.
ASKED = in_force.asked("t", "id", "%(start)s", "%(end)s")
NODES = f"""
SELECT t.id, t.parent_id, t.holder_kind, t.holder_id, t.unit_id, t.metric, t.currency, t.product_id, t.segment, t.counts,
       coalesce(nullif(t.product_line, ''), p.line, '') AS product_line, t.product_line AS scope_line, t.minor, t.base_minor,
       EXISTS (SELECT FROM sum_exception e WHERE e.target_id = t.id AND e.state = 'signed') AS excepted,
       (CASE WHEN t.metric = ANY(%(apart)s::text[]) THEN t.minor ELSE {ASKED} END)::bigint AS asked, t.weight,
       greatest(t.start_date, %(start)s) AS since, least(t.end_date, %(end)s) AS until
  FROM target_in_force t
  LEFT JOIN product p ON p.id = t.product_id
 WHERE t.unit_id = ANY(%(units)s) AND t.start_date <= %(end)s AND t.end_date >= %(start)s
"""
ACTIONS = """
SELECT k.target_id::text AS target_id, count(*)::int AS planned,
       count(*) FILTER (WHERE k.state IN ('claimed', 'verified'))::int AS done,
       count(*) FILTER (WHERE k.state = 'verified')::int AS verified
  FROM key_action k
 WHERE k.date BETWEEN %(start)s AND %(end)s AND k.state <> 'cancelled' AND k.unit_id = ANY(%(units)s)
 GROUP BY 1
"""
# The last cause people confirmed, in alarms and packs that reach into the month, beside what was ranked first where they
# did; the last ranking where nobody confirmed anything.
CAUSES = """
WITH told AS (
    SELECT holder_kind, holder_id, metric, coalesce(causes -> 0 ->> 'cause', '') AS ranked, cause AS confirmed,
           coalesce(first_answered_at, raised_at) AS at
      FROM alarm
     WHERE unit_id = ANY(%(units)s) AND start_date <= %(end)s AND end_date >= %(start)s
       AND kind IN ('low_attainment', 'weeks_under', 'deviation')
    UNION ALL
    SELECT d.holder_kind, d.holder_id, d.metric, d.ranked_cause, d.confirmed_cause, coalesce(d.confirmed_at, p.prepared_at)
      FROM review_deviation d JOIN review_pack p ON p.id = d.pack_id
     WHERE p.unit_id = ANY(%(above)s) AND p.start_date <= %(end)s AND p.end_date >= %(start)s
)
SELECT holder_kind, holder_id, metric,
       coalesce((array_agg(ranked ORDER BY confirmed <> '' DESC, at DESC) FILTER (WHERE ranked <> ''))[1], '') AS ranked,
       coalesce((array_agg(confirmed ORDER BY at DESC) FILTER (WHERE confirmed <> ''))[1], '') AS confirmed
  FROM told GROUP BY 1, 2, 3
"""


async def nodes(
    work: Work,
    reader: Reader,
    month: Period,
    units: list[str],
    above: list[str],
    levels: Mapping[str, str],
) -> list[Node]:
    """Four round trips, whatever the number of targets. A month under way asks for its days so far."""
    today = work.home.today()
    grain, cut = in_force.adds_up(month)
    params = {"start": month.start, "end": month.end, "units": units, "above": above, "grain": grain, "cut": cut}
    params |= aggregation.manners(work)
    rows = await reader.all(NODES, params)
    actions = {row["target_id"]: row for row in await reader.all(ACTIONS, params)}
    causes = {
        (row["holder_kind"], row["holder_id"], row["metric"]): (row["ranked"], row["confirmed"])
        for row in await reader.all(CAUSES, params)
    }
    done = await ledger.figures(
        work,
        reader,
        [
            ledger.Asked(
                row["holder_kind"],
                row["holder_id"],
                row["metric"],
                row["since"],
                row["until"],
                row["product_id"],
                row["scope_line"],
                row["segment"],
            )
            for row in rows
        ],
    )
    return [
        _node(row, minor, actions.get(str(row["id"])), causes, levels, today, aggregation.of(work, row["metric"]))
        for row, minor in zip(rows, done, strict=True)
    ]


def _node(
    row: dict[str, Any],
    done: int | None,
    actions: dict[str, Any] | None,
    causes: Mapping[tuple[str, str, str], tuple[str, str]],
    levels: Mapping[str, str],
    today: date,
    manner: Manner,
) -> Node:
    ranked, confirmed = causes.get((row["holder_kind"], row["holder_id"], row["metric"]), ("", ""))
    since, until = row["since"], row["until"]
    days, over = (until - since).days + 1, (min(until, today) - since).days + 1
    return Node(
        id=str(row["id"]),
        parent_id=str(row["parent_id"]) if row["parent_id"] else None,
        holder_kind=row["holder_kind"],
        holder_id=row["holder_id"],
        unit_id=row["unit_id"],
        level=levels.get(row["unit_id"], "") if row["holder_kind"] == "unit" else levels["person"],
        metric=row["metric"],
        currency=row["currency"],
        product_line=row["product_line"],
        counts=row["counts"],
        minor=row["minor"],
        base_minor=row["base_minor"],
        excepted=row["excepted"],
        asked=row["asked"] * max(over, 0) // days if manner.adds_up else row["asked"],
        done=0 if done is None and manner.adds_up else done,
        actions_planned=actions["planned"] if actions else 0,
        actions_done=actions["done"] if actions else 0,
        actions_verified=actions["verified"] if actions else 0,
        ranked=ranked,
        confirmed=confirmed,
        weight=None if row["weight"] is None else Fraction(row["weight"]),
        manner=manner,
    )
