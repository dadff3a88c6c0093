"""When a stage of the funnel is not healthy (S44, S47, S58)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules
from closedloop_funnel.pipelines.stages import StageRule


class BoardRules(Rules):
    """`benchmark_days`: what the field takes for a stage; `stuck_share`: of all open deals in one stage, from
    `stuck_least` open deals on; `overdue_share`: of a stage's open deals over their dwell limit."""

    rulebook: ClassVar[str] = "funnel.boards"

    benchmark_days: float = Field(default=7.2, gt=0)
    overdue_share: float = Field(default=0.5, gt=0, le=1)
    stuck_share: float = Field(default=0.6, gt=0, le=1)
    stuck_least: int = Field(default=10, ge=1)


def light(
    rules: BoardRules, stage: StageRule, *, mean_days: float | None, open_count: int, overdue: int, share: float
) -> tuple[str, str, str]:
    """Light, the rule behind it and why in one sentence. The worst that holds counts."""
    if open_count >= rules.stuck_least and share > rules.stuck_share:
        return (
            "red",
            "stuck_share",
            f"{share:.0%} of all open deals stand in {stage.name}, limit {rules.stuck_share:.0%}",
        )
    if open_count and overdue / open_count > rules.overdue_share:
        return "yellow", "overdue_share", f"{overdue} of {open_count} deals in {stage.name} are over their dwell limit"
    if mean_days is not None and mean_days > rules.benchmark_days:
        return "yellow", "benchmark_days", f"{mean_days:.1f} days in {stage.name}, benchmark {rules.benchmark_days:g}"
    if mean_days is not None and 0 < stage.pace_limit_days < mean_days:
        return "blue", "pace_limit_days", f"{mean_days:.1f} days in {stage.name}, healthy {stage.pace_limit_days:g}"
    return "none", "", f"{stage.name} moves at a healthy pace"


def ratio(part: int, whole: int) -> float | None:
    """None where there is nothing to divide by."""
    return part / whole if whole else None
