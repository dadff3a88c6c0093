"""Who has to act on a warning: the same words as a task's `assignee_role`, resolved to one person."""

from __future__ import annotations

from closedloop_chassis.work import Work
from closedloop_funnel.warnings.rules import WarningRules


def answerable(word: str, owner_id: str, unit_id: str, work: Work) -> str:
    """`word`: "owner", "manager_of_owner", "director_of_owner", "role:<function or role>". Where it names nobody, whoever
    leads the unit; empty only in a company without people."""
    kind, _, name = word.partition(":")
    title = word.removesuffix("_of_owner")
    found = ""
    if word == "owner":
        found = owner_id
    elif kind == "role":
        found = _holder(name, unit_id, work)
    elif title in work.rules(WarningRules).titles:
        led = work.org.unit_of_kind(unit_id, work.rules(WarningRules).titles[title])
        found = led.manager_id if led else ""
    return found if _here(found, work) else leading(owner_id, unit_id, work)


def leading(owner_id: str, unit_id: str, work: Work) -> str:
    """Whoever leads the owner now, or else the unit; himself where nobody does."""
    line = work.org.line_of(owner_id)
    leader = line[0] if line else work.org.manager_of(unit_id)
    return leader.id if leader else owner_id


def gone(owner_id: str, work: Work) -> bool:
    """Known here, and not with the company any more."""
    return work.org.person(owner_id) is not None and not _here(owner_id, work)


def _here(person_id: str, work: Work) -> bool:
    person = work.org.person(person_id)
    return person is not None and person.active


def _holder(name: str, unit_id: str, work: Work) -> str:
    """The nearest one upwards; the first by id where several hold it."""
    for above in work.org.ancestry(unit_id):
        holders = sorted(
            person.id
            for below in work.org.subtree(above)
            for person in work.org.members(below)
            if person.active and (person.function == name or name in person.roles)
        )
        if holders:
            return holders[0]
    return ""
