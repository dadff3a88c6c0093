"""Territories begin and end with the day; pooled accounts follow (U7)."""

from __future__ import annotations

from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_customers import rounds
from closedloop_customers.territories import desk
from closedloop_customers.territories.rules import TerritoryRules

reactions = Reactions()

DAILY = "customers.territories_daily"


@rounds.every(reactions, DAILY, lambda work: work.rules(TerritoryRules).look_every)
async def daily(work: Work) -> None:
    await desk.bring_home(work, await desk.tree(work, work.tx))
