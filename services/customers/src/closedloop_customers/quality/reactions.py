"""Records grow old by themselves: they are looked through as often as the rulebook says (S31, S34)."""

from __future__ import annotations

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers.freshness import QualityRules
from closedloop_customers.quality import desk

reactions = Reactions()

LOOK = "customers.quality_look"


@reactions.on(targets.OrgUnitChanged)
async def company_known(event: Heard[targets.OrgUnitChanged], work: Work) -> None:
    """From the first unit on records are looked through; a running clock goes on."""
    work.clocks.start(LOOK, "company", work.rules(QualityRules).look_every)


@reactions.clock(LOOK)
async def look(due: list[Due], work: Work) -> None:
    for clock in due:
        if clock.phase == "due":
            rules = work.rules(QualityRules)
            more = await desk.look_through(work)
            work.clocks.rearm(clock, rules.look_again if more else rules.look_every)
