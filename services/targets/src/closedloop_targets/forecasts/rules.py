"""From a model's path to a forecast: pipeline and market on top, each part visible; and how it is said (S6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets.extrapolation import Options, Outlook


class ForecastRules(Rules):
    """How far ahead, on how much history, and how pipeline and market weigh."""

    rulebook: ClassVar[str] = "targets.forecasts"

    # Metrics that are forecast; the catalogue's main one when empty.
    metrics: tuple[str, ...] = ()
    horizon_months: int = Field(default=12, ge=1, le=36)
    # Months of history that are read.
    history_months: int = Field(default=60, ge=3, le=240)
    # (months of a season, least months of history for it), the longest first: a year, else the quarter's own rhythm.
    seasons: tuple[tuple[int, int], ...] = ((12, 24), (3, 9))
    interval: float = Field(default=0.8, gt=0.1, lt=0.999)
    backtest_origins: int = Field(default=2, ge=0, le=24)
    backtest_months: int = Field(default=3, ge=1, le=12)
    # What open deals of a month, by their odds, pull its forecast towards them: this month, the next, …
    pipeline_weights: tuple[float, ...] = (0.5, 0.3, 0.15)
    market_weight: float = Field(default=1.0, ge=0, le=1)
    # Series stated in one piece of work: what the api does besides waits no longer than that.
    chunk: int = Field(default=200, ge=1, le=5000)
    # Day and hour of the month of the restatement that nobody asks for.
    day: int = Field(default=1, ge=1, le=28)
    hour: int = Field(default=3, ge=0, le=23)

    def model_post_init(self, context: object, /) -> None:
        lengths = [length for length, _ in self.seasons]
        if lengths != sorted(lengths, reverse=True) or any(
            least < 3 * length and length < 12 for length, least in self.seasons
        ):
            raise ValueError("seasons come the longest first, and a model needs three of a short one")
        if any(least < 2 * length for length, least in self.seasons):
            raise ValueError("a model needs two seasons of history")
        if any(not 0 <= weight <= 1 for weight in self.pipeline_weights):
            raise ValueError("a weight lies between 0 and 1")

    def options(self) -> Options:
        return Options(self.horizon_months, self.seasons, self.interval, self.backtest_origins, self.backtest_months)


@dataclass(frozen=True, slots=True)
class Point:
    """One month in minor units or millionths; the parts sum to the value exactly."""

    value: int
    lower: int
    upper: int
    history: int
    seasonality: int
    pipeline: int
    market: int


def points(outlook: Outlook, pipeline: Sequence[int], market: Sequence[float], rules: ForecastRules) -> list[Point]:
    """`pipeline` is what open deals of each month are worth by their odds, `market` its growth against a year before."""
    values = outlook.path.values
    found = []
    for at, value in enumerate(values):
        # Level and trend are the mean of the season around; what is left is the season's own.
        around = values[at - at % outlook.season : at - at % outlook.season + outlook.season]
        level = round(fmean(around)) if len(around) == outlook.season else round(value)
        season = round(value) - level
        weight = rules.pipeline_weights[at] if at < len(rules.pipeline_weights) and pipeline[at] else 0.0
        pulled = round(weight * (pipeline[at] - value))
        grown = round((round(value) + pulled) * market[at] * rules.market_weight)
        total = level + season + pulled + grown
        off = total - round(value)
        lower, upper = round(outlook.path.lower[at]) + off, round(outlook.path.upper[at]) + off
        found.append(Point(total, max(min(lower, total), 0), max(upper, total), level, season, pulled, grown))
    return found


def verdict(found: Outlook, level: float) -> str:
    """What was chosen, held against what was not."""
    accuracy, model, plain = found.accuracy, found.model, found.plain
    if accuracy.mase is None or model.mase is None or plain.mase is None:
        return "cannot say: the history is too short for a backtest, or moves too little for one"
    held = (
        f"{accuracy.coverage:.0%} of months fell into the {level:.0%} interval" if accuracy.coverage is not None else ""
    )
    said = (
        f"seasonal-naive is used (MASE {plain.mase:.2f}), the model was no better (MASE {model.mase:.2f})"
        if found.naive
        else f"better than seasonal-naive (MASE {model.mase:.2f} to {plain.mase:.2f})"
        if model.mase < plain.mase
        else f"no better than seasonal-naive (MASE {model.mase:.2f} to {plain.mase:.2f})"
    )
    few = " (very few)" if accuracy.folds < 3 else ""
    return f"{said} over {accuracy.folds} origins{few}; {held}"
