"""Old changes are forgotten."""

from __future__ import annotations

from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.watch import store
from closedloop_funnel.watch.rules import WatchRules

MORNING = "funnel.watch"

reactions = Reactions()


@every_day(reactions, MORNING, lambda work: work.rules(WatchRules).hour)
async def forget(work: Work) -> None:
    rules = work.rules(WatchRules)
    kept = work.calendars.due(rules.kept, work.now) - work.now
    work.tx.do(store.FORGET, {"before": work.now - kept})
