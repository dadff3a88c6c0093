"""The life of a lead: lead, contact, nurture, closed; and what an answer is (S22-S24)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.currency import coins
from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules


class ResponseRules(Rules):
    """How soon a lead is answered, and what happens when it is not."""

    rulebook: ClassVar[str] = "customers.response"

    # From assignment, on the owner's calendar (S23).
    first_response: ClockSetting = ClockSetting(hours=2, calendar="business")
    # From the inquiry (S24).
    unanswered: ClockSetting = ClockSetting(hours=48)
    # After so many owners who let it lie it goes to the pool, in the manager's sight.
    reassignments: int = Field(default=3, ge=0, le=20)
    # Who is given more leads than so many by one import is told of them in one message.
    told_singly: int = Field(default=5, ge=1, le=100)
    # Whether "tried and not reached" is a first response.
    unreached_counts: bool = False
    # The report's buckets, in hours from the inquiry, and how many leads each side needs before a drop means something.
    report_hours: tuple[float, ...] = (2, 8, 24, 48, 168)
    least_leads: int = Field(default=30, ge=1, le=100_000)
    # "Contacted" is no content.
    least_characters: int = Field(default=4, ge=1, le=1000)
    empty_words: frozenset[str] = frozenset({"contacted", "called", "done", "已联系", "已沟通", "已拨打", "联系过"})


class PriorityRules(Part):
    """0..100, the sum of what applies."""

    base: int = Field(default=30, ge=0, le=100)
    by_source: dict[str, int] = Field(default={"phone": 20, "web_form": 10, "wechat": 10, "procurement": 20})
    # By currency: points from a budget of so much on; the highest that fits. Another currency earns none.
    by_budget: dict[str, dict[int, int]] = Field(
        default={
            "CNY": {50_000: 10, 200_000: 20, 1_000_000: 35},
            "USD": {7_000: 10, 28_000: 20, 140_000: 35},
            "EUR": {6_500: 10, 26_000: 20, 130_000: 35},
        }
    )
    named_product: int = Field(default=10, ge=0, le=100)
    known_customer: int = Field(default=15, ge=0, le=100)
    expected_within_days: int = Field(default=90, ge=0, le=3660)
    expected_soon: int = Field(default=10, ge=0, le=100)


class LeadRules(Rules):
    """The life cycle (S22) and what is taken in (S21)."""

    rulebook: ClassVar[str] = "customers.leads"

    # By hand; LEAD becomes CONTACT by a response, CLOSED by CloseLead.
    transitions: dict[str, tuple[str, ...]] = Field(
        default={"lead": (), "contact": ("nurture",), "nurture": ("contact",)}
    )
    converted_stage: str = "nurture"
    # Channels whose inquiries must bring consent to being contacted.
    consent_sources: frozenset[str] = frozenset()
    consent_purpose: str = "sales_contact"
    # Clocks of outside systems go ahead of ours by so much and are believed.
    ahead_minutes: float = Field(default=5, ge=0, le=1440)
    # Older inquiries are history and come in by BulkIntakeLeads.
    stale_days: int = Field(default=180, ge=1, le=3660)
    reopen_days: int = Field(default=90, ge=0, le=3660)
    # The untouched original of an inquiry, as the contract carries it.
    most_payload_kilobytes: int = Field(default=64, ge=1, le=1024)
    # A customer who asks for time gets it: so long at most, and so often (U8).
    longest_pause_days: float = Field(default=14, gt=0, le=366)
    pauses: int = Field(default=2, ge=0, le=100)
    priority: PriorityRules = PriorityRules()
    # By source, the channel on which an inquiry that joined a lead stands on the timeline; what comes on lists from other
    # sources stands there too and is no exchange.
    inquiry_channels: dict[str, Literal["web", "phone", "wechat", "email", "sms", "chat", "event", "visit"]] = Field(
        default={
            "web_form": "web",
            "phone": "phone",
            "wechat": "wechat",
            "email": "email",
            "sms": "sms",
            "event": "event",
        }
    )


class WebhookRules(Rules):
    """What is posted to /hooks/leads/<source>."""

    rulebook: ClassVar[str] = "customers.intake_webhook"

    # How far the signature's time may be from ours.
    signed_within_seconds: int = Field(default=300, ge=1, le=86_400)
    # In one call.
    most_rows: int = Field(default=500, ge=1, le=10_000)


class CloseReason(Part):
    title: str
    outcomes: frozenset[str]


class CloseReasonRules(Rules):
    """Why leads end."""

    rulebook: ClassVar[str] = "customers.lead_close_reasons"

    reasons: dict[str, CloseReason] = Field(
        default={
            "deal_made": CloseReason(title="成交", outcomes=frozenset({"won"})),
            "opportunity_won": CloseReason(title="商机赢单", outcomes=frozenset({"won"})),
            "opportunity_lost": CloseReason(title="商机输单", outcomes=frozenset({"lost"})),
            "price": CloseReason(title="价格", outcomes=frozenset({"lost"})),
            "competitor": CloseReason(title="选择对手", outcomes=frozenset({"lost"})),
            "no_budget": CloseReason(title="无预算", outcomes=frozenset({"lost"})),
            "no_decision": CloseReason(title="未决策", outcomes=frozenset({"lost"})),
            "unreachable": CloseReason(title="联系不上", outcomes=frozenset({"lost", "invalid"})),
            "no_need": CloseReason(title="无需求", outcomes=frozenset({"invalid", "lost"})),
            "wrong_number": CloseReason(title="空号错号", outcomes=frozenset({"invalid"})),
            "spam": CloseReason(title="垃圾", outcomes=frozenset({"invalid"})),
            "duplicate": CloseReason(title="重复", outcomes=frozenset({"duplicate"})),
            "person_erased": CloseReason(title="本人要求删除", outcomes=frozenset({"invalid"})),
        }
    )


@dataclass(frozen=True, slots=True)
class Lead:
    """`profile` as in profiles.py; `received_at` is when the customer asked; empty `owner_id`: in the pool of the
    unit."""

    id: str
    profile: dict[str, Any]
    stage: str
    closed_from: str
    outcome: str
    close_reason: str
    owner_id: str
    unit_id: str
    assignment_rule: dict[str, Any] | None
    priority: int
    account_id: str | None
    contact_id: str | None
    opportunity_id: str | None
    provenance: dict[str, Any]
    received_at: datetime
    response_due_at: datetime | None
    alarm_at: datetime | None
    responded_at: datetime | None
    responded_in_time: bool | None
    escalation_level: int
    response_light: str
    last_interaction_at: datetime | None
    paused_until: datetime | None
    pauses: int
    converted_at: datetime | None
    closed_at: datetime | None
    merged_into_id: str | None
    historical: bool
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def search(self) -> str:
        return " ".join(str(self.profile.get(name, "")) for name in ("company_name", "contact_name", "need")).lower()

    @property
    def title(self) -> str:
        """What a person calls it: the company, else who asked."""
        return str(self.profile.get("company_name") or self.profile.get("contact_name") or "线索")


def priority(
    profile: Mapping[str, Any], source: str, known_customer: bool, received: datetime, rules: PriorityRules
) -> int:
    points = rules.base + rules.by_source.get(source, 0)
    budget = profile.get("budget", {})
    currency = budget.get("currency", "")
    amount = budget.get("minor", 0) / coins(currency)
    points += max((bonus for least, bonus in rules.by_budget.get(currency, {}).items() if amount >= least), default=0)
    points += rules.named_product if profile.get("product_lines") else 0
    points += rules.known_customer if known_customer else 0
    expected = profile.get("expected_date", "")
    if expected and expected <= (received + timedelta(days=rules.expected_within_days)).date().isoformat():
        points += rules.expected_soon
    return max(0, min(points, 100))


def check_payload(size: int, rules: LeadRules) -> None:
    """`size` in bytes. Raises InvalidArgument PAYLOAD_TOO_LARGE."""
    most = rules.most_payload_kilobytes
    if size > most * 1024:
        raise errors.InvalidArgument(
            "PAYLOAD_TOO_LARGE",
            f"the original of an inquiry has at most {most} KiB",
            {"payload": f"{size / 1024:.0f} KiB"},
        )


def check_open(lead: Lead) -> None:
    """Raises FailedPrecondition LEAD_CLOSED."""
    if lead.stage == "closed":
        raise errors.FailedPrecondition("LEAD_CLOSED", f"this lead was closed as {lead.outcome}", outcome=lead.outcome)


def check_response(lead: Lead, content: str, at: datetime, now: datetime, rules: ResponseRules) -> None:
    """Raises InvalidArgument RESPONSE_BEFORE_INTAKE, RESPONSE_IN_FUTURE, RESPONSE_WITHOUT_CONTENT."""
    if at < lead.received_at:
        raise errors.InvalidArgument(
            "RESPONSE_BEFORE_INTAKE",
            f"they asked at {lead.received_at.isoformat()}",
            {"respond_time": "before the inquiry"},
        )
    if at > now:
        raise errors.InvalidArgument(
            "RESPONSE_IN_FUTURE", "an answer is recorded once given", {"respond_time": "in the future"}
        )
    said = content.strip().strip("。.!！").lower()
    if len(said) < rules.least_characters or said in rules.empty_words:
        raise errors.InvalidArgument(
            "RESPONSE_WITHOUT_CONTENT", "say what was said: needs, objections, next step", {"content": "has no content"}
        )


def responded(lead: Lead, at: datetime, reached: bool, rules: ResponseRules) -> Lead:
    """The lead after an answer; only the first one that counts changes it."""
    if lead.responded_at is not None or not (reached or rules.unreached_counts):
        return lead
    in_time = lead.escalation_level == 0 and (lead.response_due_at is None or at <= lead.response_due_at)
    return replace(
        lead,
        stage="contact" if lead.stage == "lead" else lead.stage,
        responded_at=at,
        responded_in_time=in_time,
        response_light="none",
    )


def advanced(lead: Lead, stage: str, rules: LeadRules) -> Lead:
    """Raises FailedPrecondition TRANSITION_NOT_ALLOWED with what would be allowed."""
    check_open(lead)
    allowed = rules.transitions.get(lead.stage, ())
    if stage not in allowed:
        hint = ", ".join(allowed) or "nothing by hand; a first response makes it CONTACT"
        raise errors.FailedPrecondition(
            "TRANSITION_NOT_ALLOWED", f"from {lead.stage} a lead goes to {hint}", allowed=",".join(allowed)
        )
    return replace(lead, stage=stage)


def check_convertible(lead: Lead) -> None:
    """Raises FailedPrecondition LEAD_CLOSED, ALREADY_CONVERTED, NOT_RESPONDED."""
    check_open(lead)
    if lead.converted_at is not None:
        raise errors.FailedPrecondition(
            "ALREADY_CONVERTED", "it is account and contact already", account_id=lead.account_id or ""
        )
    if lead.responded_at is None:
        raise errors.FailedPrecondition("NOT_RESPONDED", "nobody has spoken with them yet; record the response first")


def check_pause(lead: Lead, until: datetime, now: datetime, rules: LeadRules) -> None:
    """Raises FailedPrecondition LEAD_CLOSED, PAUSES_USED_UP; InvalidArgument TIME_IN_PAST, PAUSE_TOO_LONG."""
    check_open(lead)
    if until <= now:
        raise errors.InvalidArgument("TIME_IN_PAST", "a pause ends ahead of us", {"until_time": "in the past"})
    if until - now > timedelta(days=rules.longest_pause_days):
        raise errors.InvalidArgument(
            "PAUSE_TOO_LONG", f"at most {rules.longest_pause_days:g} days", {"until_time": "too far ahead"}
        )
    if lead.pauses >= rules.pauses:
        raise errors.FailedPrecondition("PAUSES_USED_UP", f"a lead is paused {rules.pauses} times at most")


def closed(lead: Lead, outcome: str, reason: str, now: datetime) -> Lead:
    return replace(
        lead,
        stage="closed",
        closed_from=lead.stage,
        outcome=outcome,
        close_reason=reason,
        closed_at=now,
        response_light="none",
        paused_until=None,
    )


def check_closing(lead: Lead, outcome: str, reason: str, deal_reference: str, rules: CloseReasonRules) -> None:
    """Raises FailedPrecondition LEAD_CLOSED, OPPORTUNITY_OPEN; InvalidArgument UNKNOWN_REASON,
    DEAL_REFERENCE_MISSING."""
    check_open(lead)
    if lead.opportunity_id:
        raise errors.FailedPrecondition(
            "OPPORTUNITY_OPEN",
            "it closes by itself when its opportunity is decided",
            opportunity_id=lead.opportunity_id,
        )
    known = rules.reasons.get(reason)
    if known is None or outcome not in known.outcomes:
        fitting = ", ".join(name for name, other in rules.reasons.items() if outcome in other.outcomes)
        raise errors.InvalidArgument(
            "UNKNOWN_REASON", f"for {outcome} say one of {fitting}", {"reason": f"not for {outcome}"}
        )
    if outcome == "won" and not deal_reference.strip():
        raise errors.InvalidArgument(
            "DEAL_REFERENCE_MISSING", "say the order or contract of the deal", {"deal_reference": "required for WON"}
        )


def reopened(lead: Lead, now: datetime, rules: LeadRules) -> Lead:
    """Raises FailedPrecondition LEAD_NOT_CLOSED, REOPEN_TOO_LATE."""
    if lead.stage != "closed" or lead.closed_at is None:
        raise errors.FailedPrecondition("LEAD_NOT_CLOSED", "this lead is open")
    if lead.merged_into_id or now - lead.closed_at > timedelta(days=rules.reopen_days):
        raise errors.FailedPrecondition("REOPEN_TOO_LATE", f"a lead is opened again within {rules.reopen_days} days")
    return replace(lead, stage=lead.closed_from or "lead", closed_from="", outcome="", close_reason="", closed_at=None)
