"""Sittings in SQL, and the figures they are about."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """One row of `certification`."""

    id: str
    version: int = 1
    person_id: str
    unit_id: str
    state: str = "running"
    exercises: list[dict[str, Any]]
    started_at: datetime
    due_at: datetime
    submitted_at: datetime | None = None
    settled_at: datetime | None = None
    valid_until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Closed and won deals of a period and of the one before, and open deals by stage."""

    ended: int
    won: int
    ended_before: int
    won_before: int
    standing: dict[str, int] = field(default_factory=dict)


STATE = """CASE WHEN c.state = 'running' AND c.due_at <= %(now)s THEN 'expired'
     WHEN c.state = 'passed' AND c.valid_until < %(today)s THEN 'expired' ELSE c.state END"""
COLUMNS = rows.listed(Sitting, "c").replace("c.state,", f"{STATE} AS state,")
ADD = rows.insert("certification", Sitting)
SAVE = rows.update("certification", Sitting)
GET = f"SELECT {COLUMNS} FROM certification c WHERE id = %(id)s"
LAST = f"SELECT {COLUMNS} FROM certification c WHERE person_id = %(person)s ORDER BY started_at DESC LIMIT 1"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('certification'), hashtext(%(person)s))"
LIST = f"""
SELECT {COLUMNS} FROM certification c
 WHERE {Scope.SQL.replace("owner_id", "person_id")}
   AND (%(person)s = '' OR person_id = %(person)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(state)s = '' OR {STATE} = %(state)s)
   AND (started_at < %(after)s::timestamptz OR (started_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY started_at DESC, id LIMIT %(limit)s
"""
FIGURES = """
SELECT count(*) FILTER (WHERE closed_at >= %(from)s) AS ended,
       count(*) FILTER (WHERE closed_at >= %(from)s AND state = 'won') AS won,
       count(*) FILTER (WHERE closed_at < %(from)s) AS ended_before,
       count(*) FILTER (WHERE closed_at < %(from)s AND state = 'won') AS won_before,
       (SELECT coalesce(jsonb_object_agg(s.stage_key, s.deals), '{}')
          FROM (SELECT stage_key, count(*) AS deals FROM opportunity
                 WHERE state = 'open' AND unit_id = ANY(%(units)s) GROUP BY 1) s) AS standing
  FROM opportunity
 WHERE state <> 'open' AND unit_id = ANY(%(units)s) AND closed_at >= %(before)s AND closed_at < %(to)s
"""


async def get(
    db: Reader | Transaction, certification_id: str, now: datetime, today: date, lock: bool = False
) -> Sitting:
    """Raises NotFound CERTIFICATION_UNKNOWN."""
    params = {"id": certification_id, "now": now, "today": today}
    found = await db.one(f"{GET} FOR UPDATE" if lock else GET, params, into=Sitting)
    if found is None:
        raise errors.NotFound("CERTIFICATION_UNKNOWN", f"no certification {certification_id}")
    return found
