"""Records grow old by themselves: they are looked through as often as the rulebook says (S31, S34)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import rounds
from closedloop_customers.freshness import QualityRules
from closedloop_customers.quality import desk, stewardship

reactions = Reactions()

LOOK = "customers.quality_look"


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    """From the first unit on months are told of; a timer that is set stays."""
    stewardship.again(work)


@reactions.timer(stewardship.MONTH)
async def month_over(_: list[Rung], work: Work) -> None:
    await stewardship.tell(work)
    stewardship.again(work)


@rounds.every(reactions, LOOK, lambda work: work.rules(QualityRules).look_every)
async def look(work: Work) -> ClockSetting | None:
    more = await desk.look_through(work)
    return work.rules(QualityRules).look_again if more else None
