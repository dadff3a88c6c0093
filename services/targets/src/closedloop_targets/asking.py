"""What this service asks of people: tasks on their work lists, through approvals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import Evidence, Ownership, RuleReference
from closedloop_chassis import protos
from closedloop_chassis.work import Work

ORIGIN = "targets"
SUBJECT_GONE = approvals.WITHDRAWAL_REASON_SUBJECT_GONE
CLEARED = approvals.WITHDRAWAL_REASON_CAUSE_CLEARED
HOLDS = approvals.WITHDRAWAL_REASON_CAUSE_HOLDS
ANSWERED = approvals.WITHDRAWAL_REASON_ANSWERED


def task(
    work: Work,
    *,
    kind: str,
    warning: str,
    subject_type: str,
    subject_id: str,
    title: str,
    description: str,
    assignee_id: str,
    owner_id: str,
    unit_id: str,
    light: int,
    cause: str = "",
    due_time: datetime | None = None,
    cause_time: datetime | None = None,
    evidence: Sequence[Evidence] = (),
    rule: RuleReference | None = None,
    origin_checks: bool = False,
) -> None:
    """One open task per cause, "<warning>:<subject>" where no other is said. `origin_checks`: whoever raises it says by `withdraw`
    whether what was done worked."""
    content = tasks_pb2.TaskContent(
        kind=kind,
        title=title[:200],
        description=description[:10000],
        assignee_id=assignee_id,
        assignee_role="" if assignee_id else "manager_of_owner",
        ownership=Ownership(owner_id=owner_id, unit_id=unit_id),
        origin=ORIGIN,
        cause_key=cause or f"{warning}:{subject_id}",
        warning=warning,
        light=light,  # type: ignore[arg-type]
        priority=tasks_pb2.TASK_PRIORITY_HIGH,
        subject_type=subject_type,
        subject_id=subject_id,
        due_time=protos.timestamp(due_time),
        cause_time=protos.timestamp(cause_time or work.now),
        evidence=evidence,
        rule=rule,
        origin_checks=origin_checks,
    )
    work.tell(approvals.TaskRequested(content=content), subject_id)


def withdraw(work: Work, cause: str, subject_id: str, reason: int = CLEARED) -> None:
    """An open task of the cause closes by itself; of a settled one CLEARED and HOLDS say whether it worked."""
    told = approvals.TaskWithdrawn(origin=ORIGIN, cause_key=cause, clear_time=protos.timestamp(work.now))
    told.reason = reason  # type: ignore[assignment]
    work.tell(told, subject_id)
