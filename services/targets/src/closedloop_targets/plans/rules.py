"""When a version may be published, and what a target may not be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets import amounts
from closedloop_targets.aggregation import Manner
from closedloop_targets.periods.rules import Period


class PlanRules(Rules):
    """How strict plans are where nobody said otherwise."""

    rulebook: ClassVar[str] = "targets.plans"

    must_sum: bool = True
    # How many obstacles GetPlanVersion lists, and how many heads a leak report names.
    listed_obstacles: int = Field(default=100, ge=1, le=1000)
    farthest_heads: int = Field(default=50, ge=1, le=1000)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that keeps a draft from being published; `reason` is the one PublishPlanVersion answers."""

    reason: str
    target_id: str
    message: str


def lacks(missing: int, currency: str, manner: Manner) -> str:
    """What children lack of their parent, for people."""
    amount = amounts.words(abs(missing), currency)
    if not manner.adds_up:
        return f"those below are together asked for {amount} {'more' if missing < 0 else 'less'}, which is looser"
    return f"{amount} {'were not passed on' if missing > 0 else 'too much'}"


# Which obstacle is named first when there are several.
GRAVEST = (
    "PLAN_EMPTY",
    "PLAN_CURRENCY_FOREIGN",
    "UNIT_CLOSED",
    "OWNER_MISSING",
    "PARENT_OF_OTHER_METRIC",
    "PLAN_DOES_NOT_SUM",
    "TARGETS_NOT_SMART",
    "TOO_FEW_ACTIONS",
)


def check_inside(plan: Period, target: Period) -> None:
    """Raises FailedPrecondition PERIOD_OUTSIDE_PLAN."""
    if not plan.covers(target):
        raise errors.FailedPrecondition("PERIOD_OUTSIDE_PLAN", f"{target.code} does not lie inside {plan.code}")


def check_line(target_id: str, parent_id: str | None, parents: Mapping[str, str | None]) -> None:
    """`parents` maps targets to theirs. Raises FailedPrecondition TARGET_CYCLE."""
    seen: set[str] = set()
    above = parent_id
    while above is not None and above not in seen:
        if above == target_id:
            raise errors.FailedPrecondition("TARGET_CYCLE", "a target cannot be cascaded from itself")
        seen.add(above)
        above = parents.get(above)


def refuse(obstacles: Iterable[Obstacle]) -> None:
    """Raises FailedPrecondition with the gravest reason, how many there are and what the first one says."""
    by_reason: dict[str, list[Obstacle]] = {}
    for obstacle in obstacles:
        by_reason.setdefault(obstacle.reason, []).append(obstacle)
    for reason in GRAVEST:
        if found := by_reason.get(reason):
            raise errors.FailedPrecondition(
                reason,
                f"{found[0].message}{f' (and {len(found) - 1} more)' if found[1:] else ''}",
                obstacles=len(found),
            )
