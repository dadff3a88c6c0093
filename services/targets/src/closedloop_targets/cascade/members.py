"""The part of the organisation a target is split over."""

from __future__ import annotations

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_targets.cascade.rules import REP, Key, Member


def below(org: OrgSnapshot, unit_id: str, carriers: frozenset[str], excluded: frozenset[Key]) -> Member:
    """Active units and carriers at and below the unit. Raises FailedPrecondition UNIT_CLOSED or ORG_CYCLE."""
    unit = org.unit(unit_id)
    if unit is None or not unit.active:
        raise errors.FailedPrecondition("UNIT_CLOSED", f"unit {unit_id} is closed")
    return _member(org, unit_id, carriers, excluded, frozenset())


def _member(
    org: OrgSnapshot, unit_id: str, carriers: frozenset[str], excluded: frozenset[Key], above: frozenset[str]
) -> Member:
    if unit_id in above:
        raise errors.FailedPrecondition("ORG_CYCLE", f"unit {unit_id} lies below itself")
    people = [
        Member(("person", person.id), unit_id, REP, 1)
        for person in org.members(unit_id)
        if person.active and carriers.intersection(person.roles) and ("person", person.id) not in excluded
    ]
    units = [
        _member(org, child.id, carriers, excluded, above | {unit_id})
        for child in org.children(unit_id)
        if child.active and ("unit", child.id) not in excluded
    ]
    children = tuple(sorted((*units, *people), key=lambda member: member.key))
    unit = org.unit(unit_id)
    return Member(
        ("unit", unit_id), unit_id, unit.kind if unit else "", sum(child.heads for child in children), children
    )


def flat(root: Member) -> list[Member]:
    """All members below the root."""
    found: list[Member] = []
    ahead = list(root.children)
    while ahead:
        found.append(ahead.pop())
        ahead.extend(found[-1].children)
    return found
