"""Territories in SQL, and the figures of what lies in them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers.territories.rules import Territory

ALL = """
SELECT t.id, v.profile, v.effective_on, t.ended_on, t.version
  FROM territory t JOIN territory_version v ON v.territory_id = t.id ORDER BY t.id, v.effective_on
"""
# One tree: whoever changes it waits for whoever does so now.
HOLD = "SELECT pg_advisory_xact_lock(hashtext('territory'))"
PUT = """
INSERT INTO territory (id, ended_on, version) VALUES (%(id)s, %(ended_on)s, 1)
ON CONFLICT (id) DO UPDATE SET ended_on = excluded.ended_on, version = territory.version + 1
"""
PUT_VERSION = """
INSERT INTO territory_version (territory_id, effective_on, profile, reason, made_by, made_at)
VALUES (%(id)s, %(effective_on)s, %(profile)s, %(reason)s, %(made_by)s, %(now)s)
ON CONFLICT (territory_id, effective_on) DO UPDATE
   SET profile = excluded.profile, reason = excluded.reason, made_by = excluded.made_by, made_at = excluded.made_at
"""
# Records of one kind are placed together; those that a territory names are kinds of their own.
ACCOUNTS = f"""
SELECT region_code, industry, coalesce(profile->'product_lines', '[]') AS product_lines,
       CASE WHEN id = ANY(%(named)s::uuid[]) THEN id::text ELSE '' END AS id, grade, count(*) AS accounts,
       count(*) FILTER (WHERE owner_id = '') AS pooled, count(*) FILTER (WHERE high_potential) AS high,
       count(*) FILTER (WHERE quality_light = 'red') AS red
  FROM account WHERE {Scope.SQL} AND status NOT IN ('merged', 'retired') GROUP BY 1, 2, 3, 4, 5
"""
LEADS = f"""
SELECT region_code, industry, coalesce(profile->'product_lines', '[]') AS product_lines,
       CASE WHEN id = ANY(%(named)s::uuid[]) THEN id::text ELSE '' END AS id, count(*) AS leads
  FROM lead WHERE {Scope.SQL} AND stage <> 'closed' GROUP BY 1, 2, 3, 4
"""
POOLED = """
SELECT a.id, a.region_code, a.industry, coalesce(a.profile->'product_lines', '[]') AS product_lines, a.unit_id
  FROM account a WHERE a.owner_id = '' AND a.status NOT IN ('merged', 'retired') ORDER BY a.id
"""
KNOWN_LINES = "SELECT DISTINCT line FROM product WHERE line = ANY(%(lines)s)"


async def versions(reader: Reader | Transaction) -> dict[str, list[Territory]]:
    """Every version of every territory, by id, in the order of their days."""
    found: dict[str, list[Territory]] = {}
    for row in await reader.all(ALL, into=Territory):
        found.setdefault(row.id, []).append(row)
    return found


def put(tx: Transaction, territory: Territory, reason: str, made_by: str, now: datetime) -> None:
    tx.do(PUT, {"id": territory.id, "ended_on": territory.ended_on})
    row: dict[str, Any] = {"id": territory.id, "effective_on": territory.effective_on, "reason": reason}
    tx.do(PUT_VERSION, {**row, "profile": Jsonb(territory.profile), "made_by": made_by, "now": now})
