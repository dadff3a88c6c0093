"""Units and people of the company by id, out of memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit
from closedloop_chassis.work import Call, Work


async def unit(work: Work, unit_id: str) -> Unit:
    """Raises NotFound UNIT_NOT_FOUND. A unit made a moment ago may not be in memory yet: a miss looks again."""
    found = work.org.unit(unit_id)
    if found is None:
        await work.process.look()
        found = work.org.unit(unit_id)
    if found is None:
        raise errors.NotFound("UNIT_NOT_FOUND", f"there is no unit {unit_id}", unit_id=unit_id)
    return found


async def person(work: Work, person_id: str) -> Person:
    """Raises NotFound PERSON_NOT_FOUND."""
    found = work.org.person(person_id)
    if found is None:
        await work.process.look()
        found = work.org.person(person_id)
    if found is None:
        raise errors.NotFound("PERSON_NOT_FOUND", f"there is no person {person_id}", person_id=person_id)
    return found


def closure(org: OrgSnapshot, unit_ids: Iterable[str]) -> dict[str, list[str]]:
    """Parallel arrays for SQL: each unit asked for beside every unit of its subtree, itself included."""
    pairs = [(above, below) for above in unit_ids for below in sorted(org.subtree(above))]
    return {"above": [above for above, _ in pairs], "below": [below for _, below in pairs]}


async def people(call: Call, unit_id: str, person_id: str) -> list[Person]:
    """Whom the caller asks about and may see: one person, or everybody at and below a unit, or all within reach.

    Raises NotFound PERSON_NOT_FOUND or UNIT_NOT_FOUND, and PermissionDenied OUT_OF_SCOPE."""
    if person_id:
        one = await person(call, person_id)
        call.authorize(one.id, one.unit_id)
        return [one]
    if unit_id:
        await unit(call, unit_id)
    units = call.org.subtree(unit_id) if unit_id else None
    found = [
        one
        for one in call.org.people.values()
        if (units is None or one.unit_id in units) and call.scope.covers(one.id, one.unit_id)
    ]
    if unit_id and not found:
        call.authorize("", unit_id)
    return found


@lru_cache(maxsize=4)
def tops(org: OrgSnapshot) -> list[str]:
    """Units from the root down: the plan of whoever stands higher is the one that counts. Nobody changes the list."""
    return sorted(org.units, key=lambda unit: (len(list(org.ancestry(unit))), unit))
