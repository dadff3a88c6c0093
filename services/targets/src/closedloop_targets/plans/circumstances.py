"""What is known of the cause for which a plan is recalibrated, put beside the version by itself: stock, launches, the
market (S5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from closedloop.common.v1.common_pb2 import Evidence
from closedloop_chassis.work import Call
from closedloop_targets.book.model import Plan

# The contract's own limit; the gravest come first.
MOST = 50
PUT_STOCK = """
INSERT INTO stock_days (product_id, date, days, light, told_at)
SELECT product_id, date, days, light, told_at FROM jsonb_populate_recordset(NULL::stock_days, %(rows)s)
ON CONFLICT (product_id) DO UPDATE
   SET date = excluded.date, days = excluded.days, light = excluded.light, told_at = excluded.told_at
 WHERE (stock_days.date, stock_days.told_at, coalesce(stock_days.days, 'infinity'), stock_days.light)
       < (excluded.date, excluded.told_at, coalesce(excluded.days, 'infinity'), excluded.light)
"""
STOCK = """
SELECT s.product_id, coalesce(p.name, s.product_id) AS name, s.days, s.date, s.light
  FROM stock_days s LEFT JOIN product p ON p.id = s.product_id
 WHERE s.light IN ('yellow', 'red')
 ORDER BY s.light = 'red' DESC, s.days DESC NULLS FIRST, s.product_id LIMIT %(most)s
"""
LAUNCHES = """
SELECT id AS product_id, name, launch_date AS date FROM product
 WHERE launch_date BETWEEN %(start)s AND %(end)s AND NOT retired ORDER BY launch_date, id LIMIT %(most)s
"""
TRENDS = """
SELECT unit_id, coalesce(nullif(product_id, ''), nullif(product_line, ''), segment) AS scope, period, growth_ratio, reason
  FROM market_trend
 WHERE superseded_by = '' AND unit_id = ANY(%(units)s) AND start_date <= %(end)s AND end_date >= %(start)s
 ORDER BY abs(growth_ratio) DESC, id LIMIT %(most)s
"""


async def evidence(call: Call, plan: Plan, cause: str, given: Sequence[Evidence]) -> list[Evidence]:
    """What the author brings, and after it what is known here; a round trip at most."""
    span = {"start": plan.start_date, "end": plan.end_date, "most": MOST}
    found: list[Evidence] = []
    if cause == "stock":
        found = [
            Evidence(
                name=f"stock_days:{row['product_id']}",
                value=row["days"] or 0,
                unit="d",
                text=f"{row['name']}: stock of {row['days']:.0f} days on {row['date']} ({row['light']})"
                if row["days"] is not None
                else f"{row['name']}: nothing sold by {row['date']} ({row['light']})",
            )
            for row in await call.tx.all(STOCK, span)
        ]
    elif cause == "launch":
        found = [
            Evidence(name=f"launch:{row['product_id']}", text=f"{row['name']} is launched on {row['date']}")
            for row in await call.tx.all(LAUNCHES, span)
        ]
    elif cause == "market":
        units = [*call.org.subtree(plan.unit_id), *call.org.ancestry(plan.unit_id)]
        found = [
            Evidence(
                name="market_trend",
                value=row["growth_ratio"],
                unit="1",
                text=f"{_where(row)}: {row['growth_ratio']:+.1%}, {row['reason']}"[:2000],
            )
            for row in await call.tx.all(TRENDS, {**span, "units": units})
        ]
    return [*given, *found][:MOST]


def _where(row: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (row["unit_id"], row["scope"], row["period"])))
