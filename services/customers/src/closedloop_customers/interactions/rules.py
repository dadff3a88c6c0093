"""Which touches count against silence, and why (S27, S34)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class InteractionRules(Rules):
    """A touch is effective when customer and we really exchanged something."""

    rulebook: ClassVar[str] = "customers.interactions"

    # The customer came to us, or we met.
    inbound_channels: frozenset[str] = frozenset(
        {"phone", "wechat", "email", "sms", "visit", "meeting", "chat", "ticket", "event"}
    )
    # We went to the customer, and that alone is an exchange when its content is told.
    outbound_channels: frozenset[str] = frozenset({"phone", "wechat", "visit", "meeting", "chat"})
    least_summary: int = Field(default=4, ge=0, le=1000)
    # On our pages only what takes interest counts.
    web_actions: frozenset[str] = frozenset({"download", "form", "event", "trial", "order"})
    # These never count, whichever way they came.
    void_actions: frozenset[str] = frozenset({"auto_reply", "bounce", "bulk", "attempt", "page_view", "click"})


@dataclass(frozen=True, slots=True)
class Touch:
    """One touch with a customer. `kept` is its provenance; `effective` None: by the rules; ids None where there is
    none."""

    kept: dict[str, Any]
    channel: str
    direction: str
    occurred_at: datetime
    action: str = ""
    duration: timedelta | None = None
    person_id: str = ""
    summary: str = ""
    product_ids: list[str] = field(default_factory=list)
    account_id: str | None = None
    contact_id: str | None = None
    lead_id: str | None = None
    opportunity_id: str | None = None
    effective: bool | None = None
    version: int = 0


def judge(touch: Touch, rules: InteractionRules) -> tuple[bool, str, str]:
    """Whether it counts, the rule that says so, and in one sentence why."""
    if touch.effective is not None:
        told = "has substance and is not found false" if touch.effective else "without substance, or found false"
        return touch.effective, "as_told", f"{touch.kept['source']} says: {told}"
    if touch.action in rules.void_actions:
        return False, "void_actions", f"{touch.action} is no exchange"
    if touch.channel == "web":
        counts = touch.action in rules.web_actions
        return (
            counts,
            "web_actions",
            f"{touch.action or 'a visit'} on our pages {'takes' if counts else 'takes no'} interest",
        )
    if touch.direction in ("inbound", "mutual"):
        counts = touch.channel in rules.inbound_channels
        return counts, "inbound_channels", f"the customer came to us by {touch.channel}"
    if touch.channel not in rules.outbound_channels:
        return False, "outbound_channels", f"what we send by {touch.channel} is no answer"
    counts = len(touch.summary.strip()) >= rules.least_summary
    return counts, "least_summary", "we spoke with them" if counts else "nothing is told of what was said"
