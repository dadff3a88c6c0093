"""Health 0-100 over fifteen dimensions (S33)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis.rulebook.rules import ClockSetting, Rules
from closedloop_customers import scoring
from closedloop_customers.scoring import Dimension

Key = Literal[
    "interaction_frequency",
    "recency",
    "trend",
    "content_depth",
    "initiative",
    "channel_breadth",
    "contact_breadth",
    "key_contact_coverage",
    "contact_stability",
    "resolution_time",
    "ticket_load",
    "purchase_recency",
    "purchase_frequency",
    "purchase_trend",
    "digital_interest",
]


class HealthRules(Rules):
    """What makes a relationship healthy. The weights sum to 1."""

    rulebook: ClassVar[str] = "customers.health"

    dimensions: dict[Key, Dimension] = Field(
        min_length=1,
        default={
            "interaction_frequency": Dimension(title="互动频率", weight=0.12, full_at=6, missing_points=0),
            "recency": Dimension(title="最近互动", weight=0.12, zero_at=60, full_at=7, missing_points=0, unit="d"),
            # Touches of the last third of the period against an even third.
            "trend": Dimension(title="互动趋势", weight=0.06, full_at=1),
            "content_depth": Dimension(title="内容深度", weight=0.08, full_at=0.5, missing_points=0),
            "initiative": Dimension(title="客户主动", weight=0.06, full_at=0.4, missing_points=0),
            "channel_breadth": Dimension(title="渠道广度", weight=0.05, full_at=3, missing_points=0),
            "contact_breadth": Dimension(title="联系人广度", weight=0.07, full_at=3, missing_points=0),
            "key_contact_coverage": Dimension(title="关键人覆盖", weight=0.08, full_at=1, missing_points=30),
            "contact_stability": Dimension(title="联系人变动", weight=0.05, zero_at=0.5, full_at=0),
            "resolution_time": Dimension(title="问题解决时长", weight=0.07, zero_at=72, full_at=8, unit="h"),
            "ticket_load": Dimension(title="未结工单", weight=0.05, zero_at=5, full_at=0),
            "purchase_recency": Dimension(
                title="最近成交", weight=0.07, zero_at=730, full_at=90, unit="d", missing_points=30
            ),
            "purchase_frequency": Dimension(title="成交次数", weight=0.05, full_at=3, missing_points=0),
            "purchase_trend": Dimension(title="成交趋势", weight=0.04, zero_at=0.3, full_at=1.2),
            "digital_interest": Dimension(title="线上行为", weight=0.03, full_at=10, missing_points=0),
        },
    )
    # Periods looked at: touches and tickets; key contacts; deals (their trend: its two halves).
    interaction_days: int = Field(default=90, ge=3, le=3660)
    key_contact_days: int = Field(default=60, ge=1, le=3660)
    deal_days: int = Field(default=730, ge=2, le=7320)
    # A touch goes deep by meeting, by its length or by what was written of it.
    deep_channels: frozenset[str] = frozenset({"visit", "meeting"})
    deep_minutes: float = Field(default=15, ge=0, le=1440)
    deep_characters: int = Field(default=60, ge=1, le=10000)
    # Below: yellow, red.
    yellow_below: float = Field(default=60, ge=0, le=100)
    red_below: float = Field(default=40, ge=0, le=100)
    # Below it we say that the account will be lost.
    loss_below: float = Field(default=40, ge=0, le=100)
    # The change shown is that of so many days.
    change_days: int = Field(default=30, ge=1, le=366)
    # So many lost and so many kept are needed before an accuracy means something.
    least_outcomes: int = Field(default=20, ge=1, le=100_000)
    evaluate_every: ClockSetting = ClockSetting(days=1)

    @model_validator(mode="after")
    def _sums_to_one(self) -> HealthRules:
        scoring.check_weights(self.dimensions)
        return self


def score(measures: Mapping[str, float | None], rules: HealthRules) -> float:
    """As SQL computes it for all."""
    return sum(
        scoring.points(measures.get(key), dimension) * dimension.weight for key, dimension in rules.dimensions.items()
    )


def light(value: float, rules: HealthRules) -> str:
    return "red" if value < rules.red_below else "yellow" if value < rules.yellow_below else "none"
