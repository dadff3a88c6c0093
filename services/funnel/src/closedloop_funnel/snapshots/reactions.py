"""A picture every morning, from the day on which the company is known."""

from __future__ import annotations

from datetime import timedelta

from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.snapshots import store
from closedloop_funnel.snapshots.rules import SnapshotRules

SNAPSHOT = "funnel.snapshot"

reactions = Reactions()


@every_day(reactions, SNAPSHOT, lambda work: work.rules(SnapshotRules).hour)
async def picture(work: Work) -> None:
    rules = work.rules(SnapshotRules)
    await store.take(work.tx, new_id(), work.now, work.actor)
    store.forget(work.tx, work.now - timedelta(days=rules.kept_days))
