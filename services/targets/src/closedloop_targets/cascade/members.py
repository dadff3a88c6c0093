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
    ordered: list[tuple[str, list[str]]] = []
    ahead, seen = [unit_id], {unit_id}
    while ahead:
        above = ahead.pop()
        units = [child.id for child in org.children(above) if child.active and ("unit", child.id) not in excluded]
        if again := next((child for child in units if child in seen), ""):
            raise errors.FailedPrecondition("ORG_CYCLE", f"unit {again} lies below itself")
        ordered.append((above, units))
        seen.update(units)
        ahead.extend(units)
    # From the bottom up, by a list and not by calls: a tree is as deep as it likes.
    made: dict[str, Member] = {}
    for above, units in reversed(ordered):
        people = [
            Member(("person", person.id), above, REP, 1)
            for person in org.members(above)
            if person.active and carriers.intersection(person.roles) and ("person", person.id) not in excluded
        ]
        children = tuple(sorted((*(made.pop(child) for child in units), *people), key=lambda member: member.key))
        known = org.unit(above)
        heads = sum(child.heads for child in children)
        made[above] = Member(("unit", above), above, known.kind if known else "", heads, children)
    return made[unit_id]


def flat(root: Member) -> list[Member]:
    """All members below the root."""
    found: list[Member] = []
    ahead = list(root.children)
    while ahead:
        found.append(ahead.pop())
        ahead.extend(found[-1].children)
    return found
