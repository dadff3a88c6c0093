"""Every evening the week so far is looked at."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.breakers import switching
from closedloop_funnel.breakers.rules import BreakerRules
from closedloop_funnel.mornings import next_morning

EVENING = "funnel.breakers"

reactions = Reactions()


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    next_morning(work, EVENING, work.rules(BreakerRules).hour)


@reactions.timer(EVENING)
async def evening(_: list[Rung], work: Work) -> None:
    await switching.look(work)
    next_morning(work, EVENING, work.rules(BreakerRules).hour)
