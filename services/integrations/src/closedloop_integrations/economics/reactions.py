"""Once a day all stock is looked at and told (S78)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations.economics import stock
from closedloop_integrations.economics.rules import EconomicsRules

reactions = Reactions()

DAILY = "integrations.stock_daily"


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    """From the first unit on; a timer that is set stays."""
    _again(work)


@reactions.timer(DAILY)
async def daily(_: list[Rung], work: Work) -> None:
    await stock.tell(work, all_of_them=True)
    _again(work)


def _again(work: Work) -> None:
    setting = work.rules(EconomicsRules).stock.look_every
    work.timers.set(DAILY, "company", work.calendars.due(setting, work.now, ""))
