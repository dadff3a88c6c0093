"""Every evening the week so far is looked at."""

from __future__ import annotations

from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.breakers import switching
from closedloop_funnel.breakers.rules import BreakerRules
from closedloop_funnel.mornings import every_day

EVENING = "funnel.breakers"

reactions = Reactions()


@every_day(reactions, EVENING, lambda work: work.rules(BreakerRules).hour)
async def evening(work: Work) -> None:
    await switching.look(work)
