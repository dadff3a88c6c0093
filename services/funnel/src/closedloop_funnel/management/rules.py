"""When a quarter of a management action counts as flat, and what follows (S95, S98)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules

MovedWord = Literal["better", "worse", "same", "unknown"]


class ManagementRules(Rules):
    """A quarter is judged at `hour`, `settle_days` after its end, by people with `least_cases` cases in it and in the last
    whole quarter before the action; it takes `least_people` of them on each side. After `flat_quarters` in a row the
    owner is sent a comparison, by a task of `task_kind`: with the `best_share` of the others, `least_people` at the least.
    Each quarter `core_actions` of the company are under test; while they are fewer, who holds the role `planner` is told
    `plan_days` after its beginning and every `again_days` from then on. An action may have begun `most_days_ago` before
    it is registered."""

    rulebook: ClassVar[str] = "funnel.management"

    hour: time = time(8)
    settle_days: int = Field(default=3, ge=0, le=60)
    least_cases: int = Field(default=1, ge=1, le=1000)
    least_people: int = Field(default=5, ge=2, le=1000)
    flat_quarters: int = Field(default=2, ge=1, le=20)
    best_share: float = Field(default=0.25, gt=0, le=1)
    core_actions: int = Field(default=3, ge=0, le=100)
    plan_days: int = Field(default=21, ge=1, le=80)
    again_days: int = Field(default=7, ge=1, le=92)
    most_days_ago: int = Field(default=366, ge=0, le=3660)
    planner: str = Field(default="operations", min_length=1, max_length=64)
    task_kind: str = Field(default="review", min_length=1, max_length=64)


def quarter_of(day: date) -> date:
    """First day of its quarter."""
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def following(quarter: date) -> date:
    return date(quarter.year + (quarter.month + 2) // 12, (quarter.month + 2) % 12 + 1, 1)


def before(quarter: date) -> date:
    return quarter_of(quarter - timedelta(days=1))


def baseline(start: date) -> date:
    """The last whole quarter before the action."""
    return before(quarter_of(start))


def first_judged(start: date) -> date:
    """The first whole quarter with it."""
    quarter = quarter_of(start)
    return quarter if quarter == start else following(quarter)


def to_judge(start: date, known: date | None, settled: date) -> Iterator[date]:
    """Quarters that have ended by `settled` and are not judged yet; `known`: the last one that is."""
    quarter = following(known) if known else first_judged(start)
    while following(quarter) <= settled:
        yield quarter
        quarter = following(quarter)


def is_asked(rules: ManagementRules, day: date) -> bool:
    """Whether it is looked that day how many core actions are under test."""
    passed = (day - quarter_of(day)).days - rules.plan_days
    return passed >= 0 and passed % rules.again_days == 0


def flat(moved: MovedWord) -> bool | None:
    """None: it cannot be said."""
    return None if moved == "unknown" else moved != "better"


def flat_run(quarters: Sequence[bool | None]) -> int:
    """Flat ones in a row at the end; one of which nothing can be said breaks no run and adds nothing."""
    run = 0
    for one in quarters:
        if one is not None:
            run = run + 1 if one else 0
    return run


def best(values: Mapping[str, float], share: float, least: int, *, rising: bool) -> list[str]:
    """Who stands at the top: that share of them, `least` at the least, the best first; none where there are fewer."""
    if len(values) < least:
        return []
    ranked = sorted(values, key=lambda one: (-values[one] if rising else values[one], one))
    return ranked[: max(round(share * len(ranked)), least)]
