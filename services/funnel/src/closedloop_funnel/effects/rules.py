"""When an action is done and nothing comes of it (S54)."""

from __future__ import annotations

from datetime import time
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class EffectRules(Rules):
    """A process review opens when an action is done in more than `executed` of the stays where it is due, and its
    result has not risen against the period before; `least` stays in each. Looked at on `monthly_day` at `hour`, over the
    `days` before."""

    rulebook: ClassVar[str] = "funnel.effects"

    executed: float = Field(default=0.9, gt=0, lt=1)
    least: int = Field(default=30, ge=2, le=1_000_000)
    days: int = Field(default=91, ge=7, le=1000)
    monthly_day: int = Field(default=1, ge=1, le=28)
    hour: time = time(7, 30)
    task_kind: str = Field(default="review", min_length=1, max_length=64)


def stands_still(rules: EffectRules, due: int, done: int, due_before: int, risen: bool) -> bool:
    """Done nearly always, enough of both periods, and the result did not rise."""
    return min(due, due_before) >= rules.least and done > rules.executed * due and not risen
