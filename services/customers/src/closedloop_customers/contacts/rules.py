"""A person at an account, and what a change of job does to the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, ClassVar

from closedloop_chassis.rulebook.rules import Rules
from closedloop_customers import identifiers


class ContactRules(Rules):
    """How contacts are kept."""

    rulebook: ClassVar[str] = "customers.contacts"

    # An opt-out of "every channel" closes these.
    all_channels: tuple[str, ...] = ("phone", "wechat", "email", "sms")
    # Fields whose change verifies the position of somebody whose job had changed (S31).
    position_fields: frozenset[str] = frozenset({"job_title", "department", "phones", "email_addresses"})


@dataclass(frozen=True, slots=True)
class Contact:
    """`employments`: the present one first, as dicts of Employment's fields, days as text. Owned as its account is."""

    id: str
    account_id: str
    profile: dict[str, Any]
    state: str
    employments: list[dict[str, Any]]
    closed_channels: list[str]
    provenances: list[dict[str, Any]]
    last_interaction_at: datetime | None
    last_verify_at: datetime
    merged_into_id: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    owner_id: str
    unit_id: str
    participant_ids: list[str]

    @property
    def search(self) -> str:
        return search_text(self.profile)


def search_text(profile: Mapping[str, Any]) -> str:
    numbers = [form for number in profile.get("phones", ()) for form in (compact(number), identifiers.phone(number))]
    return " ".join([profile.get("name", ""), *profile.get("email_addresses", ()), *numbers]).lower()


def compact(text: str) -> str:
    """A number as it is looked for: without blanks and hyphens; other text as it is."""
    squeezed = text.replace(" ", "").replace("-", "")
    return squeezed if squeezed.lstrip("+").isdigit() else text


def employment(
    account_id: str, job_title: str = "", start: date | None = None, action: str = "", employer: str = ""
) -> dict[str, Any]:
    fields = {
        "account_id": account_id,
        "employer_name": employer,
        "job_title": job_title,
        "start_date": start.isoformat() if start else "",
        "business_action": action,
    }
    return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True, slots=True)
class JobChange:
    """Where somebody went: an account of ours, an employer by name, or neither if nobody knows. `day` the old job
    ended."""

    day: date | None
    account_id: str
    employer_name: str
    job_title: str


def job_changed(contact: Contact, change: JobChange, action: str) -> Contact:
    """Ends the present employment and opens the next one if it is known; the contact is marked until somebody
    verifies (S31)."""
    past = [dict(held) for held in contact.employments] or [
        employment(contact.account_id, contact.profile.get("job_title", ""))
    ]
    if change.day is not None:
        past[0]["end_date"] = change.day.isoformat()
    past[0].setdefault("end_date", "")
    known = bool(change.account_id or change.employer_name or change.job_title)
    account_id = change.account_id or ("" if change.employer_name else contact.account_id)
    following = [employment(account_id, change.job_title, change.day, action, change.employer_name)] if known else []
    profile = {name: value for name, value in contact.profile.items() if name != "job_title"}
    if change.job_title:
        profile["job_title"] = change.job_title
    return replace(
        contact,
        account_id=change.account_id or contact.account_id,
        profile=profile,
        state="job_changed" if known else "left",
        employments=[*following, *past],
    )


def closed(present: Iterable[str], channel: str, allowed: bool, rules: ContactRules) -> list[str]:
    """Closed channels after an opt-out or opt-in; an empty `channel` is every channel."""
    touched = {channel} if channel else set(rules.all_channels)
    return sorted(set(present) - touched if allowed else set(present) | touched)
