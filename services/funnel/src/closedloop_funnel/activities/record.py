"""A contact with a customer and a seller's day, as Python and SQL hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One row of `activity`. `at` is when it began, or when it is planned to."""

    id: str
    version: int = 1
    kind: str
    state: str
    owner_id: str
    unit_id: str
    source: str
    source_id: str = ""
    brought_by: str = ""
    observed_at: datetime | None = None
    account_id: str | None = None
    opportunity_id: str | None = None
    lead_id: str | None = None
    contact_ids: list[str] = field(default_factory=list)
    participant_ids: list[str] = field(default_factory=list)
    subject: str = ""
    planned_from: datetime | None = None
    planned_to: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    at: datetime
    content: str = ""
    attitude_before: str = ""
    attitude_after: str = ""
    next_step: str = ""
    next_step_date: date | None = None
    # VisitEvidence and ActionPerformed of the contract, as JSON.
    visit: dict[str, Any] | None = None
    actions: list[dict[str, Any]] = field(default_factory=list)
    action_unit_keys: list[str] = field(default_factory=list)
    script_version: str = ""
    transcript_id: str | None = None
    customer_feedback: str = ""
    authenticity: str = "unchecked"
    effective: bool = False
    after_close: bool = False
    cancel_reason: str = ""
    custom_fields: dict[str, Any] = field(default_factory=dict)
    logged_at: datetime | None = None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Activity):
    """An activity with the name of its account."""

    account_name: str = ""
    # Open or confirmed findings on it.
    finding_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Around:
    """What an activity refers to, as far as it is known here; one row of one round trip."""

    # {"id", "account_id", "account_name", "owner_id", "unit_id", "participant_ids", "closed_at"}
    opportunity: dict[str, Any] | None = None
    # {"id", "name", "owner_id", "unit_id", "participant_ids"}
    account: dict[str, Any] | None = None
    # The planned activity that is fulfilled, as a row.
    planned: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DailyLog:
    """One seller's day; `submitted_at` None: not submitted."""

    person_id: str
    day: date
    unit_id: str
    summary: str
    plan: str
    help_needed: str
    submitted_at: datetime | None
