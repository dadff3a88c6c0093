"""Which contacts should have brought feedback (S60)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class RevisitRules(Rules):
    """`kinds` of contacts that should bring feedback; a customer is listed from `least` of them without any."""

    rulebook: ClassVar[str] = "funnel.revisits"

    kinds: tuple[str, ...] = ("visit", "meeting", "demo")
    least: int = Field(default=1, ge=1, le=1000)


def month_before(day: date) -> tuple[date, date]:
    """First day of the month before the day's month, and of the day's month."""
    first = day.replace(day=1)
    return (first - timedelta(days=1)).replace(day=1), first
