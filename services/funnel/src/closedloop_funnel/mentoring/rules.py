"""Who is a newcomer, and what an answer earns (S90)."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class MentoringRules(Rules):
    """Whoever started at most `newcomer_days` ago is a newcomer. An answer that one of them takes earns `points`; from the same
    asker at most `most_per_asker` answers in `per_days` earn, so that two cannot feed each other. `most_answers` for
    a question."""

    rulebook: ClassVar[str] = "funnel.mentoring"

    newcomer_days: int = Field(default=180, ge=1, le=3660)
    points: int = Field(default=5, ge=0, le=1000)
    most_per_asker: int = Field(default=5, ge=0, le=1000)
    per_days: int = Field(default=30, ge=1, le=366)
    most_answers: int = Field(default=50, ge=1, le=1000)


def is_newcomer(rules: MentoringRules, started: date | None, today: date) -> bool:
    return started is not None and 0 <= (today - started).days <= rules.newcomer_days


def earned(rules: MentoringRules, newcomer: bool, from_same_asker: int) -> int:
    """`from_same_asker`: answers to the same asker that have earned lately."""
    return rules.points if newcomer and from_same_asker < rules.most_per_asker else 0
