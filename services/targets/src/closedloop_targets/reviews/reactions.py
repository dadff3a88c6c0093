"""Every fortnight packs are prepared; tasks that a review gave out report back."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.targets.v1 import events_pb2
from closedloop_chassis import enums
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets import asking
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.reviews import preparing, store

reactions = Reactions()


@reactions.on(events_pb2.PlanPublished)
async def plan_published(event: Heard[events_pb2.PlanPublished], work: Work) -> None:
    preparing.next_review(work)


@reactions.timer(preparing.REVIEW_DAY)
async def fortnight_over(_: Sequence[Rung], work: Work) -> None:
    org = work.org
    led = [
        unit
        for unit in org.units.values()
        if unit.active and (leader := org.person(unit.manager_id)) is not None and leader.active
    ]
    fortnight = preparing.over(work.home.today(), work.rules(FiscalCalendar))
    await preparing.prepare(work, led, fortnight, only_measured=True)
    preparing.next_review(work)


@reactions.on(approvals.TaskSettled)
async def task_settled(event: Heard[approvals.TaskSettled], work: Work) -> None:
    settled = event.message
    if settled.origin != asking.ORIGIN or settled.subject_type != "review_follow_up":
        return
    state = enums.word(tasks_pb2.TaskState, settled.state)
    work.tx.do(store.SETTLED, {"id": settled.subject_id, "task_id": settled.task_id, "state": state})
