"""Cascades as they were run, cells, and the past that weighs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope

PRODUCTS = """
SELECT product.id, (SELECT stage FROM product_stage s WHERE s.product_id = product.id
                     ORDER BY start_date <= %(day)s DESC, abs(start_date - %(day)s::date) LIMIT 1) AS stage
  FROM product
 WHERE CASE WHEN cardinality(%(ids)s::text[]) = 0 THEN NOT retired ELSE id = ANY(%(ids)s) END
   AND (%(line)s = '' OR line = %(line)s)
 ORDER BY id
"""
# Actuals by product and day of a unit with everything below it, or of a person.
BY_DAY = """
SELECT product_id, date, sum(base_minor)::bigint AS minor
  FROM actual
 WHERE metric = %(metric)s AND date BETWEEN %(start)s AND %(end)s
   AND CASE WHEN %(person_id)s = '' THEN unit_id = ANY(%(units)s) ELSE owner_id = %(person_id)s END
   AND %(product_id)s IN ('', product_id) AND %(product_line)s IN ('', product_line)
 GROUP BY product_id, date
"""
# What the newest forecasts of the holder tell of the seasons of products, and of everything.
SEASONS = """
SELECT DISTINCT ON (product_id) product_id, seasons, points -> 0 ->> 'start' AS start, explanation, history_months
  FROM forecast
 WHERE holder_kind = %(kind)s AND holder_id = %(holder_id)s AND metric = %(metric)s AND product_id = ANY(%(products)s::text[])
 ORDER BY product_id, stated_at DESC
"""
ADD = """
INSERT INTO cascade (id, plan_id, number, target_id, unit_id, owner_id, rules, minor, allocated_minor,
    padding_minor, currency,
                     node_count, cell_count, author_id, run_at, shape, product_shapes, time_profile, time_note)
VALUES (%(id)s, %(plan_id)s, %(number)s, %(target_id)s, %(unit_id)s, %(owner_id)s, %(rules)s, %(minor)s,
    %(allocated_minor)s,
        %(padding_minor)s, %(currency)s, %(node_count)s, %(cell_count)s, %(author_id)s, %(run_at)s, %(shape)s,
        %(product_shapes)s, %(time_profile)s, %(time_note)s)
"""
ADD_ALLOCATIONS = "INSERT INTO allocation SELECT * FROM jsonb_populate_recordset(NULL::allocation, %(rows)s)"
BY_ID = "SELECT * FROM cascade WHERE id = %(id)s"
ALLOCATIONS = """
SELECT * FROM allocation
 WHERE cascade_id = %(cascade_id)s AND position > %(after)s AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
 ORDER BY position LIMIT %(limit)s
"""
CELLS = (
    """
SELECT c.target_id, t.holder_kind, t.holder_id, t.metric, t.product_id, t.product_line, t.segment, t.currency,
    c.grain, c.period,
       c.start_date, c.end_date, c.minor
  FROM target t JOIN cell c ON c.target_id = t.id AND c.grain = %(grain)s
 WHERE t.plan_id = %(plan_id)s AND t.number = %(number)s
   AND (t.holder_kind, t.holder_id, c.start_date, c.target_id) > (%(kind)s, %(holder)s, %(start)s::date,
       %(target)s::uuid)
   AND (%(units)s::text[] IS NULL OR t.unit_id = ANY(%(units)s))
   AND (%(person_id)s = '' OR t.holder_kind = 'person' AND t.holder_id = %(person_id)s)
   AND (%(target_id)s = '' OR t.id = nullif(%(target_id)s, '')::uuid)
   AND (%(metric)s = '' OR t.metric = %(metric)s)
   AND c.start_date <= coalesce(%(until)s::date, 'infinity') AND c.end_date >= coalesce(%(since)s::date, '-infinity')
   AND """
    + Scope.SQL
    + """
 ORDER BY t.holder_kind, t.holder_id, c.start_date, c.target_id LIMIT %(limit)s
"""
)

OF_TARGET = """
SELECT c.target_id, t.holder_kind, t.holder_id, t.metric, t.product_id, t.product_line, t.segment, t.currency, c.grain,
       c.period, c.start_date, c.end_date, c.minor
  FROM target t JOIN cell c ON c.target_id = t.id AND c.grain = %(grain)s WHERE t.id = %(id)s ORDER BY c.start_date
"""


@dataclass(frozen=True, slots=True)
class Cascade:
    id: str
    plan_id: str
    number: int
    target_id: str
    unit_id: str
    owner_id: str
    rules: dict[str, Any]
    minor: int
    allocated_minor: int
    padding_minor: int
    currency: str
    node_count: int
    cell_count: int
    author_id: str
    run_at: datetime
    # By day, as exact fractions; None: working days.
    shape: dict[str, str] | None = None
    # The same by product, of those that go by themselves.
    product_shapes: dict[str, dict[str, str]] | None = None
    time_profile: str = ""
    time_note: str = ""


@dataclass(frozen=True, slots=True)
class Allocation:
    """`weight` is an exact decimal or fraction as text."""

    cascade_id: str
    position: int
    target_id: str
    holder_kind: str
    holder_id: str
    unit_id: str
    parent_kind: str
    parent_id: str
    depth: int
    product_id: str
    product_line: str
    segment: str
    minor: int
    base_minor: int
    method: str
    fell_back: bool
    pinned: bool
    weight: str
    share_ratio: float
    rounding_minor: int


@dataclass(frozen=True, slots=True)
class Cell:
    target_id: str
    holder_kind: str
    holder_id: str
    metric: str
    product_id: str
    product_line: str
    segment: str
    currency: str
    grain: str
    period: str
    start_date: date
    end_date: date
    minor: int


async def products(reader: Reader | Transaction, ids: Sequence[str], line: str, day: date) -> list[tuple[str, str]]:
    """(id, life-cycle stage on the day); those sold when `ids` is empty."""
    rows = await reader.all(PRODUCTS, {"ids": list(ids), "line": line, "day": day})
    return [(row["id"], row["stage"]) for row in rows]


def save(tx: Transaction, cascade: Cascade, allocations: Sequence[Allocation]) -> None:
    row = {name: getattr(cascade, name) for name in Cascade.__slots__}
    shapes = {
        name: Jsonb(shape) if shape else None
        for name, shape in (("shape", cascade.shape), ("product_shapes", cascade.product_shapes))
    }
    tx.do(ADD, {**row, "rules": Jsonb(cascade.rules), **shapes})
    tx.do(ADD_ALLOCATIONS, {"rows": rows.pack(allocations)})
