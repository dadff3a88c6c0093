"""Whoever set a drill up is asked to grade what no rule could, by one task for all of it (S91)."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_funnel.drills.rules import DrillRules
from closedloop_funnel.drills.store import Drill

UNGRADED = "funnel.drill_ungraded"


def grade(work: Work, drill: Drill) -> None:
    content = tasks_pb2.TaskContent(
        kind=work.rules(DrillRules).grade_task_kind,
        title=f"请评分: {drill.name}"[:200],
        description="有演练回答需要人工评分: 规则没有听到评分标准所要的内容, 不等于没有说到。",
        assignee_id=drill.owner_id,
        assignee_role="owner",
        ownership=common_pb2.Ownership(owner_id=drill.owner_id, unit_id=drill.unit_id),
        origin="funnel",
        cause_key=_cause(drill),
        subject_type="drill",
        subject_id=drill.id,
        cause_time=protos.timestamp(work.now),
        check_window=Duration(),
    )
    work.tell(approvals.TaskRequested(content=content), drill.id)


def graded(work: Work, drill: Drill) -> None:
    """Nothing waits any more."""
    over = approvals.TaskWithdrawn(
        origin="funnel",
        cause_key=_cause(drill),
        reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
        clear_time=protos.timestamp(work.now),
    )
    work.tell(over, drill.id)


def _cause(drill: Drill) -> str:
    return f"{UNGRADED}:{drill.id}"
