"""An agreement with a customer, as Python and SQL hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from closedloop_funnel.clearance.record import Clearance


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract(Clearance):
    """One row of `contract`. The amount is minor units of `currency`; a clause {"key", "title", "text", "deviates"}."""

    opportunity_id: str
    quote_id: str | None = None
    owner_id: str
    unit_id: str
    number: str
    title: str
    amount_minor: int
    currency: str
    clauses: list[dict[str, Any]] = field(default_factory=list)
    effective_date: date | None = None
    end_date: date | None = None
    sign_date: date | None = None
    signer_name: str = ""
    archive_location: str = ""
    attachment_ids: list[str] = field(default_factory=list)
    custom_fields: dict[str, Any] = field(default_factory=dict)
    author_id: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Contract):
    """A contract with its deal (as quotes see it) and its quote:
    {"id", "state", "valid_until", "total_minor", "currency", "discount_ratio", "product_ids"}."""

    deal: dict[str, Any]
    quote: dict[str, Any] | None
    # The customer it was submitted for, as that is known now.
    asked_for_id: str | None = None
    # {"total_minor", "currency"} of the quote issued last; only where it stands on none.
    offered: dict[str, Any] | None = None
