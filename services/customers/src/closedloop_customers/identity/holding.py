"""Whose records are after a merge, and after it was taken apart (U11, S82)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from closedloop_chassis.work import Work
from closedloop_customers.accounts.rules import Account
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.leads.rules import Lead

Owned = TypeVar("Owned", Account, Lead)
# (person, unit); nobody is the pool of the unit.
Owner = tuple[str, str]

TAKEN_APART = "a merge was taken apart"


def kept(work: Work, record: Owned) -> Owned:
    """The record with who owned it, or in the pool of the unit where that person has left."""
    person = work.org.person(record.owner_id) if record.owner_id else None
    working = person is not None and person.active
    owner_id, unit_id = (person.id, person.unit_id) if person is not None and working else ("", record.unit_id)
    return replace(record, owner_id=owner_id, unit_id=unit_id)


def living(work: Work, record: Owned) -> Owned:
    """The same of a survivor, whom somebody may have claimed out of the pool since."""
    return kept(work, record) if record.owner_id else record


def handed_over(work: Work, kind: str, before: Account | Lead, owner: Owner, why: str) -> None:
    """Queues assignment and clocks of a survivor that a merge, or its end, gives another owner."""
    if before.owner_id == owner[0]:
        return
    assignment.hold(work, kind, [(before.id, *owner)], "manual", why, previous={before.id: before.owner_id})
    work.clocks.hand_over(before.id, *owner)


def held_again(work: Work, kind: str, records: Sequence[Account | Lead]) -> None:
    held = [(record.id, record.owner_id, record.unit_id) for record in records]
    if held:
        assignment.hold(work, kind, held, "manual", f"{TAKEN_APART}; as it was before", previous={})
