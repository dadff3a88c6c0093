"""Who may be given something."""

from __future__ import annotations

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import Person
from closedloop_chassis.work import Call


def successor(person_id: str, call: Call) -> Person:
    """The colleague, in the caller's reach. Raises InvalidArgument PERSON_UNKNOWN, FailedPrecondition PERSON_LEFT."""
    person = call.org.person(person_id)
    if person is None:
        raise errors.InvalidArgument("PERSON_UNKNOWN", f"nobody here is {person_id}", {"new_owner_id": "unknown"})
    if not person.active:
        raise errors.FailedPrecondition("PERSON_LEFT", f"{person.name} has left")
    call.authorize(person.id, person.unit_id)
    return person
