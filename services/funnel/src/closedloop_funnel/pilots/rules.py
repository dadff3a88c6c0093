"""What is a bottleneck, and how a pilot on one is measured (S101)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules


class PilotRules(Rules):
    """A pilot lasts `days`, `most_days` at the most, on `most_bottlenecks`; they are looked for in the `period_days` before.
    It may have begun `late_days` before it is registered, when nobody knew yet what would come of it, or begin
    `ahead_days` after.
    With fewer than `least_cases` nothing is said; a net effect takes `least_people` on each side. A share of
    `overdue_healthy` of the stays in a stage, or of quotes and contracts in approval, may last too long; an approval
    that names no time may take `approval_within`. After `feedback_after` of its time the sellers are asked what they
    say of it, by a task of `feedback_task`; when it is over its owner is asked to conclude it, by one of `task_kind`."""

    rulebook: ClassVar[str] = "funnel.pilots"

    days: int = Field(default=30, ge=7, le=366)
    most_days: int = Field(default=92, ge=7, le=366)
    late_days: int = Field(default=7, ge=0, le=366)
    ahead_days: int = Field(default=92, ge=0, le=366)
    most_bottlenecks: int = Field(default=2, ge=1, le=2)
    period_days: int = Field(default=90, ge=7, le=366)
    least_cases: int = Field(default=20, ge=2, le=100_000)
    least_people: int = Field(default=5, ge=2, le=1000)
    overdue_healthy: float = Field(default=0.1, ge=0, lt=1)
    approval_within: ClockSetting = ClockSetting(hours=8, calendar="business")
    feedback_after: float = Field(default=0.5, gt=0, lt=1)
    feedback_task: str = Field(default="follow_up", min_length=1, max_length=64)
    task_kind: str = Field(default="review", min_length=1, max_length=64)


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that should not take longer than until `due`; `until`: when it was over, None while it is not. `worth`:
    weighted amount of the deal in minor units."""

    owner_id: str
    since: datetime
    due: datetime
    until: datetime | None
    worth: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """A bottleneck of a scope; `far`: how far it is from health, in parts of it; `cost` in minor units, None: unknown;
    `undecided`: it may be one, and it cannot be said."""

    key: str
    far: float
    cost: int | None
    undecided: bool = False


def settled(waits: Iterable[Wait], begins: datetime, ends: datetime) -> dict[str, list[float]]:
    """By owner, for each wait of which it was decided within the time whether it lasted too long: 1 if it did, 0 if it ended
    before. Each counts once, when it ends or falls due, whichever is first: what is cleared late does not look like
    something that got worse."""
    found: dict[str, list[float]] = {}
    for one in waits:
        in_time = one.until is not None and one.until <= one.due
        at = one.until if in_time and one.until is not None else one.due
        if begins <= at < ends:
            found.setdefault(one.owner_id, []).append(0.0 if in_time else 1.0)
    return found


def held_up(waits: Iterable[Wait], now: datetime) -> float:
    """Worth of what waits still and too long."""
    return sum(one.worth for one in waits if one.until is None and one.due <= now)


def beyond(value: float, low: float, high: float, healthy: float, *, rising: bool) -> bool | None:
    """Worse than healthy; None where the value is, and healthy lies within its interval: that cannot be said."""
    if not (value < healthy if rising else value > healthy):
        return False
    return (high < healthy if rising else low > healthy) or None


def ranked(found: Iterable[Found]) -> list[Found]:
    """What costs most first; what has no price after what has, the farthest from health first; last what cannot be said."""
    return sorted(found, key=lambda one: (one.undecided, one.cost is None, -(one.cost or 0), -one.far, one.key))


def changes(before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]) -> list[float]:
    """Mean after less mean before of everybody who has cases on both sides."""
    return [
        sum(after[person]) / len(after[person]) - sum(before[person]) / len(before[person])
        for person in sorted(before)
        if before[person] and after.get(person)
    ]


def pooled(by_owner: Mapping[str, Sequence[float]]) -> list[float]:
    return [value for owner in sorted(by_owner) for value in by_owner[owner]]
