"""Deals are graded at once, the rest every night (S29)."""

from __future__ import annotations

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import ids
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers.grades import desk
from closedloop_customers.grades.rules import GradeRules

reactions = Reactions()

NIGHT = "customers.grading_night"


@reactions.on(funnel.OpportunityWon)
async def won(event: Heard[funnel.OpportunityWon], work: Work) -> None:
    if ids.is_id(event.message.account_id):
        await desk.evaluate(work, "event:OpportunityWon", [event.message.account_id])


@reactions.on(funnel.OpportunityReopened)
async def reopened(event: Heard[funnel.OpportunityReopened], work: Work) -> None:
    if ids.is_id(event.message.account_id):
        await desk.evaluate(work, "event:OpportunityReopened", [event.message.account_id])


@reactions.on(targets.OrgUnitChanged)
async def company_known(event: Heard[targets.OrgUnitChanged], work: Work) -> None:
    """From the first unit on customers are graded every night; a running clock goes on."""
    work.clocks.start(NIGHT, "company", work.rules(GradeRules).grade_every)


@reactions.clock(NIGHT)
async def night(due: list[Due], work: Work) -> None:
    for clock in due:
        if clock.phase == "due":
            await desk.evaluate(work, "night")
            work.clocks.rearm(clock, work.rules(GradeRules).grade_every)
