"""What may be moved by management: the four metrics of the process (`funnel.performance`), and these of deals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

DealMetricWord = Literal["win_rate", "cycle_days", "won_amount"]


class DealMetricRule(Part):
    """`rising`: more is better; `total`: summed over the deals, not averaged, in the currency of the company. Without
    `healthy` nothing can be a bottleneck by it."""

    name: str = Field(min_length=1, max_length=200)
    unit: str = Field(default="1", max_length=16)
    rising: bool = True
    total: bool = False
    healthy: float | None = None


DEALS: Mapping[DealMetricWord, DealMetricRule] = {
    "win_rate": DealMetricRule(name="赢单率"),
    "cycle_days": DealMetricRule(name="成交周期", unit="d", rising=False),
    "won_amount": DealMetricRule(name="赢单金额", unit="", total=True),
}


class MeasureRules(Rules):
    rulebook: ClassVar[str] = "funnel.measures"

    deals: Mapping[DealMetricWord, DealMetricRule] = DEALS


@dataclass(frozen=True, slots=True)
class Metric:
    """One of the catalogue; `unit` as UCUM has it, or a currency."""

    key: str
    name: str
    unit: str
    rising: bool
    total: bool = False
    healthy: float | None = None

    def better(self, change: float) -> bool:
        return change > 0 if self.rising else change < 0


@dataclass(frozen=True, slots=True)
class Value:
    """Of one metric for one of those it is asked of."""

    cases: int
    value: float
