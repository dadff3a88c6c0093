"""Units and people with all their states."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_targets.org.rules import PersonRecord, PersonState, UnitRecord, UnitState

# Changes of the organisation follow each other: a cycle is made by two that do not see each other.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('targets.org'))"

UNITS = """
SELECT unit.*, (SELECT jsonb_agg(to_jsonb(s) - 'unit_id' ORDER BY start_date) FROM unit_state s
    WHERE s.unit_id = unit.id) AS states
  FROM unit
"""
PEOPLE = """
SELECT person.*,
       (SELECT jsonb_agg(to_jsonb(s) - 'person_id' ORDER BY start_date) FROM person_state s
           WHERE s.person_id = person.id)
       AS states
  FROM person WHERE %(ids)s::text[] IS NULL OR id = ANY(%(ids)s)
"""
# Of the state that holds on the day; of the first one for days before it.
LIST_PEOPLE = """
SELECT person.id
  FROM person
  JOIN LATERAL (SELECT * FROM person_state s WHERE s.person_id = person.id
                 ORDER BY start_date <= %(day)s DESC, abs(start_date - %(day)s::date) LIMIT 1) AS state ON true
 WHERE person.id > %(after)s
   AND (%(units)s::text[] IS NULL OR state.unit_id = ANY(%(units)s))
   AND (%(query)s = '' OR person.id ILIKE %(like)s OR state.name ILIKE %(like)s OR state.title ILIKE %(like)s)
   AND (%(role)s = '' OR %(role)s = ANY(state.roles))
   AND (%(function)s = '' OR state.function = %(function)s)
   AND (%(state)s = '' OR %(state)s = CASE WHEN hire_date > %(day)s THEN 'planned'
                                           WHEN leave_date <= %(day)s THEN 'closed' ELSE 'active' END)
 ORDER BY person.id LIMIT %(limit)s
"""
PUT_UNITS = """
INSERT INTO unit SELECT * FROM jsonb_populate_recordset(NULL::unit, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET open_date = excluded.open_date, close_date = excluded.close_date, successor_id = excluded.successor_id,
       provenance = excluded.provenance, version = excluded.version, updated_at = excluded.updated_at,
           told = excluded.told
"""
PUT_PEOPLE = """
INSERT INTO person SELECT * FROM jsonb_populate_recordset(NULL::person, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET hire_date = excluded.hire_date, leave_date = excluded.leave_date, provenance = excluded.provenance,
       version = excluded.version, updated_at = excluded.updated_at, told = excluded.told
"""
FORGET_UNIT_STATES = "DELETE FROM unit_state WHERE unit_id = ANY(%(ids)s)"
FORGET_PERSON_STATES = "DELETE FROM person_state WHERE person_id = ANY(%(ids)s)"
PUT_UNIT_STATES = "INSERT INTO unit_state SELECT * FROM jsonb_populate_recordset(NULL::unit_state, %(rows)s)"
PUT_PERSON_STATES = "INSERT INTO person_state SELECT * FROM jsonb_populate_recordset(NULL::person_state, %(rows)s)"

# Targets in force that a unit holds beyond a day.
HOLDS_TARGETS = """
SELECT EXISTS (SELECT FROM target JOIN plan ON plan.id = target.plan_id AND plan.version_in_force = target.number
                WHERE holder_kind = 'unit' AND holder_id = %(unit_id)s AND target.end_date >= %(day)s
                    AND target.minor <> 0)
"""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Records by id; `people` holds those that were asked for."""

    units: dict[str, UnitRecord]
    people: dict[str, PersonRecord]


async def load(reader: Reader | Transaction, people: Collection[str] | None = None) -> Organisation:
    """All units, and the people named; everybody when None. Two round trips, one without people."""
    units = {row["id"]: _unit(row) for row in await reader.all(UNITS)}
    if people is not None and not people:
        return Organisation(units, {})
    found = await reader.all(PEOPLE, {"ids": None if people is None else list(people)})
    return Organisation(units, {row["id"]: person_record(row) for row in found})


async def load_for_change(tx: Transaction, people: Collection[str] | None = None) -> Organisation:
    """Like `load`, and nobody else changes the organisation until the end of the transaction."""
    tx.do(LOCK)
    return await load(tx, people)


def save_units(tx: Transaction, units: Sequence[UnitRecord]) -> None:
    if units:
        tx.do(PUT_UNITS, {"rows": rows.pack(units, "states")})
        tx.do(FORGET_UNIT_STATES, {"ids": [unit.id for unit in units]})
        states = [{"unit_id": unit.id, **rows.row(state)} for unit in units for state in unit.states]
        tx.do(PUT_UNIT_STATES, {"rows": rows.pack(states)})


def save_people(tx: Transaction, people: Sequence[PersonRecord]) -> None:
    if people:
        tx.do(PUT_PEOPLE, {"rows": rows.pack(people, "states")})
        tx.do(FORGET_PERSON_STATES, {"ids": [person.id for person in people]})
        states = [{"person_id": person.id, **rows.row(state)} for person in people for state in person.states]
        tx.do(PUT_PERSON_STATES, {"rows": rows.pack(states)})


def _unit(row: dict[str, Any]) -> UnitRecord:
    states = tuple(
        UnitState(**{**state, "start_date": date.fromisoformat(state["start_date"])}) for state in row["states"]
    )
    return UnitRecord(**{**row, "states": states})


def person_record(row: dict[str, Any]) -> PersonRecord:
    states = tuple(
        PersonState(**{**state, "start_date": date.fromisoformat(state["start_date"])}) for state in row["states"]
    )
    return PersonRecord(**{**row, "states": states})
