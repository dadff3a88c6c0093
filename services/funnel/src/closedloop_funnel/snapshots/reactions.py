"""A picture every morning, from the day on which the company is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.mornings import next_morning
from closedloop_funnel.snapshots import store
from closedloop_funnel.snapshots.rules import SnapshotRules

SNAPSHOT = "funnel.snapshot"

reactions = Reactions()


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    next_morning(work, SNAPSHOT, work.rules(SnapshotRules).hour)


@reactions.timer(SNAPSHOT)
async def picture(_: list[Rung], work: Work) -> None:
    rules = work.rules(SnapshotRules)
    await store.take(work.tx, new_id(), work.now, work.actor)
    store.forget(work.tx, work.now - timedelta(days=rules.kept_days))
    next_morning(work, SNAPSHOT, rules.hour)
