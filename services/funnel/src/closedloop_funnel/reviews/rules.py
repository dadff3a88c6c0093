"""When a day's new opportunities are too many to be true (S81)."""

from __future__ import annotations

from datetime import time
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules


class ReviewRules(Rules):
    """A seller's new opportunities of a day go to review when they exceed `burst_times` the mean of the team, himself
    included, and are `burst_least` at the least. The team is the nearest unit with `team_least` sellers: with three or
    fewer nobody can exceed three times their mean. Looked at every evening at `hour`; imports do not count."""

    rulebook: ClassVar[str] = "funnel.reviews"

    burst_times: float = Field(default=3, gt=1, le=1000)
    burst_least: int = Field(default=5, ge=1, le=10_000)
    team_least: int = Field(default=4, ge=2, le=10_000)
    seller_role: str = Field(default="rep", min_length=1, max_length=64)
    hour: time = time(22, 30)
    task_kind: str = Field(default="review", min_length=1, max_length=64)
    assignee: str = Field(default="manager_of_owner", min_length=1, max_length=100)
    # Of the pipeline, for what a review rejects; "unknown" where the pipeline has no such reason.
    reject_reason: str = Field(default="other", min_length=1, max_length=64)


def burst(rules: ReviewRules, count: int, team_count: int, sellers: int) -> bool:
    """`team_count`: new opportunities of the whole team that day."""
    return count >= rules.burst_least and count > rules.burst_times * team_count / max(sellers, 1)
