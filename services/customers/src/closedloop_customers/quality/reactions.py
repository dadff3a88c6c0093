"""Records grow old by themselves: they are looked through as often as the rulebook says (S31, S34)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers.freshness import QualityRules
from closedloop_customers.quality import desk, stewardship

reactions = Reactions()

LOOK = "customers.quality_look"


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    """From the first unit on records are looked through; a timer that is set stays."""
    _again(work, work.rules(QualityRules).look_every)
    stewardship.again(work)


@reactions.timer(stewardship.MONTH)
async def month_over(_: list[Rung], work: Work) -> None:
    await stewardship.tell(work)
    stewardship.again(work)


@reactions.timer(LOOK)
async def look(_: list[Rung], work: Work) -> None:
    rules = work.rules(QualityRules)
    more = await desk.look_through(work)
    _again(work, rules.look_again if more else rules.look_every)


def _again(work: Work, setting: ClockSetting) -> None:
    work.timers.set(LOOK, "company", work.calendars.due(setting, work.now, ""))
