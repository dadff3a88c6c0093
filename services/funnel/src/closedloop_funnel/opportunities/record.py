"""A deal, its moves and its evidence, as Python and SQL hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

# {"product_id": str, "quantity": float, "unit_price_minor": int | None, "amount_minor": int | None, "currency": str}
Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """One row of `opportunity`. Amounts are minor units of `currency`; None: nobody knows."""

    id: str
    version: int = 1
    name: str
    need: str = ""
    owner_id: str
    unit_id: str
    source: str
    source_id: str = ""
    brought_by: str = ""
    observed_at: datetime | None = None
    imported: bool = False
    import_digest: str = ""
    pipeline_id: str
    pipeline_version: int
    stage_key: str
    state: str = "open"
    closed_from: str = ""
    account_id: str | None = None
    lines: list[Line] = field(default_factory=list)
    product_ids: list[str] = field(default_factory=list)
    amount_minor: int | None = None
    currency: str = ""
    reporting_minor: int | None = None
    reporting_currency: str = ""
    probability: float
    category: str
    category_set: bool = False
    engage_date: date | None = None
    expected_close_date: date | None = None
    close_date: date | None = None
    push_count: int = 0
    pushed_days: int = 0
    reason_code: str = ""
    reason_comment: str = ""
    competitors: list[str] = field(default_factory=list)
    participants: dict[str, str] = field(default_factory=dict)
    participant_ids: list[str] = field(default_factory=list)
    move_count: int = 1
    stage_entered_at: datetime
    dwell_due_at: datetime | None = None
    dwell_light: str = "none"
    review_id: str | None = None
    repurchase: bool = False
    lead_id: str | None = None
    opportunity_point_id: str | None = None
    customer_type: str = ""
    margin_ratio: float | None = None
    margin_version: int = 0
    custom_fields: dict[str, Any] = field(default_factory=dict)
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    last_activity_at: datetime | None = None
    # The forecast override in force nearest above the owner, as a row of `forecast_override`.
    override: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Opportunity):
    """A deal with the name of its account."""

    account_name: str = ""


@dataclass(frozen=True, slots=True)
class DealLine:
    """What a line of a pipeline shows of a deal."""

    id: str
    version: int
    name: str
    owner_id: str
    unit_id: str
    pipeline_id: str
    stage_key: str
    state: str
    account_id: str | None
    amount_minor: int | None
    currency: str
    probability: float
    category: str
    expected_close_date: date | None
    close_date: date | None
    stage_entered_at: datetime
    dwell_light: str
    review_id: str | None
    updated_at: datetime
    account_name: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the task and the warning of a deal that stands still say, and no more: there may be ten thousand at once."""

    id: str
    name: str
    owner_id: str
    unit_id: str
    account_id: str | None
    pipeline_id: str
    stage_key: str
    state: str
    stage_entered_at: datetime
    dwell_light: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Seen):
    """A locked deal with everything a step is judged by."""

    # Evidence given so far, by requirement.
    evidence: dict[str, int]
    approved_quotes: int
    # {"id", "amount_minor", "currency"} of the contract signed last.
    signed_contract: dict[str, Any] | None
    # Effective ones since the stage was entered.
    activities: int
    # Logs of this deal in which an action unit was verified, by unit.
    verified: dict[str, int]
    # Submitted and undecided: [{"kind", "id", "revision"}]
    pending: list[dict[str, Any]]
    # Those of the record ids asked about that belong to this deal.
    known_records: list[str]
    bought_before: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One row of `stage_move`."""

    opportunity_id: str
    sequence: int
    from_stage_key: str
    to_stage_key: str
    at: datetime
    author_id: str
    direction: str
    dwell: timedelta | None = None
    dwell_days: float | None = None
    skipped_stage_keys: list[str] = field(default_factory=list)
    skipped_requirement_keys: list[str] = field(default_factory=list)
    reason: str = ""
    evidence_ids: list[str] = field(default_factory=list)
    pipeline_id: str
    pipeline_version: int
    imported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One row of `stage_evidence`; by kind one of note, attachments, record or content is filled."""

    id: str
    opportunity_id: str
    requirement_key: str
    kind: str
    note: str = ""
    attachment_ids: list[str] = field(default_factory=list)
    record_id: str | None = None
    content: dict[str, Any] | None = None
    author_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DateChange:
    """One row of `close_date_change`."""

    opportunity_id: str
    at: datetime
    from_date: date | None
    to_date: date | None
    author_id: str
    reason: str = ""
