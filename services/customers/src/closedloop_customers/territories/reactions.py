"""Territories begin and end with the day; pooled accounts follow (U7)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers.territories import desk
from closedloop_customers.territories.rules import TerritoryRules

reactions = Reactions()

DAILY = "customers.territories_daily"


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    """From the first unit on days count; a timer that is set stays."""
    _again(work, work.rules(TerritoryRules).look_every)


@reactions.timer(DAILY)
async def daily(_: list[Rung], work: Work) -> None:
    await desk.bring_home(work, await desk.tree(work, work.tx))
    _again(work, work.rules(TerritoryRules).look_every)


def _again(work: Work, setting: ClockSetting) -> None:
    work.timers.set(DAILY, "company", work.calendars.due(setting, work.now, ""))
