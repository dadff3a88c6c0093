"""Scenarios with their rubrics, and what a go at one is worth (S91)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_funnel.drills.scenarios import SCENARIOS
from closedloop_funnel.talk.rules import Phrase

FULL = 100.0


class LevelRule(Part):
    """How far a criterion is met when one of `heard` is said."""

    name: str = Field(min_length=1, max_length=200)
    grade: float = Field(gt=0, le=FULL)
    heard: Phrase


class CriterionRule(Part):
    """Graded by the best of `levels` that is heard, and nothing where something of `never` is, or the talk reader hears `risk`.
    What no rule hears a person grades: that nothing was heard proves nothing, unless `silence_meets` it."""

    name: str = Field(min_length=1, max_length=200)
    weight: float = Field(default=1, gt=0, le=100)
    risk: str = Field(default="", max_length=64)
    levels: tuple[LevelRule, ...] = Field(default=(), max_length=10)
    never: Phrase | None = None
    silence_meets: bool = False

    @model_validator(mode="before")
    @classmethod
    def _by_words(cls, given: Any) -> Any:
        """Rubrics that were published as lists of words (`says`, `avoids`) hold as they were."""
        if not isinstance(given, Mapping) or not {"says", "avoids"} & set(given):
            return given
        kept = {name: value for name, value in given.items() if name not in ("says", "avoids")}
        if given.get("says"):
            kept["levels"] = [{"name": given.get("name"), "grade": FULL, "heard": {"words": given["says"]}}]
        if given.get("avoids"):
            kept["never"] = {"words": given["avoids"]}
        return {"silence_meets": True} | kept


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
    # Letters: fewer in an answer meet nothing, fewer between two commas show nothing; a shown sentence is cut at the last.
    shortest_answer: int = Field(default=6, ge=1, le=1000)
    shortest_clause: int = Field(default=4, ge=1, le=100)
    longest_sentence: int = Field(default=300, ge=20, le=2000)
    grading_seconds: float = Field(default=0.5, gt=0, le=10)


def overall(scenario: ScenarioRule, grades: Mapping[str, float]) -> float | None:
    """0..100, by weight; None while a criterion is not graded."""
    if set(grades) < set(scenario.criteria):
        return None
    weight = sum(one.weight for one in scenario.criteria.values())
    return sum(one.weight * grades[key] for key, one in scenario.criteria.items()) / weight


def least(scenario: ScenarioRule, grades: Mapping[str, float]) -> float:
    """0..100: what is shown so far, whatever a person makes of the rest."""
    weight = sum(one.weight for one in scenario.criteria.values())
    return sum(one.weight * grades.get(key, 0.0) for key, one in scenario.criteria.items()) / weight


def standing(best: Mapping[str, float], scenarios: Collection[str]) -> float | None:
    """Mean over all scenarios of the best grade, nothing where there is none yet; None before the first grade."""
    if not best:
        return None
    return sum(best.get(key, 0.0) for key in scenarios) / len(scenarios)
