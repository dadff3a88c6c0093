"""What points buy, and how many a day can bring (S56)."""

from __future__ import annotations

from datetime import time
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules


class RewardRule(Part):
    """Something points buy. `stock` per calendar month, none: unlimited; `lasts`: how long lead priority holds."""

    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=1000)
    kind: Literal["training", "lead_priority"]
    price: int = Field(ge=1, le=1_000_000)
    stock: int | None = Field(default=None, ge=0, le=1_000_000)
    lasts: ClockSetting | None = None

    def model_post_init(self, context: object, /) -> None:
        if self.kind == "lead_priority" and self.lasts is None:
            raise ValueError("lead priority lasts for some time")


class PointsRules(Rules):
    """What an action earns stands with the action (`funnel.action_units`); no more than `most_per_day` by actions. Points
    that were not spent `expire_after` so long, the oldest first; none: never. Looked at every night at `hour`."""

    rulebook: ClassVar[str] = "funnel.points"

    most_per_day: int = Field(default=30, ge=0, le=10_000)
    expire_after: ClockSetting | None = ClockSetting(days=365, calendar="plain")
    hour: time = time(2)
    rewards: dict[str, RewardRule] = {
        "training_seat": RewardRule(name="培训名额", kind="training", price=20),
        "lead_priority_week": RewardRule(
            name="优先获取高价值线索一周",
            kind="lead_priority",
            price=30,
            stock=20,
            lasts=ClockSetting(days=7, calendar="plain"),
        ),
    }


def earned(rules: PointsRules, worth: int, today: int) -> int:
    """What is left of the day's most for an action of that worth, when so much was earned today."""
    return max(min(worth, rules.most_per_day - today), 0)
