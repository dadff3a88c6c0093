"""How a sitting is graded, and what there is to know about the figures (S99)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import asin, sqrt
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules
from closedloop_funnel import student

FULL = 100.0


class CertificationRules(Rules):
    """A sitting has `time`; it is passed at `passing` in every subject, and holds `valid_days`. After a failure, or one that was
    not handed in, it takes `retry_days` from its beginning to begin anew. Figures are of the `days` before, and of as
    many before these; with fewer than `least_ended` closed deals in each there is nothing to read. The exercise on
    sample size takes `least_effect` (of the win rate), `power` and `significance`; a number is right within `tolerance`
    of it."""

    rulebook: ClassVar[str] = "funnel.certifications"

    time: ClockSetting = ClockSetting(hours=2)
    passing: float = Field(default=70, ge=0, le=100)
    valid_days: int = Field(default=365, ge=1, le=3660)
    retry_days: int = Field(default=14, ge=0, le=366)
    days: int = Field(default=91, ge=7, le=1000)
    least_ended: int = Field(default=20, ge=2, le=100_000)
    least_effect: float = Field(default=0.1, gt=0, lt=1)
    power: float = Field(default=0.8, gt=0, lt=1)
    significance: float = Field(default=0.05, gt=0, lt=1)
    tolerance: float = Field(default=0.02, gt=0, lt=1)
    task_kind: str = Field(default="review", min_length=1, max_length=64)


def sample_size(base: float, effect: float, power: float, significance: float) -> int:
    """Of each arm, to find a difference of two shares (two-sided; Cohen 1988, chapter 6). A share that cannot rise so far
    falls as far."""
    other = base + effect if base + effect <= 1 else base - effect
    apart = 2 * (asin(sqrt(other)) - asin(sqrt(base)))
    return student.fewest(
        lambda each: student.normal_power(apart, each, significance), power, abs(apart), significance, least=1
    )


def graded(exercise: Mapping[str, Any], answer: str) -> float | None:
    """0 or 100 where there is one right answer; None for what a person has to judge."""
    if exercise["kind"] == "free":
        return None if answer.strip() else 0.0
    if exercise["kind"] == "choice":
        return FULL if answer.strip() == exercise["right"] else 0.0
    try:
        said = float(answer.strip().rstrip("%％").replace(",", ""))
    except ValueError:
        return 0.0
    return FULL if abs(said - exercise["right"]) <= exercise["tolerance"] else 0.0


def subjects(exercises: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean of each subject's grades; None while one of them is not graded."""
    found: dict[str, float | None] = {}
    for subject in dict.fromkeys(one["subject"] for one in exercises):
        grades = [one["grade"] for one in exercises if one["subject"] == subject]
        found[subject] = None if None in grades else sum(grades) / len(grades)
    return found


def missed(state: str, *, submitted: bool) -> bool:
    """Failed, or read and let run out: whoever saw the exercises waits, handed in or not."""
    return state == "failed" or (state == "expired" and not submitted)


def settled(rules: CertificationRules, exercises: Sequence[Mapping[str, Any]]) -> str:
    """passed, failed, or submitted while a person still has to grade."""
    grades = subjects(exercises).values()
    if None in grades:
        return "submitted"
    return "passed" if all(grade is not None and grade >= rules.passing for grade in grades) else "failed"
