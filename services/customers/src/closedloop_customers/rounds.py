"""What customers does by itself again and again: one timer for the company, set anew each time it rings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work

COMPANY = "company"

Round = Callable[[Work], Awaitable[ClockSetting | None]]


def every(reactions: Reactions, kind: str, setting: Callable[[Work], ClockSetting]) -> Callable[[Round], Round]:
    """The decorated `async (work)` runs as often as the rulebook's `setting` says, from the first unit of the company on.
    It may answer another span, after which the next round is due."""

    @reactions.batch(targets.OrgUnitChanged)
    async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
        following(work, kind, setting(work))

    def register(function: Round) -> Round:
        @reactions.timer(kind)
        async def rung(_: list[Rung], work: Work) -> None:
            following(work, kind, await function(work) or setting(work))

        return function

    return register


def following(work: Work, kind: str, setting: ClockSetting, subject: str = COMPANY) -> None:
    """Sets the timer of the next round; one that is set stays."""
    work.timers.set(kind, subject, work.calendars.due(setting, work.now, ""))
