"""What the funnel does by itself every day: one timer for the company, set anew each time it rings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import time, timedelta

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work

COMPANY = "company"

Daily = Callable[[Work], Awaitable[None]]


def every_day(reactions: Reactions, kind: str, hour: Callable[[Work], time]) -> Callable[[Daily], Daily]:
    """The decorated `async (work)` runs each time the clocks of the company show the `hour` of its rulebook, from the day
    on which the company is known."""

    @reactions.batch(targets.OrgUnitChanged)
    async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
        next_morning(work, kind, hour(work))

    def register(function: Daily) -> Daily:
        @reactions.timer(kind)
        async def rung(_: list[Rung], work: Work) -> None:
            await function(work)
            next_morning(work, kind, hour(work))

        return function

    return register


def next_morning(work: Work, kind: str, hour: time) -> None:
    """Sets the timer of the kind for the next time the clocks of the company show `hour`; one that is set stays."""
    day = work.home.today()
    moment = work.home.moment(day, hour)
    if moment <= work.now:
        moment = work.home.moment(day + timedelta(days=1), hour)
    work.timers.set(kind, COMPANY, moment)
