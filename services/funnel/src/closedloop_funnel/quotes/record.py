"""A price offered, as Python and SQL hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from closedloop_funnel.clearance.record import Clearance

# {"product_id", "description", "quantity", "list_price_minor", "discount_ratio", "amount_minor"}
Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote(Clearance):
    """One row of `quote`: one version of an offer. Amounts are minor units of `currency`."""

    opportunity_id: str
    number: str
    version: int = 1
    lines: list[Line] = field(default_factory=list)
    currency: str = ""
    list_minor: int = 0
    total_minor: int = 0
    discount_ratio: float = 0
    # As expected when the lines were written or submitted; None while a product's cost is unknown.
    margin_ratio: float | None = None
    valid_until: date | None = None
    terms: str = ""
    justification: str = ""
    attachment_ids: list[str] = field(default_factory=list)
    issued_at: datetime | None = None
    answered_at: datetime | None = None
    answer_comment: str = ""
    custom_fields: dict[str, Any] = field(default_factory=dict)
    author_id: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Quote):
    """A quote with its deal: {"name", "state", "owner_id", "unit_id", "participant_ids", "review_id", "pipeline_id",
    "account_id", "account_name", "account_grade", "account_industry", "account_region", "amount_minor", "reporting_minor"}."""

    deal: dict[str, Any]
    # The customer it was submitted for, as that is known now.
    asked_for_id: str | None = None
