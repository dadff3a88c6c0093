"""Runs go on piece by piece; every month begins with a restatement, from the first plan on."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.targets.v1 import events_pb2
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets.forecasts import stating, store
from closedloop_targets.forecasts.store import Run

reactions = Reactions()


@reactions.on(events_pb2.PlanPublished)
async def plan_published(event: Heard[events_pb2.PlanPublished], work: Work) -> None:
    stating.next_month(work)


@reactions.timer(stating.MONTH)
async def month_begun(_: Sequence[Rung], work: Work) -> None:
    top = work.home.root
    if top is not None and await work.tx.value(store.RUNNING, {"units": list(work.org.units)}) is None:
        await stating.begin(work, top.id, (), f"clock:{stating.MONTH}", "monthly restatement")
    stating.next_month(work)


@reactions.timer(stating.RUN)
async def piece_due(rung: Sequence[Rung], work: Work) -> None:
    """One piece of each run; what a restart interrupted is taken up where it was committed last."""
    for run in await work.tx.all(store.LOCK_RUN, {"ids": [one.subject for one in rung]}, into=Run):
        if run.state in ("queued", "running"):
            await stating.go_on(work, run)
