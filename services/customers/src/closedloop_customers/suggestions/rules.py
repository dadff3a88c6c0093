"""Facts that wait for a person: what they may change, and when they are news (S32)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import ClockSetting, Rules

# Fields a suggestion of each kind may name, besides those of the record's profile where it says so.
OWN_FIELDS: dict[str, frozenset[str]] = {
    "job_change": frozenset({"job_title", "employer_name", "change_date"}),
    "new_project": frozenset({"project_name", "need", "product_lines"}),
    "contact_detail": frozenset(),
    "new_contact": frozenset(),
    "account_detail": frozenset(),
}
PROFILE_OF = {"contact_detail": "contact", "new_contact": "contact", "account_detail": "account"}
# The record a suggestion of each kind is about.
RECORD_OF = {
    "job_change": "contact",
    "contact_detail": "contact",
    "new_contact": "account",
    "new_project": "account",
    "account_detail": "account",
}


class SuggestionRules(Rules):
    """How sure a reader must be, and how long a suggestion waits."""

    rulebook: ClassVar[str] = "customers.suggestions"

    least_confidence: float = Field(default=0.5, ge=0, le=1)
    # The owner's task falls due.
    decide: ClockSetting = ClockSetting(days=2, calendar="business")
    # Nobody decided: nothing is written, the suggestion expires.
    expire: ClockSetting = ClockSetting(days=30)
    # What values of mail facts are called, as fields of a suggestion.
    value_fields: dict[str, str] = Field(default={
        "title": "job_title", "job_title": "job_title", "new_title": "job_title", "position": "job_title",
        "employer": "employer_name", "company": "employer_name", "employer_name": "employer_name",
        "new_company": "employer_name",
        "date": "change_date", "change_date": "change_date", "department": "department",
        "phone": "phones", "mobile": "phones", "phones": "phones",
        "email": "email_addresses", "mail": "email_addresses", "address": "email_addresses", "wechat": "wechat_id",
        "name": "name", "person_name": "name", "project": "project_name",
        "project_name": "project_name", "need": "need",
        "product_line": "product_lines", "product_lines": "product_lines",
    })  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One field as it was when proposed, as proposed, and as confirmed; plain JSON values."""

    field: str
    present: Any
    proposed: Any
    confirmed: Any = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    id: str
    record_type: str
    record_id: str
    account_id: str | None
    kind: str
    state: str
    changes: list[dict[str, Any]]
    summary: str
    quote: str
    provenance: dict[str, Any]
    source: str
    source_id: str
    confidence: float
    owner_id: str
    unit_id: str
    created_at: datetime
    due_at: datetime
    decided_by: str
    decided_at: datetime | None
    decision_reason: str
    created_contact_id: str | None
    opportunity_point_id: str | None
    version: int
    digest: str


def news(kind: str, present: Mapping[str, Any], proposed: Mapping[str, Any], allowed: Iterable[str]) -> list[Change]:
    """What would change. Raises InvalidArgument UNKNOWN_FIELD; FailedPrecondition NOTHING_NEW where all is known
    already."""
    known = set(allowed) | OWN_FIELDS[kind]
    if unknown := sorted(set(proposed) - known):
        raise errors.InvalidArgument(
            "UNKNOWN_FIELD", f"a {kind} has no {', '.join(unknown)}", {"changes": ", ".join(unknown)}
        )
    fresh = [Change(name, present.get(name), value) for name, value in proposed.items() if value != present.get(name)]
    if not fresh:
        raise errors.FailedPrecondition("NOTHING_NEW", "the record says so already")
    return fresh


def digest(record_type: str, record_id: str, kind: str, changes: Sequence[Change]) -> str:
    """The same fact, whoever computes it."""
    told = [
        record_type,
        record_id,
        kind,
        sorted((change.field, json.dumps(change.proposed, sort_keys=True)) for change in changes),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def corrected(changes: Sequence[Change], corrections: Mapping[str, Any]) -> list[Change]:
    """The changes as a person confirmed them. Raises InvalidArgument UNKNOWN_FIELD for a field that was not
    proposed."""
    names = {change.field for change in changes}
    if unknown := sorted(set(corrections) - names):
        raise errors.InvalidArgument(
            "UNKNOWN_FIELD", f"{', '.join(unknown)} was not proposed", {"corrections": ", ".join(unknown)}
        )
    return [replace(change, confirmed=corrections.get(change.field, change.proposed)) for change in changes]


def refuse_overtaken(changes: Sequence[Change], present: Mapping[str, Any]) -> None:
    """Raises Aborted RECORD_CHANGED where a field is no longer what it was when the change was proposed."""
    moved = [change.field for change in changes if (present.get(change.field) or None) != (change.present or None)]
    if moved:
        raise errors.Aborted(
            "RECORD_CHANGED",
            f"{', '.join(moved)} changed since; look at the record and decide again",
            fields=",".join(moved),
        )
