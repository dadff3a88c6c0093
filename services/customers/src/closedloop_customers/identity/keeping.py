"""What a merge changes of a record, kept so that it can be given back (U11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from closedloop_customers.accounts.rules import Account
from closedloop_customers.contacts.rules import Contact
from closedloop_customers.identity import merging
from closedloop_customers.leads.rules import Lead

Held = Account | Contact | Lead
Some = TypeVar("Some", Account, Contact, Lead)
Kept = Mapping[str, Any]

OWNER = ("owner_id", "unit_id")
# Fields of the survivor that a merge may change, beside the profile: those of one line go back together or not at all.
GAINED: dict[str, tuple[tuple[str, ...], ...]] = {
    "account": (OWNER, ("participant_ids",), ("provenances",)),
    "contact": (("closed_channels",), ("provenances",)),
    "lead": (
        OWNER,
        ("stage", "responded_at", "responded_in_time", "response_light"),
        ("account_id",),
        ("contact_id",),
        ("opportunity_id", "converted_at"),
    ),
}
# Fields by which an absorbed record is gone.
GONE: dict[str, tuple[str, ...]] = {
    "account": ("status",),
    "contact": ("state",),
    "lead": ("stage", "closed_from", "outcome", "close_reason", "closed_at", "response_light", "paused_until"),
}
# A test walks the columns of these tables and fails on one that is neither above nor here. What follows from other rows
# is computed again, times and versions only grow, the rest a merge leaves alone.
COMPUTED = frozenset({"status", "grade", "quality_light", "high_potential", "last_interaction_at", "last_verify_at"})
LEFT_ALONE = frozenset(
    {
        "id", "created_at", "updated_at", "version", "search", "merged_into_id", "profile", "historical", "employments",
        "provenance", "received_at", "assignment_rule", "priority", "escalation_level", "pauses", "response_due_at",
        "alarm_at", "erased_at",
    }
)  # fmt: skip
_INSTANTS = frozenset({"responded_at", "converted_at", "closed_at", "paused_until"})


def snapshot(kind: str, record: Held) -> dict[str, Any]:
    names = {name for group in GAINED[kind] for name in group} | set(GONE[kind])
    return {"profile": record.profile, **{name: getattr(record, name) for name in sorted(names)}}


def parted(kind: str, survivor: Some, before: Kept, after: Kept) -> Some:
    """The survivor without what the merge gave it, which made `after` of `before`; what was written since stays."""
    changes: dict[str, Any] = {"profile": merging.part(survivor.profile, before["profile"], after.get("profile", {}))}
    for group in GAINED[kind]:
        if not all(name in before and name in after for name in group):
            continue  # kept before so much was
        now = {name: getattr(survivor, name) for name in group}
        was, became = ({name: _read(name, kept[name]) for name in group} for kept in (before, after))
        if isinstance(now[group[0]], list):
            (name,) = group
            changes[name] = [item for item in now[name] if item in was[name] or item not in became[name]]
        elif now == became:
            changes |= was
    return replace(survivor, **changes)


def returned(kind: str, absorbed: Some, before: Kept) -> Some:
    """The absorbed record as it stood by itself."""
    was = {name: _read(name, before[name]) for name in GONE[kind] if name in before}
    return replace(absorbed, **was, merged_into_id=None)


def _read(name: str, kept: Any) -> Any:
    return datetime.fromisoformat(kept) if name in _INSTANTS and isinstance(kept, str) else kept
