"""When leads stop coming, and when they come again (S55)."""

from __future__ import annotations

from datetime import datetime, time
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules


class BreakerRules(Rules):
    """Opens at more than `most_visits` in a week with fewer than `least_opportunities` valid new ones; closes when so
    many have come since, or after `longest`. Looked at every evening at `hour`, Monday to Sunday being a week."""

    rulebook: ClassVar[str] = "funnel.breakers"

    most_visits: int = Field(default=50, ge=0, le=10_000)
    least_opportunities: int = Field(default=3, ge=1, le=1000)
    longest: ClockSetting = ClockSetting(days=14, calendar="plain")
    hour: time = time(22)
    training: str = Field(default="高效拜访训练包", min_length=1, max_length=200)
    task_kind: str = Field(default="follow_up", min_length=1, max_length=64)


def opens(rules: BreakerRules, visits: int, opportunities: int) -> bool:
    return visits > rules.most_visits and opportunities < rules.least_opportunities


def closes(rules: BreakerRules, since_opening: int, ends: datetime, now: datetime) -> str:
    """Why it closes; empty while it stays open. `since_opening`: valid new opportunities; `ends`: after `longest`."""
    if since_opening >= rules.least_opportunities:
        return f"{since_opening} valid new opportunities since it opened"
    return "it was open for the longest time the rule allows" if now >= ends else ""


def remaining(rules: BreakerRules, since_opening: int) -> str:
    """What still lacks, in words."""
    return f"{max(rules.least_opportunities - since_opening, 0)} more valid new opportunities"
