"""Counts that drive the breakers, and the breakers themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One row of `breaker`."""

    person_id: str
    version: int
    unit_id: str
    state: str
    week: date
    visit_count: int
    opportunity_count: int
    explanation: str
    rule_version: int
    opened_at: datetime
    closed_at: datetime | None = None
    closed_by: str = ""
    close_reason: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one seller: visits and valid new opportunities of the week, and the latter since a breaker opened."""

    person_id: str
    visits: int
    opportunities: int
    since_opening: int


# Columns of `valid_needs` as SQL; what is no column of this list cannot be asked for.
FILLED = {
    "account_id": "o.account_id IS NOT NULL",
    "amount_minor": "coalesce(o.amount_minor, 0) <> 0",
    "expected_close_date": "o.expected_close_date IS NOT NULL",
    "engage_date": "o.engage_date IS NOT NULL",
    "product_ids": "o.product_ids <> '{}'",
    "need": "o.need <> ''",
}
COUNTED = """
WITH visits AS (
    SELECT owner_id, count(*) AS visits FROM activity
     WHERE kind = 'visit' AND state = 'done' AND authenticity <> 'confirmed_false' AND at >= %(from)s AND at < %(to)s
       AND (%(person)s = '' OR owner_id = %(person)s)
     GROUP BY owner_id
), people AS (
    SELECT owner_id AS person_id FROM visits
    UNION SELECT person_id FROM breaker WHERE state = 'open' AND (%(person)s = '' OR person_id = %(person)s)
    UNION SELECT %(person)s WHERE %(person)s <> ''
)
SELECT p.person_id, coalesce(v.visits, 0) AS visits,
       count(o.id) FILTER (WHERE o.created_at >= %(from)s) AS opportunities,
       count(o.id) FILTER (WHERE o.created_at >= b.opened_at) AS since_opening
  FROM people p LEFT JOIN visits v ON v.owner_id = p.person_id
       LEFT JOIN breaker b ON b.person_id = p.person_id AND b.state = 'open'
       LEFT JOIN opportunity o ON o.owner_id = p.person_id AND NOT o.imported AND o.review_id IS NULL
        AND o.created_at >= least(%(from)s, coalesce(b.opened_at, %(from)s)) AND o.created_at < %(to)s AND {valid}
 GROUP BY p.person_id, v.visits ORDER BY p.person_id
"""
LOCK = (
    f"SELECT {rows.listed(Breaker, 'b')} FROM breaker b WHERE person_id = ANY(%(people)s) ORDER BY person_id FOR UPDATE"
)
GET = f"SELECT {rows.listed(Breaker, 'b')} FROM breaker b WHERE person_id = %(person_id)s"
CHANGES = """
SELECT state, at, visit_count, opportunity_count, author_id, reason FROM breaker_change
 WHERE person_id = %(person_id)s ORDER BY version DESC LIMIT 100
"""
NAMES = rows.columns(Breaker)
PUT = f"""
INSERT INTO breaker AS t ({", ".join(NAMES)})
SELECT {", ".join(NAMES)} FROM jsonb_populate_recordset(NULL::breaker, %(rows)s)
ON CONFLICT (person_id) DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in NAMES if n != "person_id")}
"""
ADD_CHANGE = """
INSERT INTO breaker_change (person_id, version, state, at, visit_count, opportunity_count, author_id, reason)
VALUES (%(person_id)s, %(version)s, %(state)s, %(at)s, %(visits)s, %(opportunities)s, %(author_id)s, %(reason)s)
"""
LIST = f"""
SELECT {rows.listed(Breaker, "b")} FROM breaker b
 WHERE {Scope.SQL.replace("owner_id", "person_id")}
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(state)s = '' OR state = %(state)s)
   AND (state < %(after_state)s OR (state = %(after_state)s AND person_id > %(after)s))
 ORDER BY state DESC, person_id LIMIT %(limit)s
"""


async def counted(
    db: Reader | Transaction, needs: Iterable[str], begins: datetime, ends: datetime, person: str = ""
) -> list[Counted]:
    """Of everybody who made visits or whose breaker is open; of one person, whatever he did."""
    valid = " AND ".join(FILLED[need] for need in needs) or "true"
    params: dict[str, Any] = {"from": begins, "to": ends, "person": person}
    return await db.all(COUNTED.replace("{valid}", valid), params, into=Counted)
