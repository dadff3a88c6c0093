"""Actions and their quarters in SQL; what people do in their logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row of `management_action`."""

    id: str
    version: int = 1
    owner_id: str
    unit_id: str
    name: str
    description: str = ""
    metric_key: str
    core: bool = False
    state: str = "active"
    start_date: date
    end_date: date | None = None
    flat_quarters: int = 0
    comparison: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Action):
    """`experiment_id`: of the one that tests it now."""

    experiment_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Action):
    """With its judged quarters, oldest first."""

    quarters: list[date]
    flats: list[bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarter:
    """One row of `management_quarter`."""

    action_id: str
    quarter: date
    value: dict[str, Any]
    change: dict[str, Any]
    flat: bool | None
    measured_at: datetime


@dataclass(frozen=True, slots=True)
class Habit:
    """In how many of somebody's logs an action unit was done."""

    owner_id: str
    key: str
    logs: int
    done: int


SEEN = f"""
SELECT {rows.listed(Action, "m")},
       coalesce((SELECT e.id::text FROM experiment e WHERE e.action_id = m.id AND e.state = 'running'), '') AS experiment_id
  FROM management_action m
"""
SAVE = rows.update("management_action", Action)
GET = f"{SEEN} WHERE id = %(id)s"
LIST = f"""
{SEEN}
 WHERE {Scope.SQL} AND (%(owner)s = '' OR owner_id = %(owner)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(state)s = '' OR state = %(state)s)
   AND (NOT %(core)s OR core) AND flat_quarters >= %(flat)s
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""
WATCHED = f"""
SELECT {rows.listed(Action, "m")},
       coalesce(array_agg(q.quarter ORDER BY q.quarter) FILTER (WHERE q.quarter IS NOT NULL), '{{}}') AS quarters,
       coalesce(array_agg(q.flat ORDER BY q.quarter) FILTER (WHERE q.quarter IS NOT NULL), '{{}}') AS flats
  FROM management_action m LEFT JOIN management_quarter q ON q.action_id = m.id
 WHERE m.state = 'active' GROUP BY m.id ORDER BY m.id
"""
LOCK = "SELECT id FROM management_action WHERE state = 'active' ORDER BY id FOR UPDATE"
QUARTERS = f"""
SELECT {rows.listed(Quarter, "q")} FROM management_quarter q WHERE action_id = %(id)s ORDER BY quarter
"""
KEEP = rows.insert("management_quarter", Quarter) + " ON CONFLICT (action_id, quarter) DO NOTHING"
# Published cards whose following can be seen in the logs.
CARDS = """
SELECT id, title, action_unit_keys FROM practice_card
 WHERE state = 'published' AND action_unit_keys <> '{}' ORDER BY updated_at DESC, id
"""
HABITS = """
SELECT v.owner_id, k.key, count(*) AS logs, count(*) FILTER (WHERE k.key = ANY(v.action_unit_keys)) AS done
  FROM activity v CROSS JOIN unnest(%(keys)s::text[]) AS k (key)
 WHERE v.owner_id = ANY(%(people)s) AND v.state = 'done' AND v.authenticity <> 'confirmed_false'
   AND v.at >= %(from)s AND v.at < %(to)s
 GROUP BY 1, 2
"""
# Actions of these metrics whose newest quarter, of which something can be said, was not flat.
MOVING = """
SELECT m.id, m.name, m.unit_id, m.metric_key, q.change
  FROM management_action m
       CROSS JOIN LATERAL (SELECT change, flat FROM management_quarter WHERE action_id = m.id AND flat IS NOT NULL
                            ORDER BY quarter DESC LIMIT 1) q
 WHERE m.metric_key = ANY(%(metrics)s) AND NOT q.flat
 ORDER BY m.created_at DESC LIMIT 200
"""
# Core actions of the company under test in a quarter.
UNDER_TEST = """
SELECT count(DISTINCT m.id) FROM management_action m JOIN experiment e ON e.action_id = m.id
 WHERE m.core AND e.started_at < %(to)s AND coalesce(e.concluded_at, e.planned_end_at) >= %(from)s
"""


async def get(db: Reader | Transaction, action_id: str, *, lock: bool = False) -> Seen:
    """Raises NotFound ACTION_UNKNOWN."""
    found = await db.one(f"{GET} FOR UPDATE OF m" if lock else GET, {"id": action_id}, into=Seen)
    if found is None:
        raise errors.NotFound("ACTION_UNKNOWN", f"no management action {action_id}")
    return found


async def quarters(db: Reader | Transaction, action_id: str) -> Sequence[Quarter]:
    return await db.all(QUARTERS, {"id": action_id}, into=Quarter)
