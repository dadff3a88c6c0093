"""What each kind of task asks for, and what may be done to a task in which state."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import LONGEST, ClockSetting, Part, Rules


class TaskKind(Part):
    """Defaults of one kind: time to do it, answers on offer, how long its cause must stay away afterwards."""

    due: ClockSetting = ClockSetting(days=2, calendar="business")
    outcomes: tuple[str, ...] = Field(default=(), max_length=20)
    # 0: whether it helped is not checked.
    check_days: float = Field(default=0, ge=0, le=366)
    # How often it goes to the next of the line when its time is up.
    escalations: int = Field(default=3, ge=0, le=20)
    longest_snooze_days: float = Field(default=7, gt=0, le=90)


class TaskRules(Rules):
    """Tasks by kind; a kind the rulebook does not name goes by `other`."""

    rulebook: ClassVar[str] = "approvals.tasks"

    kinds: dict[str, TaskKind] = Field(
        default={
            "intervention": TaskKind(due=ClockSetting(days=1, calendar="business"), check_days=14),
            "interview": TaskKind(due=ClockSetting(days=3, calendar="business"), check_days=14),
            "confirmation": TaskKind(due=ClockSetting(days=2, calendar="business"), outcomes=("confirmed", "rejected")),
            "review": TaskKind(due=ClockSetting(days=5, calendar="business"), outcomes=("in_order", "objected")),
            "follow_up": TaskKind(due=ClockSetting(days=2, calendar="business")),
        }
    )
    other: TaskKind = TaskKind()
    # What a task about a person is called once that person is forgotten.
    erased_title: str = Field(default="（客户个人信息已删除）", min_length=1, max_length=200)
    # Titles in "<title>_of_owner": the manager of the nearest unit of that kind.
    titles: dict[str, str] = Field(default={"director": "region", "area_manager": "area", "team_leader": "team"})

    def kind(self, name: str) -> TaskKind:
        return self.kinds.get(name, self.other)


OPEN = frozenset({"open", "started"})


def until(due_at: datetime, now: datetime) -> ClockSetting:
    """A clock that ends at a moment; at once if that is over."""
    return ClockSetting.timer(min(due_at - now, LONGEST))


def shown(state: str, snoozed_until: datetime | None, now: datetime) -> str:
    """A task sleeps until its moment and wakes by itself."""
    return "snoozed" if state in OPEN and snoozed_until is not None and snoozed_until > now else state


def require_open(state: str) -> None:
    """Raises FailedPrecondition TASK_CLOSED."""
    if state not in OPEN:
        raise errors.FailedPrecondition("TASK_CLOSED", f"this task is {state}", state=state)


def require_outcome(outcome: str, offered: list[str]) -> None:
    """Raises InvalidArgument OUTCOME_REQUIRED or OUTCOME_UNKNOWN."""
    if offered and not outcome:
        violations = {"outcome": f"one of {', '.join(offered)}"}
        raise errors.InvalidArgument("OUTCOME_REQUIRED", "say what came of it", violations)
    if outcome and offered and outcome not in offered:
        violations = {"outcome": f"one of {', '.join(offered)}"}
        raise errors.InvalidArgument("OUTCOME_UNKNOWN", f"{outcome} is not on offer", violations)


def require_wake(until: datetime, now: datetime, longest_days: float) -> None:
    """Raises InvalidArgument SNOOZE_TOO_LONG or SNOOZE_IN_THE_PAST."""
    if until <= now:
        raise errors.InvalidArgument("SNOOZE_IN_THE_PAST", "it would wake at once", {"until": "is over"})
    if until > now + timedelta(days=longest_days):
        raise errors.InvalidArgument(
            "SNOOZE_TOO_LONG", f"a task of this kind sleeps at most {longest_days:g} days", {"until": "is too far"}
        )


def watched(state: str, window: timedelta, origin_checks: bool) -> tuple[str, timedelta | None]:
    """What is known of the effect once a task is settled, and how long to watch whether the cause comes back; None where nobody
    does, or the origin says it itself."""
    if state != "done" or not (origin_checks or window > timedelta()):
        return "not_checked", None
    return "pending", None if origin_checks else window
