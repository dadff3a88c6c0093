"""High potential, computed part by part so that it can be argued with (S39)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules

Key = Literal["tender_match", "interaction_frequency", "won_history", "size", "interest"]


class Dimension(Part):
    """One part of the score. `full_at`: the measure that earns 100 points; `missing_points` where there is no data."""

    title: str
    weight: float = Field(ge=0, le=1)
    full_at: float = Field(gt=0)
    missing_points: float = Field(default=0, ge=0, le=100)


class PotentialRules(Rules):
    """Weights sum to 1; at or above `bar` an account is of high potential."""

    rulebook: ClassVar[str] = "customers.potential"

    bar: float = Field(default=40, ge=0, le=100)
    dimensions: dict[Key, Dimension] = Field(
        default={
            # Full at one certain tender published today.
            "tender_match": Dimension(title="招标匹配", weight=0.40, full_at=1),
            "interaction_frequency": Dimension(title="互动频率", weight=0.20, full_at=6),
            "won_history": Dimension(title="成交历史", weight=0.15, full_at=2),
            # Full at so many employees, on a logarithmic scale.
            "size": Dimension(title="规模", weight=0.15, full_at=5000, missing_points=30),
            "interest": Dimension(title="主动了解", weight=0.10, full_at=5),
        }
    )
    # A tender counts less the older it is, and not at all after so many days.
    tender_days: int = Field(default=365, ge=1, le=3660)
    # A notice that does not say when it was published is taken to be this share of that time old.
    undated_ratio: float = Field(default=0.5, ge=0, le=1)
    # What a person has confirmed counts as certain.
    confirmed_ratio: float = Field(default=1.0, ge=0, le=1)
    interaction_days: int = Field(default=90, ge=1, le=3660)
    deal_days: int = Field(default=730, ge=1, le=3660)
    # What a high potential promises, and how many of each kind it takes before an accuracy means something.
    good_outcomes: frozenset[Literal["won", "repurchased"]] = frozenset({"won", "repurchased"})
    least_outcomes: int = Field(default=20, ge=1, le=100_000)
    # A change of less is not told.
    least_change: float = Field(default=0.5, ge=0, le=100)
    # How soon what moves by itself (a tender grows old, a touch or a deal falls out of its span) is looked at again.
    follow_every: ClockSetting = ClockSetting(days=1)
    # How soon one is that somebody held when its time had come.
    held_again: ClockSetting = ClockSetting(hours=1 / 60)

    @model_validator(mode="after")
    def _sums_to_one(self) -> PotentialRules:
        if not math.isclose(sum(dimension.weight for dimension in self.dimensions.values()), 1.0, abs_tol=1e-9):
            raise ValueError("the weights sum to 1")
        return self


@dataclass(frozen=True, slots=True)
class Tender:
    confidence: float
    confirmed: bool
    published: date | None
    title: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was measured of one account; None where nobody knows."""

    tenders: Sequence[Tender] = ()
    interactions: int = 0
    deals_won: int = 0
    employees: int | None = None
    interests: int = 0
    # The oldest touch and win that still count.
    oldest_touch: datetime | None = None
    oldest_win: date | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`dimensions` as ScoreDimension of the contract, the largest contribution first; contributions sum to `score`."""

    score: float
    high: bool
    dimensions: list[dict[str, Any]]
    explanation: str


def evaluate(inputs: Inputs, today: date, rules: PotentialRules) -> Verdict:
    measured = {
        "tender_match": _tenders(inputs.tenders, today, rules),
        "interaction_frequency": (
            float(inputs.interactions),
            "1",
            f"{inputs.interactions} effective interactions in {rules.interaction_days} days",
        ),
        "won_history": (float(inputs.deals_won), "1", f"{inputs.deals_won} deals won in {rules.deal_days} days"),
        "size": _size(inputs.employees),
        "interest": (
            float(inputs.interests),
            "1",
            f"{inputs.interests} downloads, forms and trials in {rules.interaction_days} days",
        ),
    }
    parts = [_part(key, dimension, measured[key]) for key, dimension in rules.dimensions.items()]
    parts.sort(key=lambda part: (-part["contribution"], part["key"]))
    score = min(sum(part["contribution"] for part in parts), 100.0)
    high = score >= rules.bar
    led = "; ".join(f"{part['title']} {part['contribution']:.1f}" for part in parts[:3])
    relation = "at or above" if high else "below"
    return Verdict(score, high, parts, f"{score:.1f} of 100, {relation} the bar of {rules.bar:g}: {led}")


def _tenders(tenders: Sequence[Tender], today: date, rules: PotentialRules) -> tuple[float | None, str, str]:
    """The chance that at least one of the tenders is real and still open: 1 - product of (1 - sureness x freshness)."""
    if not tenders:
        return None, "1", "no procurement notice names the account"
    doubt = 1.0
    for tender in tenders:
        sure = rules.confirmed_ratio if tender.confirmed else tender.confidence
        age = max((today - tender.published).days, 0) if tender.published else rules.tender_days * rules.undated_ratio
        doubt *= 1 - min(max(sure, 0.0), 1.0) * max(0.0, 1 - age / rules.tender_days)
    newest = max(tenders, key=lambda tender: tender.published or date.min)
    return 1 - doubt, "1", f"{len(tenders)} procurement notices name the account, the newest: {newest.title}"


def _size(employees: int | None) -> tuple[float | None, str, str]:
    if not employees:
        return None, "1", "the number of employees is not known"
    return float(employees), "1", f"{employees} employees"


def _part(key: str, dimension: Dimension, measured: tuple[float | None, str, str]) -> dict[str, Any]:
    value, unit, text = measured
    if value is None:
        points = dimension.missing_points
    elif key == "size":
        points = 100 * min(math.log1p(value) / math.log1p(dimension.full_at), 1.0)
    else:
        points = 100 * min(value / dimension.full_at, 1.0)
    return {
        "key": key,
        "title": dimension.title,
        "input": {"name": key, "value": value or 0.0, "unit": unit, "text": text},
        "points": points,
        "weight_ratio": dimension.weight,
        "contribution": points * dimension.weight,
        "explanation": f"{text}: {points:.0f} points at weight {dimension.weight:g}",
        "missing": value is None,
    }


def is_change(before: float | None, high_before: bool, after: Verdict, rules: PotentialRules) -> bool:
    """Whether somebody should hear of it."""
    return before is None or high_before != after.high or abs(after.score - before) >= rules.least_change


def moves_at(inputs: Inputs, today: date, soonest: datetime, rules: PotentialRules) -> datetime | None:
    """When the score is another one although nothing happened, `soonest` at the earliest; None where it never is."""
    moments = [
        soonest
        for tender in inputs.tenders
        if tender.published is not None and (today - tender.published).days < rules.tender_days
    ]
    if inputs.oldest_touch is not None:
        moments.append(inputs.oldest_touch + timedelta(days=rules.interaction_days, microseconds=1))
    if inputs.oldest_win is not None:
        gone = inputs.oldest_win + timedelta(days=rules.deal_days + 1)
        moments.append(datetime.combine(gone, time(), UTC))
    return max(min(moments), soonest) if moments else None


def without_tenders(dimensions: Sequence[dict[str, Any]]) -> float:
    """The score as it would be if nobody read procurement notices: its weight is spread over the other dimensions."""
    others = [part for part in dimensions if part["key"] != "tender_match"]
    weight = sum(part["weight_ratio"] for part in others)
    return float(sum(part["contribution"] for part in others) / weight) if weight else 0.0
