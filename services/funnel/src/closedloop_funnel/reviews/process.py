"""Reviews of a process: whether an action is kept, changed or dropped (S54)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.reviews.store import Review
from closedloop_funnel.warnings import raising

PROCESS = "funnel.action_without_result"
# The rulebook behind process reviews.
EFFECTS = "funnel.effects"
OPEN = "SELECT action_unit_key, id FROM review WHERE kind = 'process' AND state = 'open'"


async def open_by_unit(db: Reader | Transaction) -> dict[str, str]:
    """Open process reviews by action unit."""
    return {row["action_unit_key"]: row["id"] for row in await db.all(OPEN)}


def open_review(
    work: Work, key: str, metric: str, explanation: str, evidence: list[dict[str, Any]], version: int, task_kind: str
) -> None:
    """Who leads the company answers for its processes."""
    root = work.home.root
    leader = work.org.manager_of(root.id) if root else None
    review = Review(
        id=new_id(),
        kind="process",
        owner_id=leader.id if leader else "",
        unit_id=root.id if root else "",
        day=work.home.today(),
        evidence=evidence,
        explanation=explanation,
        rule_version=version,
        action_unit_key=key,
        result_metric=metric,
        created_at=work.now,
    )
    work.tx.do(rows.insert("review", Review), {"rows": rows.pack([review])})
    content = tasks_pb2.TaskContent(
        kind=task_kind,
        title=f"动作有效性复核: {key}"[:200],
        description=explanation,
        assignee_role="owner",
        ownership=common_pb2.Ownership(owner_id=review.owner_id, unit_id=review.unit_id),
        origin="funnel",
        cause_key=f"{PROCESS}:{review.id}",
        warning=PROCESS,
        light=common_pb2.LIGHT_YELLOW,
        subject_type="review",
        subject_id=review.id,
        cause_time=protos.timestamp(work.now),
        evidence=[common_pb2.Evidence(**one) for one in evidence],
        origin_checks=True,
    )
    work.tell(approvals.TaskRequested(content=content), review.id)
    rule = common_pb2.RuleReference(rulebook=EFFECTS, version=version, rule="executed", explanation=explanation)
    content.rule.CopyFrom(rule)
    warned = raising.of_task("action_without_result", content, work, name=key)
    raising.raise_all(work, [replace(warned, subject_type="action_unit", subject_id=key)])
    work.audit(review.id, "open_review", after={"kind": "process", "action_unit_key": key})
