"""When the funnel is pictured, and since when one asks what moved (U3)."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules

WEEK = 7


class SnapshotRules(Rules):
    """`hour` by the company's clocks; `week_begins` 1 for Monday; snapshots are kept for `kept_days`."""

    rulebook: ClassVar[str] = "funnel.snapshots"

    hour: time = time(6)
    week_begins: int = Field(default=1, ge=1, le=7)
    kept_days: int = Field(default=800, ge=1, le=3660)


def week_began(rules: SnapshotRules, day: date) -> date:
    """The last day, `day` included, on which a week began."""
    return day - timedelta(days=(day.isoweekday() - rules.week_begins) % WEEK)
