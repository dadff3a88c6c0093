"""Newcomers and what became of them, out of their own deals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Onboarding:
    """One row of `onboarding`."""

    person_id: str
    version: int = 1
    unit_id: str
    start_date: date
    style: str
    guide_id: str = ""
    leave_date: date | None = None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Onboarding):
    """With the first deal, and the segments of newcomer and guide: {segment: deals won}."""

    first_deal_date: date | None
    segments: dict[str, float]
    guide_segments: dict[str, float]


LOCK = f"SELECT {rows.listed(Onboarding, 'n')} FROM onboarding n WHERE person_id = %(person_id)s FOR UPDATE"
NAMES = rows.columns(Onboarding)
PUT = f"""
INSERT INTO onboarding AS t ({", ".join(NAMES)})
SELECT {", ".join(NAMES)} FROM jsonb_populate_recordset(NULL::onboarding, %(rows)s)
ON CONFLICT (person_id) DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in NAMES if n != "person_id")}
"""
LEAVE = """
UPDATE onboarding SET leave_date = CASE WHEN %(active)s THEN NULL ELSE coalesce(leave_date, %(day)s) END,
                      version = version + 1, updated_at = %(now)s
 WHERE person_id = %(person_id)s AND (leave_date IS NULL) <> %(active)s
"""
GONE = """
INSERT INTO departure AS d (person_id, leave_date) VALUES (%(person_id)s, %(day)s)
ON CONFLICT (person_id) DO UPDATE SET leave_date = CASE WHEN %(known)s THEN excluded.leave_date ELSE d.leave_date END
"""
BACK = "DELETE FROM departure WHERE person_id = %(person_id)s"
LEFT = "SELECT leave_date FROM departure WHERE person_id = %(person_id)s"
SEGMENTS = """
(SELECT coalesce(jsonb_object_agg(segment, deals), '{{}}')
   FROM (SELECT coalesce(nullif(o.customer_type, ''), nullif(a.industry, ''), '?') AS segment, count(*) AS deals
           FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
          WHERE o.owner_id = {whose} AND {which} GROUP BY 1) s)
"""
# A newcomer's market is what he works on, a guide's what he has won.
SEEN = f"""
SELECT {rows.listed(Onboarding, "n")},
       (SELECT min(close_date) FROM opportunity o
         WHERE o.owner_id = n.person_id AND o.state = 'won' AND o.close_date >= n.start_date) AS first_deal_date,
       {SEGMENTS.format(whose="n.person_id", which="true")} AS segments,
       {SEGMENTS.format(whose="n.guide_id", which="n.guide_id <> '' AND o.state = 'won'")} AS guide_segments
  FROM onboarding n
"""
LIST = f"""
SELECT * FROM ({SEEN}) n
 WHERE {Scope.SQL.replace("owner_id", "person_id")}
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(style)s = '' OR style = %(style)s)
   AND (%(from)s::date IS NULL OR start_date >= %(from)s) AND (%(to)s::date IS NULL OR start_date <= %(to)s)
   AND (start_date, person_id) > (%(after)s::date, %(after_id)s::text)
 ORDER BY start_date, person_id LIMIT %(limit)s
"""
# Customers a newcomer won first, and whether they bought again in time; deals, and whether a complex product is in them.
# Only what has had its time counts: a customer of yesterday cannot have come back yet.
DEALS = f"""
WITH people AS (
    SELECT person_id, start_date FROM onboarding
     WHERE {Scope.SQL.replace("owner_id", "person_id")} AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
       AND start_date >= %(from)s AND start_date <= %(to)s
), won AS (
    SELECT o.account_id, o.close_date, o.product_ids && %(complex)s AS complex, o.repurchase
      FROM people p JOIN opportunity o ON o.owner_id = p.person_id AND o.state = 'won' AND o.close_date >= p.start_date
)
SELECT (SELECT coalesce(jsonb_agg(back), '[]')
          FROM (SELECT EXISTS (SELECT FROM opportunity n WHERE n.account_id = w.account_id AND n.state = 'won'
                                  AND n.close_date > w.day AND n.close_date <= w.day + %(days)s::int) AS back
                  FROM (SELECT account_id, min(close_date) AS day FROM won
                         WHERE account_id IS NOT NULL AND NOT repurchase GROUP BY account_id) w
                 WHERE w.day + %(days)s::int <= %(today)s) b) AS came_back,
       (SELECT coalesce(jsonb_agg(complex), '[]') FROM won) AS complex
"""


async def page(db: Reader, params: dict[str, Any]) -> list[Seen]:
    return await db.all(LIST, params, into=Seen)
