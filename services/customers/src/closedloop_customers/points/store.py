"""Opportunity points in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import records

COLUMNS = """id, account_id, contact_id, owner_id, unit_id, need, quote, rule, product_lines, provenance, state,
       created_at, due_at, decided_by, decided_at, decision_reason, opportunity_id, version"""
ADD = f"""
INSERT INTO opportunity_point ({COLUMNS}, source_key)
SELECT {COLUMNS}, source_key FROM jsonb_populate_recordset(NULL::opportunity_point, %(rows)s)
ON CONFLICT (source_key) DO NOTHING RETURNING id
"""
DECIDE = """
UPDATE opportunity_point
   SET state = %(state)s, owner_id = %(owner_id)s, unit_id = %(unit_id)s, decided_by = %(decided_by)s,
       decided_at = %(now)s, decision_reason = %(reason)s, version = version + 1
 WHERE id = %(id)s
"""
GET = f"SELECT {COLUMNS} FROM opportunity_point WHERE id = %(id)s"
BY_SOURCE = f"SELECT {COLUMNS} FROM opportunity_point WHERE source_key = %(key)s"
LOCK = f"{GET} FOR UPDATE"
LIST = f"""
SELECT {COLUMNS} FROM opportunity_point
 WHERE {Scope.SQL} AND {records.FILTERS}
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s) AND state = ANY(%(states)s)
   AND created_at >= coalesce(%(start)s::timestamptz, '-infinity')
   AND created_at < coalesce(%(end)s::timestamptz, 'infinity')
   AND (created_at, id) > (%(after)s::timestamptz, %(after_id)s::uuid)
 ORDER BY created_at, id LIMIT %(limit)s
"""
# As the funnel told; the first opportunity of a point is the one it became.
OPENED = """
UPDATE opportunity_point p SET opportunity_id = t.opportunity_id, version = p.version + 1
  FROM jsonb_to_recordset(%(rows)s) AS t (id uuid, opportunity_id uuid)
 WHERE p.id = t.id AND p.opportunity_id IS NULL
"""


@dataclass(frozen=True, slots=True)
class Point:
    id: str
    account_id: str
    contact_id: str | None
    owner_id: str
    unit_id: str
    need: str
    quote: str
    rule: dict[str, Any]
    product_lines: list[str]
    provenance: dict[str, Any]
    state: str
    created_at: datetime
    due_at: datetime | None
    decided_by: str
    decided_at: datetime | None
    decision_reason: str
    opportunity_id: str | None
    version: int

    @property
    def source_key(self) -> str:
        return f"{self.provenance['source']} {self.provenance['source_id']}"


async def add(tx: Transaction, point: Point) -> bool:
    """Whether it is news."""
    return bool(await tx.all(ADD, {"rows": rows.pack([{**rows.row(point), "source_key": point.source_key}])}))


async def get(reader: Reader | Transaction, id: str) -> Point | None:
    return await reader.one(GET, {"id": id}, into=Point)


def opened(tx: Transaction, pairs: Iterable[tuple[str, str]]) -> None:
    """(point, opportunity)"""
    packed = [{"id": point, "opportunity_id": opportunity} for point, opportunity in pairs]
    if packed:
        tx.do(OPENED, {"rows": rows.pack(packed)})
