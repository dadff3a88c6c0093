"""Warnings go on by themselves: what was done on the work list counts, and what was done is checked (S102)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.warnings import acting, store
from closedloop_funnel.warnings.acting import CHECK
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.warnings.rules import WarningRules

MORNING = "funnel.warnings"

reactions = Reactions()


@every_day(reactions, MORNING, lambda work: work.rules(WarningRules).hour)
async def passed_by_themselves(work: Work) -> None:
    await acting.hand_over(work)
    await acting.look(work, await work.tx.all(store.OPEN, {"before": work.now}, into=Warning))


@reactions.timer(CHECK)
async def check_due(rung: Sequence[Rung], work: Work) -> None:
    found = await work.tx.all(store.LOCK, {"ids": [one.subject for one in rung]}, into=Warning)
    await acting.look(work, [one for one in found if one.state == "acted"])


@reactions.on(approvals.TaskSettled)
async def task_settled(event: Heard[approvals.TaskSettled], work: Work) -> None:
    """Done or called off by a person is an action; what was only withdrawn is none."""
    told = event.message
    if told.origin != "funnel" or told.state not in (tasks_pb2.TASK_STATE_DONE, tasks_pb2.TASK_STATE_CANCELLED):
        return
    said = " · ".join(filter(None, (told.outcome, told.comment))) or tasks_pb2.TaskState.Name(told.state)
    await acting.act_on(work, told.cause_key, said[:10000], told.settled_by)
