"""Half-way the sellers are asked what they say of a pilot; when it is over, its owner what shall become of it."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.pilots import store
from closedloop_funnel.pilots.rules import PilotRules
from closedloop_funnel.pilots.store import Pilot

ASK = "funnel.pilot_feedback"
OVER = "funnel.pilot_over"
SELLER = "rep"

reactions = Reactions()


@reactions.timer(ASK)
async def half_way(rung: Sequence[Rung], work: Work) -> None:
    running = await _running(rung, work)
    spoke = {
        (row["pilot_id"], row["person_id"])
        for row in await work.tx.all(store.SPOKE, {"ids": [one.id for one in running]})
    }
    for one in running:
        for unit_id in one.touched:
            for person in work.org.members(unit_id):
                if person.active and SELLER in person.roles and (one.id, person.id) not in spoke:
                    work.tell(approvals.TaskRequested(content=_asked(one, person.id, unit_id, work)), one.id)


@reactions.timer(OVER)
async def over(rung: Sequence[Rung], work: Work) -> None:
    for one in await _running(rung, work):
        content = _task(
            one,
            work,
            kind=work.rules(PilotRules).task_kind,
            title=f"试点到期, 请决定推广、调整或停止: {one.name}",
            assignee_role="owner",
            ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
            cause_key=ended(one),
            warning=OVER,
        )
        work.tell(approvals.TaskRequested(content=content), one.id)


async def _running(rung: Sequence[Rung], work: Work) -> list[Pilot]:
    return await work.tx.all(store.LOCK, {"ids": [one.subject for one in rung]}, into=Pilot)


def _asked(one: Pilot, person_id: str, unit_id: str, work: Work) -> tasks_pb2.TaskContent:
    return _task(
        one,
        work,
        kind=work.rules(PilotRules).feedback_task,
        title=f"试点反馈: {one.name}",
        description=one.measures,
        assignee_role="owner",
        ownership=common_pb2.Ownership(owner_id=person_id, unit_id=unit_id),
        cause_key=asked(one, person_id),
        warning=ASK,
    )


def _task(one: Pilot, work: Work, *, title: str, **fields: object) -> tasks_pb2.TaskContent:
    content = tasks_pb2.TaskContent(
        title=title[:200],
        origin="funnel",
        light=common_pb2.LIGHT_BLUE,
        subject_type="pilot",
        subject_id=one.id,
        cause_time=protos.timestamp(work.now),
    )
    content.MergeFrom(tasks_pb2.TaskContent(**fields))  # type: ignore[arg-type]
    return content


def asked(one: Pilot, person_id: str) -> str:
    """The cause of a seller's task."""
    return f"{ASK}:{one.id}:{person_id}"


def ended(one: Pilot) -> str:
    """The cause of the owner's."""
    return f"{OVER}:{one.id}"


def cleared(cause_key: str, work: Work) -> approvals.TaskWithdrawn:
    return approvals.TaskWithdrawn(
        origin="funnel",
        cause_key=cause_key,
        reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
        clear_time=protos.timestamp(work.now),
    )
