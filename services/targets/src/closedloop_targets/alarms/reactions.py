"""Weeks are measured from the day on which the first plan comes into force; clocks ask for answers and check them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.targets.v1 import events_pb2
from closedloop_chassis import protos
from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_targets import asking
from closedloop_targets.alarms import effects, measuring, raising, store
from closedloop_targets.alarms.rules import AlarmRules

# The cause of what was answered on a work list, which asks for none.
BY_TASK = "other"

reactions = Reactions()


@reactions.on(events_pb2.PlanPublished)
async def plan_published(event: Heard[events_pb2.PlanPublished], work: Work) -> None:
    measuring.next_week(work)


@reactions.timer(measuring.WEEK_DAY)
async def week_over(_: Sequence[Rung], work: Work) -> None:
    await measuring.measure(work)
    measuring.next_week(work)


@reactions.clock(raising.RESPONSE)
async def response_due(due: list[Due], work: Work) -> None:
    """Nobody answered: the next one of the line is asked, as often as the rulebook says."""
    late = [one.subject for one in due if one.phase == "due"]
    most = work.rules(AlarmRules).escalations
    for alarm in await store.lock(work.tx, *late) if late else []:
        if alarm.state == "open" and alarm.escalation_level < most:
            raising.escalate(work, alarm)


@reactions.timer(raising.CHECK)
async def check_due(rung: Sequence[Rung], work: Work) -> None:
    alarms = [one for one in await store.lock(work.tx, *(one.subject for one in rung)) if one.state == "answered"]
    found = await effects.measure(work, alarms)
    for alarm in alarms:
        raising.judge(work, alarm, found[alarm.id])


@reactions.on(approvals.TaskSettled)
async def task_settled(event: Heard[approvals.TaskSettled], work: Work) -> None:
    """Settled on the work list is answered too; what was only withdrawn is not. The first who did something answered,
    whichever is heard first: a later one of those who were asked is no second answer."""
    settled = event.message
    if settled.origin != asking.ORIGIN or settled.subject_type != "alarm":
        return
    if settled.state != tasks_pb2.TASK_STATE_DONE:
        return
    at = protos.instant(settled.response_time) if settled.HasField("response_time") else event.time
    for alarm in await store.lock(work.tx, settled.subject_id):
        # A task answers once: its alarm may be open again by now.
        again = bool(settled.task_id) and settled.task_id == alarm.task_id
        earlier = alarm.first_answered_at is not None and (at, settled.task_id) < (
            alarm.first_answered_at,
            alarm.task_id,
        )
        if again or not (alarm.state == "open" or (alarm.state == "answered" and earlier)):
            continue
        if alarm.state == "answered" and (not alarm.task_id or alarm.cause != BY_TASK):
            # Answered here in words of its own, which stand; somebody was quicker on the work list.
            store.put(work.tx, [replace(alarm, first_answered_at=at)])
            continue
        first = None if alarm.state == "answered" else alarm.first_answered_at
        check = work.home.today() + timedelta(days=work.rules(AlarmRules).check_after_days)
        action = settled.comment or settled.outcome or "done"
        told = replace(alarm, task_id=settled.task_id, first_answered_at=first)
        raising.answer(work, told, BY_TASK, action, check, at, settled.settled_by)
