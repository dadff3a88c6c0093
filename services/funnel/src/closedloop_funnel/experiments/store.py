"""Experiments, who was drawn into them, and what was seen at each look, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One row of `experiment`."""

    id: str
    version: int = 1
    action_id: str
    owner_id: str
    unit_id: str
    hypothesis: str
    state: str = "draft"
    design: dict[str, Any]
    plan: dict[str, Any]
    seed: int | None = None
    effect: dict[str, Any] | None = None
    verdict: str = ""
    stop_reason: str = ""
    created_at: datetime
    started_at: datetime | None = None
    planned_end_at: datetime | None = None
    concluded_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One row of `experiment_unit`."""

    experiment_id: str
    unit_id: str
    arm: str
    stratum: str
    people: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One row of `experiment_look`."""

    experiment_id: str
    number: int
    at: datetime
    effect: dict[str, Any]
    arms: dict[str, Any]
    stops: bool


@dataclass(frozen=True, slots=True)
class Account:
    """A customer, as a candidate."""

    id: str
    owner_id: str
    unit_id: str
    customer_type: str
    grade: str
    industry: str


COLUMNS = rows.listed(Experiment, "e")
SAVE = rows.update("experiment", Experiment)
DRAW = rows.insert("experiment_unit", Drawn)
LOOKED = rows.insert("experiment_look", Look) + " ON CONFLICT (experiment_id, number) DO NOTHING"
GET = f"SELECT {COLUMNS} FROM experiment e WHERE id = %(id)s"
RUNNING = (
    f"SELECT {COLUMNS} FROM experiment e WHERE id = ANY(%(ids)s::uuid[]) AND state = 'running' ORDER BY id FOR UPDATE"
)
DRAWN = f"""
SELECT {rows.listed(Drawn, "u")} FROM experiment_unit u
 WHERE experiment_id = ANY(%(ids)s::uuid[]) ORDER BY experiment_id, unit_id
"""
LOOKS = f"""
SELECT {rows.listed(Look, "k")} FROM experiment_look k
 WHERE experiment_id = ANY(%(ids)s::uuid[]) ORDER BY experiment_id, number
"""
LIST = f"""
SELECT {COLUMNS} FROM experiment e
 WHERE {Scope.SQL} AND (%(owner)s = '' OR owner_id = %(owner)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(state)s = '' OR state = %(state)s)
   AND (%(action)s::uuid IS NULL OR action_id = %(action)s)
   AND (%(from)s::timestamptz IS NULL
        OR (started_at < %(to)s AND coalesce(concluded_at, planned_end_at) >= %(from)s))
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('experiment start'))"
# The same unit, or somebody whose work both touch; two tests on customers of one seller do not contradict each other.
TAKEN = """
SELECT u.experiment_id, u.unit_id
  FROM experiment e JOIN experiment_unit u ON u.experiment_id = e.id
 WHERE e.state = 'running' AND (%(metric)s = '' OR e.design ->> 'metricKey' = %(metric)s)
   AND CASE WHEN %(kind)s = 'account' AND e.design ->> 'assignmentUnit' = 'ASSIGNMENT_UNIT_ACCOUNT'
            THEN u.unit_id = ANY(%(ids)s) ELSE u.people && %(people)s::text[] END
 ORDER BY u.unit_id LIMIT 1
"""
ACCOUNTS = """
SELECT id, account_owner_id AS owner_id, account_unit_id AS unit_id, customer_type, grade, industry FROM account
 WHERE merged_into_id IS NULL AND status NOT IN ('retired', 'merged')
   AND (id::text = ANY(%(ids)s) OR (%(ids)s::text[] = '{}' AND account_unit_id = ANY(%(units)s))) ORDER BY id LIMIT 1001
"""
# Of people or units: the customer type that most of their deals have, and since when people have been here.
TYPES = """
SELECT DISTINCT ON (group_key) group_key, kind
  FROM (SELECT {group} AS group_key, coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS kind, count(*) AS deals
          FROM opportunity o LEFT JOIN account a ON a.id = o.account_id WHERE {group} = ANY(%(groups)s) GROUP BY 1, 2) t
 WHERE kind <> '' ORDER BY group_key, deals DESC, kind
"""
STARTS = "SELECT person_id, start_date FROM onboarding WHERE person_id = ANY(%(people)s)"


async def get(db: Reader | Transaction, experiment_id: str, *, lock: bool = False) -> Experiment:
    """Raises NotFound EXPERIMENT_UNKNOWN."""
    found = await db.one(f"{GET} FOR UPDATE" if lock else GET, {"id": experiment_id}, into=Experiment)
    if found is None:
        raise errors.NotFound("EXPERIMENT_UNKNOWN", f"no experiment {experiment_id}")
    return found


async def drawn(db: Reader | Transaction, ids: Sequence[str]) -> dict[str, list[Drawn]]:
    """By experiment."""
    found: dict[str, list[Drawn]] = {one: [] for one in ids}
    for one in await db.all(DRAWN, {"ids": list(ids)}, into=Drawn):
        found[one.experiment_id].append(one)
    return found


async def looks(db: Reader | Transaction, ids: Sequence[str]) -> dict[str, list[Look]]:
    """By experiment, the first first."""
    found: dict[str, list[Look]] = {one: [] for one in ids}
    for one in await db.all(LOOKS, {"ids": list(ids)}, into=Look):
        found[one.experiment_id].append(one)
    return found
