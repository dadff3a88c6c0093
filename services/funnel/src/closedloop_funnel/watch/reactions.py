"""Old changes are forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.mornings import next_morning
from closedloop_funnel.watch import store
from closedloop_funnel.watch.rules import WatchRules

MORNING = "funnel.watch"

reactions = Reactions()


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    next_morning(work, MORNING, work.rules(WatchRules).hour)


@reactions.timer(MORNING)
async def forget(_: list[Rung], work: Work) -> None:
    rules = work.rules(WatchRules)
    kept = work.calendars.due(rules.kept, work.now) - work.now
    work.tx.do(store.FORGET, {"before": work.now - kept})
    next_morning(work, MORNING, rules.hour)
