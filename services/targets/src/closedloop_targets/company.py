"""Units and people of the company by id, out of memory."""

from __future__ import annotations

from collections.abc import Iterable

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot, Person, Unit
from closedloop_chassis.work import Work


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
