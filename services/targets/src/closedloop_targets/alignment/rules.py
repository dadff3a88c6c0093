"""Which neighbours are looked at, which light their figure has, and how it moves with attainment (S18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import atanh, sqrt, tanh
from statistics import StatisticsError, correlation
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_targets.certainty import quantile

Light = Literal["none", "blue", "yellow", "red"]
LIGHTS: tuple[Light, ...] = ("none", "blue", "yellow", "red")
METHOD = "Spearman's rank correlation, Fisher's z with the variance of Bonett and Wright"


class Neighbour(Part):
    """A metric of the alignment track and its department's unit, the whole company's rows when empty.

    `target` is what holds where no plan gives the department one; in the metric's unit."""

    metric: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    department_id: str = Field(default="", pattern="^[A-Za-z0-9._-]{0,64}$")
    target: Decimal | None = Field(default=None, gt=0)


class AlignmentRules(Rules):
    """Neighbours, colours of what they lack, months that are compared, and from when on a tie is stated."""

    rulebook: ClassVar[str] = "targets.alignment"

    neighbours: tuple[Neighbour, ...] = Field(
        default=(
            Neighbour(metric="lead_conversion", target=Decimal("0.2")),
            Neighbour(metric="on_time_delivery", target=Decimal("0.95")),
            Neighbour(metric="resolution_time", target=Decimal(24)),
        ),
        max_length=100,
    )
    # Short of the target by more than this share of it.
    blue_beyond: float = Field(default=0.05, ge=0, le=1)
    yellow_beyond: float = Field(default=0.10, ge=0, le=1)
    red_beyond: float = Field(default=0.20, ge=0, le=1)
    # The least light that warns whoever answers for the department.
    warn_from: Light = "yellow"
    months: int = Field(default=12, ge=3, le=60)
    # Months in which both are known, without which nothing is claimed.
    least_months: int = Field(default=6, ge=4, le=60)
    # Of the interval of a tie.
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    # The hour of the company's day at which the board is taken, and the ISO weekday on which warnings are looked at.
    hour: int = Field(default=6, ge=0, le=23)
    weekday: int = Field(default=1, ge=1, le=7)

    def model_post_init(self, context: object, /) -> None:
        if not self.blue_beyond <= self.yellow_beyond <= self.red_beyond:
            raise ValueError("blue comes before yellow, and yellow before red")
        keys = [(one.metric, one.department_id) for one in self.neighbours]
        if len(set(keys)) != len(keys):
            raise ValueError("a department stands beside a metric once")
        if self.least_months > self.months:
            raise ValueError("more months are needed than are compared")


def light(value: int | None, target: int | None, lower_is_better: bool, rules: AlignmentRules) -> Light:
    """By how much of the target is lacking; exact at the edges."""
    if value is None or not target:
        return "none"
    short = value - target if lower_is_better else target - value
    steps = (Decimal(str(step)) for step in (rules.blue_beyond, rules.yellow_beyond, rules.red_beyond))
    return LIGHTS[sum(short > step * target for step in steps)]


def warns(found: Light, rules: AlignmentRules) -> bool:
    return found != "none" and LIGHTS.index(found) >= LIGHTS.index(rules.warn_from)


@dataclass(frozen=True, slots=True)
class Tie:
    """How two series move together; an observation, not a proof of cause. None where it cannot be said."""

    correlation: float | None
    lower: float | None
    upper: float | None
    sample: int
    verdict: str


def tie(values: Sequence[float | None], attainments: Sequence[float | None], least: int, confidence: float) -> Tie:
    """Month by month, of months in which both are known.

    Source: D. Bonett, T. Wright, Sample size requirements for estimating correlations, Psychometrika 65 (2000).
    """
    pairs = [
        (one, other) for one, other in zip(values, attainments, strict=True) if one is not None and other is not None
    ]
    if len(pairs) < max(least, 4):
        return Tie(None, None, None, len(pairs), f"cannot say: {len(pairs)} months are known, {least} are needed")
    try:
        found = correlation(ranks([one for one, _ in pairs]), ranks([other for _, other in pairs]))
    except StatisticsError:
        return Tie(None, None, None, len(pairs), f"cannot say: one of the two stood still for {len(pairs)} months")
    # A perfect order of few months is no certainty.
    held = min(max(found, -0.999), 0.999)
    half = quantile(confidence) * sqrt((1 + held * held / 2) / (len(pairs) - 3))
    lower, upper = tanh(atanh(held) - half), tanh(atanh(held) + half)
    sample = f"{len(pairs)} months; {lower:+.2f} to {upper:+.2f}"
    if lower > 0:
        said = f"they rise and fall together (rank correlation {found:+.2f}, {sample})"
    elif upper < 0:
        said = f"one rises where the other falls (rank correlation {found:+.2f}, {sample})"
    else:
        said = f"no tie that can be told from chance (rank correlation {found:+.2f}, {sample})"
    return Tie(found, lower, upper, len(pairs), said)


def ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the mean of their ranks."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered, 1)))}
    last = {value: place for place, value in enumerate(ordered, 1)}
    return [(first[value] + last[value]) / 2 for value in values]
