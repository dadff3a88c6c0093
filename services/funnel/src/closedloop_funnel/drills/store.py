"""Drills and attempts in SQL, and real talk before and after."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One row of `drill`."""

    id: str
    name: str
    owner_id: str
    unit_id: str
    scenario_keys: list[str]
    participant_ids: list[str]
    start_date: date
    end_date: date
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of `drill_attempt`."""

    id: str
    version: int = 1
    drill_id: str
    person_id: str
    unit_id: str
    scenario_key: str
    text: str
    attachment_ids: list[str] = field(default_factory=list)
    grades: list[dict[str, Any]] = field(default_factory=list)
    grade: float | None = None
    least_grade: float = 0.0
    grader_id: str = ""
    comment: str = ""
    submitted_at: datetime
    graded_at: datetime | None = None


ADD = rows.insert("drill", Drill)
GET = f"SELECT {rows.listed(Drill, 'd')} FROM drill d WHERE id = %(id)s"
LIST = f"""
SELECT {rows.listed(Drill, "d")} FROM drill d
 WHERE ({Scope.SQL} OR %(scope_owner)s = ANY(participant_ids))
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(participant)s = '' OR %(participant)s = ANY(participant_ids))
   AND (NOT %(running)s OR %(today)s BETWEEN start_date AND end_date)
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""
SUBMIT = rows.insert("drill_attempt", Attempt)
SAVE = rows.update("drill_attempt", Attempt)
# Locks the participant's attempts of a drill among each other.
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext(%(drill)s), hashtext(%(person)s))"
TRIES = """
SELECT count(*) FROM drill_attempt WHERE drill_id = %(drill)s AND person_id = %(person)s AND scenario_key = %(scenario)s
"""
WAITING = """
SELECT count(*) FROM drill_attempt WHERE drill_id = %(drill)s AND grade IS NULL AND id <> %(but)s
"""
ATTEMPT = f"SELECT {rows.listed(Attempt, 't')} FROM drill_attempt t WHERE id = %(id)s FOR UPDATE"
ATTEMPTS = f"""
SELECT {rows.listed(Attempt, "t")} FROM drill_attempt t
 WHERE {Scope.SQL.replace("owner_id", "person_id")}
   AND (%(drill)s::uuid IS NULL OR drill_id = %(drill)s) AND (%(person)s = '' OR person_id = %(person)s)
   AND (NOT %(ungraded)s OR grade IS NULL)
   AND (submitted_at < %(after)s::timestamptz OR (submitted_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY submitted_at DESC, id LIMIT %(limit)s
"""
STANDINGS = """
SELECT person_id, scenario_key, count(*) AS attempts, max(coalesce(grade, least_grade)) AS best FROM drill_attempt
 WHERE drill_id = %(drill)s AND (%(person)s = '' OR person_id = %(person)s) GROUP BY person_id, scenario_key
"""
# Real conversations of the participants before and after: in how many of them one of the risk phrases was heard.
TALK = """
SELECT t.owner_id, t.started_at >= %(ends)s AS after, count(*) AS talks,
       count(*) FILTER (WHERE EXISTS (SELECT FROM hearing h WHERE h.transcript_id = t.id AND h.kind = 'risk'
                                         AND h.review <> 'wrong' AND h.key = ANY(%(risks)s))) AS risky
  FROM transcript t
 WHERE t.owner_id = ANY(%(people)s)
   AND ((t.started_at >= %(before)s AND t.started_at < %(begins)s)
     OR (t.started_at >= %(ends)s AND t.started_at < %(until)s))
 GROUP BY 1, 2 ORDER BY 1, 2
"""


async def get(db: Reader | Transaction, drill_id: str) -> Drill:
    """Raises NotFound DRILL_UNKNOWN."""
    found = await db.one(GET, {"id": drill_id}, into=Drill)
    if found is None:
        raise errors.NotFound("DRILL_UNKNOWN", f"no drill {drill_id}")
    return found
