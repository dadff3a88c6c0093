"""Keeps the local copy of the organisation from what targets tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import events_pb2
from closedloop.targets.v1.org_pb2 import Territory
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions, Slice
from closedloop_chassis.work import Heard, Work

reactions = Reactions()

# An older version that arrives late changes nothing.
PUT_UNITS = """
INSERT INTO org_unit SELECT * FROM jsonb_populate_recordset(NULL::org_unit, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET parent_id = excluded.parent_id, name = excluded.name, kind = excluded.kind, manager_id = excluded.manager_id,
       calendar = excluded.calendar, time_zone = excluded.time_zone, currency_code = excluded.currency_code,
       territory = excluded.territory, active = excluded.active, version = excluded.version
 WHERE org_unit.version < excluded.version
"""

PUT_PEOPLE = """
INSERT INTO org_person SELECT * FROM jsonb_populate_recordset(NULL::org_person, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET unit_id = excluded.unit_id, name = excluded.name, title = excluded.title, roles = excluded.roles,
       function = excluded.function, email = excluded.email, mobile = excluded.mobile, handles = excluded.handles,
       time_zone = excluded.time_zone, language = excluded.language, territory = excluded.territory,
       active = excluded.active, version = excluded.version
 WHERE org_person.version < excluded.version
"""

MOVED = "UPDATE memory_revision SET value = value + 1 WHERE name = 'org'"


@reactions.batch(events_pb2.OrgUnitChanged)
async def copy_units(events: Sequence[Heard[events_pb2.OrgUnitChanged]], work: Work) -> None:
    put_units(work.tx, [event.message for event in newest(events, lambda unit: unit.unit_id).values()])
    work.tx.after_commit(work.process.reload_soon)


@reactions.batch(events_pb2.PersonChanged)
async def copy_people(events: Sequence[Heard[events_pb2.PersonChanged]], work: Work) -> None:
    put_people(work.tx, [event.message for event in newest(events, lambda person: person.person_id).values()])
    work.tx.after_commit(work.process.reload_soon)


def put_unit(tx: Transaction, unit: events_pb2.OrgUnitChanged) -> None:
    """Queues the unit as it is now; targets writes its own tree by the same statement."""
    put_units(tx, [unit])


def put_person(tx: Transaction, person: events_pb2.PersonChanged) -> None:
    """Queues the person as they are now."""
    put_people(tx, [person])


def put_units(tx: Transaction, units: Iterable[events_pb2.OrgUnitChanged]) -> None:
    """Many units, each once, in one statement."""
    fields = ("name", "kind", "parent_id", "manager_id", "calendar", "time_zone", "currency_code", "active", "version")
    rows: list[dict[str, Any]] = [
        {name: getattr(unit, name) for name in fields} | {"id": unit.unit_id, "territory": _territory(unit.territory)}
        for unit in units
    ]
    if rows:
        tx.do(PUT_UNITS, {"rows": Jsonb(rows)})
        tx.do(MOVED)


def put_people(tx: Transaction, people: Iterable[events_pb2.PersonChanged]) -> None:
    """Many people, each once, in one statement."""
    fields = ("name", "unit_id", "title", "function", "email", "mobile", "time_zone", "language", "active", "version")
    rows: list[dict[str, Any]] = [
        {name: getattr(person, name) for name in fields}
        | {
            "id": person.person_id,
            "roles": [options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in person.roles],
            "handles": dict(person.handles),
            "territory": _territory(person.territory),
        }
        for person in people
    ]
    if rows:
        tx.do(PUT_PEOPLE, {"rows": Jsonb(rows)})
        tx.do(MOVED)


def _territory(territory: Territory) -> dict[str, list[str]]:
    return {
        "regions": list(territory.regions),
        "industries": list(territory.industries),
        "product_lines": list(territory.product_lines),
    }


SLICE = Slice(name="org", reactions=reactions)
