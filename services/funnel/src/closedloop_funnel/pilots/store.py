"""Pilots and what is said of them in SQL; what waits in stages and for approval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_funnel.pipelines import scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """One row of `pilot`."""

    id: str
    version: int = 1
    name: str
    owner_id: str
    unit_id: str
    state: str = "running"
    bottlenecks: list[dict[str, Any]]
    measures: str
    unit_ids: list[str]
    comparison_unit_ids: list[str]
    touched: list[str]
    compared: list[str]
    start_date: date
    end_date: date
    baseline_from: datetime
    baseline_to: datetime
    baseline: dict[str, dict[str, dict[str, list[float]]]]
    results: dict[str, Any] | None = None
    decision: str = ""
    conclusion: str = ""
    created_at: datetime
    concluded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One row of `pilot_feedback`."""

    id: str
    pilot_id: str
    person_id: str
    rating: int
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Stay:
    """A deal's time in a stage, or a quote's or contract's in approval; `key` of the subject; `due_at`: when it should be over,
    where that is known; `days` of the stage's calendar that it lasted, where somebody counted."""

    key: str
    owner_id: str
    unit_id: str
    since: datetime
    until: datetime | None
    due_at: datetime | None
    days: float | None
    worth: float


COLUMNS = rows.listed(Pilot, "p")
SAVE = rows.update("pilot", Pilot)
GET = f"SELECT {COLUMNS} FROM pilot p WHERE id = %(id)s"
LOCK = f"SELECT {COLUMNS} FROM pilot p WHERE id = ANY(%(ids)s::uuid[]) AND state = 'running' ORDER BY id FOR UPDATE"
LIST = f"""
SELECT {COLUMNS} FROM pilot p
 WHERE (%(scope_company)s OR owner_id = %(scope_owner)s OR touched && %(scope_units)s::text[])
   AND (%(units)s::text[] IS NULL OR touched && %(units)s::text[]) AND (%(state)s = '' OR state = %(state)s)
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('pilot start'))"
# Where something is tried nothing else is, nor is it what others are compared with.
TAKEN = """
SELECT id, name FROM pilot
 WHERE state = 'running' AND (touched && %(touched)s::text[] OR touched && %(compared)s::text[] OR compared && %(touched)s::text[])
 ORDER BY id LIMIT 1
"""
SAID = f"""
SELECT {rows.listed(Feedback, "f")} FROM pilot_feedback f
 WHERE pilot_id = %(id)s ORDER BY at DESC, id DESC LIMIT 200
"""
SPOKE = "SELECT DISTINCT pilot_id, person_id FROM pilot_feedback WHERE pilot_id = ANY(%(ids)s::uuid[])"
WORTH = "coalesce(o.reporting_minor, 0) * o.probability"
# Stays in these stages that ended within the time, or had not ended by then.
STAYS = f"""
SELECT h.key, o.owner_id, o.unit_id, m.at AS since, n.at AS until, NULL::timestamptz AS due_at, n.dwell_days AS days,
       ({WORTH})::float8 AS worth
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
       JOIN stage_move m ON m.opportunity_id = o.id
       JOIN unnest(%(keys)s::text[], %(pipelines)s::text[], %(stages)s::text[]) AS h (key, home_pipeline, home_stage)
         ON h.home_pipeline = m.pipeline_id AND h.home_stage = m.to_stage_key
       LEFT JOIN stage_move n ON n.opportunity_id = m.opportunity_id AND n.sequence = m.sequence + 1
 WHERE {scope.SQL} AND NOT m.imported
   AND m.at < %(to)s AND (n.at IS NULL OR n.at >= %(from)s)
"""
# Of quotes or contracts that were handed in: when they were decided; what was called off waits for nobody.
IN_APPROVAL = f"""
SELECT '{{key}}' AS key, o.owner_id, o.unit_id, q.submitted_at AS since, q.decided_at AS until, q.approval_due_at AS due_at,
       NULL::float8 AS days, ({WORTH})::float8 AS worth
  FROM (SELECT opportunity_id, submitted_at, decided_at, approval_due_at, approval_state FROM {{table}}) q
       JOIN opportunity o ON o.id = q.opportunity_id LEFT JOIN account a ON a.id = o.account_id
 WHERE {scope.SQL} AND q.submitted_at < %(to)s
   AND (q.decided_at >= %(from)s OR (q.decided_at IS NULL AND q.approval_state = 'pending'))
"""


async def get(db: Reader | Transaction, pilot_id: str, *, lock: bool = False) -> Pilot:
    """Raises NotFound PILOT_UNKNOWN."""
    found = await db.one(f"{GET} FOR UPDATE" if lock else GET, {"id": pilot_id}, into=Pilot)
    if found is None:
        raise errors.NotFound("PILOT_UNKNOWN", f"no pilot {pilot_id}")
    return found


async def said(db: Reader | Transaction, pilot_id: str) -> Sequence[Feedback]:
    return await db.all(SAID, {"id": pilot_id}, into=Feedback)


async def stays(db: Reader | Transaction, params: dict[str, Any]) -> Sequence[Stay]:
    return await db.all(STAYS, params, into=Stay)


async def in_approval(db: Reader | Transaction, tables: Mapping[str, str], params: dict[str, Any]) -> Sequence[Stay]:
    """`tables` by key of the subject."""
    sql = (IN_APPROVAL.replace("{key}", key).replace("{table}", table) for key, table in tables.items())
    return await db.all("\nUNION ALL\n".join(sql), params, into=Stay)
