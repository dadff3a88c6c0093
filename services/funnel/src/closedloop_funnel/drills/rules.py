"""Scenarios with their rubrics, and what a go at one is worth (S91)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_funnel.drills.scenarios import SCENARIOS

FULL = 100.0


class CriterionRule(Part):
    """Met when the talk reader does not hear `risk` in the answer, when one of `says` and none of `avoids` is in it; graded by a
    person where none of these is given."""

    name: str = Field(min_length=1, max_length=200)
    weight: float = Field(default=1, gt=0, le=100)
    risk: str = Field(default="", max_length=64)
    says: tuple[str, ...] = Field(default=(), max_length=200)
    avoids: tuple[str, ...] = Field(default=(), max_length=200)

    @property
    def by_rule(self) -> bool:
        return bool(self.risk or self.says or self.avoids)


class ScenarioRule(Part):
    """`customer`: what the customer says; `ability`: what it trains."""

    name: str = Field(min_length=1, max_length=200)
    ability: str = Field(min_length=1, max_length=64)
    customer: str = Field(min_length=1, max_length=2000)
    criteria: Mapping[str, CriterionRule] = Field(min_length=1)


class DrillRules(Rules):
    """A drill lasts `days` where its end is not said. `most_attempts` at a scenario; passed with the best grades of all
    scenarios at `passing` on the mean, which earns `points` once. What a drill did to real talk is told from `least_talks`
    conversations on each side, over `window_days` before and after."""

    rulebook: ClassVar[str] = "funnel.drills"

    scenarios: Mapping[str, ScenarioRule] = Field(
        default_factory=lambda: {key: ScenarioRule.model_validate(given) for key, given in SCENARIOS.items()}
    )
    days: int = Field(default=14, ge=1, le=366)
    most_attempts: int = Field(default=5, ge=1, le=100)
    passing: float = Field(default=60, ge=0, le=100)
    points: int = Field(default=10, ge=0, le=1000)
    least_talks: int = Field(default=10, ge=2, le=100_000)
    window_days: int = Field(default=30, ge=1, le=366)
    grade_task_kind: str = Field(default="review", min_length=1, max_length=64)


def by_rule(scenario: ScenarioRule, text: str, risks: Collection[str]) -> dict[str, float]:
    """Grades of the criteria that a rule can grade; `risks`: risk phrases heard in the answer."""
    said = text.casefold()
    return {
        key: FULL if _met(criterion, said, risks) else 0.0
        for key, criterion in scenario.criteria.items()
        if criterion.by_rule
    }


def _met(criterion: CriterionRule, said: str, risks: Collection[str]) -> bool:
    if criterion.risk and criterion.risk in risks:
        return False
    if any(word.casefold() in said for word in criterion.avoids):
        return False
    return not criterion.says or any(word.casefold() in said for word in criterion.says)


def overall(scenario: ScenarioRule, grades: Mapping[str, float]) -> float | None:
    """0..100, by weight; None while a criterion is not graded."""
    if set(grades) < set(scenario.criteria):
        return None
    weight = sum(one.weight for one in scenario.criteria.values())
    return sum(one.weight * grades[key] for key, one in scenario.criteria.items()) / weight


def standing(best: Mapping[str, float], scenarios: Collection[str]) -> float | None:
    """Mean over all scenarios of the best grade, nothing where there is none yet; None before the first grade."""
    if not best:
        return None
    return sum(best.get(key, 0.0) for key in scenarios) / len(scenarios)
