"""Looks are taken when they fall due, and whoever answers for a test is told when it may be ended."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.data import rows
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.experiments import looking, store
from closedloop_funnel.experiments.rules import ExperimentRules
from closedloop_funnel.experiments.store import Experiment

LOOK = "funnel.experiment_look"
ENDS = "funnel.experiment_may_end"

reactions = Reactions()


@reactions.timer(LOOK)
async def look_due(rung: Sequence[Rung], work: Work) -> None:
    running = await work.tx.all(store.RUNNING, {"ids": [one.subject for one in rung]}, into=Experiment)
    if not running:
        return
    # Of looks that went by while nothing ran the last one is taken.
    numbers = {one.id: looking.reached(one, work.now) for one in running}
    seen = await looking.look(numbers, running, work)
    if seen:
        work.tx.do(store.LOOKED, {"rows": rows.pack(seen)})
    stops = {one.experiment_id for one in seen if one.stops}
    for one in running:
        left = looking.moments(one)[numbers[one.id] :]
        if left:
            work.timers.set(LOOK, one.id, left[0])
        if one.id in stops:
            work.tell(approvals.TaskRequested(content=_task(one, work)), one.id)


def ends(one: Experiment) -> str:
    """The cause of its task."""
    return f"{ENDS}:{one.id}"


def _task(one: Experiment, work: Work) -> tasks_pb2.TaskContent:
    """Figures are read where the test is, not in a work list: there they come with their interval."""
    return tasks_pb2.TaskContent(
        kind=work.rules(ExperimentRules).task_kind,
        title=f"对照试验可以下结论: {one.hypothesis}"[:200],
        description=f"停止规则已允许结束试验, 请下结论: {one.hypothesis}",
        assignee_role="owner",
        ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
        origin="funnel",
        cause_key=ends(one),
        warning=ENDS,
        light=common_pb2.LIGHT_BLUE,
        subject_type="experiment",
        subject_id=one.id,
        cause_time=protos.timestamp(work.now),
    )
