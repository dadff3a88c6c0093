"""What was done about a warning, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from google.protobuf.duration_pb2 import Duration

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.data import rows
from closedloop_chassis.work import Work
from closedloop_funnel.warnings import measuring, rules, store
from closedloop_funnel.warnings.answerable import gone, leading
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.warnings.rules import KindWord, StateWord, WarningRules
from closedloop_funnel.words import number

CHECK = "funnel.warning_check"
FAILED = "funnel.warning_failed"


def act(work: Work, before: Warning, action: str, person_id: str) -> Warning:
    """The check follows by itself; a later word replaces the earlier, and the check counts from it."""
    rule = work.rules(WarningRules).kinds[cast(KindWord, before.kind)]
    after = replace(
        before,
        version=before.version + 1,
        state="acted",
        action=action,
        acted_by=person_id,
        acted_at=work.now,
        check_at=work.calendars.due(rule.after, work.now, before.unit_id),
    )
    assert after.check_at is not None
    work.tx.do(store.SAVE, {"rows": rows.pack([after])})
    work.timers.cancel(CHECK, after.id)
    work.timers.set(CHECK, after.id, after.check_at)
    work.audit(after.id, "act", rows.row(before, "version"), rows.row(after, "version"))
    return after


async def act_on(work: Work, cause_key: str, action: str, person_id: str) -> None:
    """For what is done elsewhere about the cause of a task."""
    for one in await work.tx.all(store.OF_TASK, {"cause": cause_key}, into=Warning):
        act(work, one, action, person_id)


async def look(work: Work, found: Iterable[Warning]) -> None:
    """Holds them against how it stands now; those of which it cannot be told are checked again later."""
    warnings = list(found)
    standing = await measuring.measure(work, warnings)
    changed = []
    for before in warnings:
        stands = standing[before.id]
        state = rules.settled(cast(StateWord, before.state), stands.word)
        if state == before.state:
            if state == "acted":
                rule = work.rules(WarningRules).kinds[cast(KindWord, before.kind)]
                again = work.calendars.due(rule.after, work.now, before.unit_id)
                work.timers.set(CHECK, before.id, again)
                changed.append(replace(before, check_at=again, version=before.version + 1))
            continue
        after = replace(before, version=before.version + 1, state=state, outcome=stands.evidence, check_at=work.now)
        changed.append(after)
        work.audit(after.id, f"check_{state}", rows.row(before, "version"), rows.row(after, "version"))
        if after.task_cause_key:
            _judge(after, work)
        if state == "failed":
            _ask_above(after, work)
    if changed:
        work.tx.do(store.SAVE, {"rows": rows.pack(changed)})


async def hand_over(work: Work) -> None:
    """What somebody left behind unsettled is followed up by whoever leads there now."""
    owners = [row["owner_id"] for row in await work.tx.all(store.OWNERS)]
    left = [owner_id for owner_id in owners if gone(owner_id, work)]
    if not left:
        return
    changed = []
    for before in await work.tx.all(store.OF_OWNERS, {"people": left}, into=Warning):
        after = replace(before, version=before.version + 1, owner_id=leading(before.owner_id, before.unit_id, work))
        if after.owner_id != before.owner_id:
            changed.append(after)
            work.audit(after.id, "hand_over", {"owner_id": before.owner_id}, {"owner_id": after.owner_id})
    if changed:
        work.tx.do(store.SAVE, {"rows": rows.pack(changed)})


def _judge(after: Warning, work: Work) -> None:
    """Of a settled task: the proof that the action worked, or that it did not. Of an open one nothing is wanted once it is over."""
    holds, cleared = approvals.WITHDRAWAL_REASON_CAUSE_HOLDS, approvals.WITHDRAWAL_REASON_CAUSE_CLEARED
    withdrawn = approvals.TaskWithdrawn(
        origin="funnel",
        cause_key=after.task_cause_key,
        reason=holds if after.state == "failed" else cleared,
        clear_time=protos.timestamp(work.now),
        evidence=[common_pb2.Evidence(**one) for one in after.outcome],
    )
    work.tell(withdrawn, after.subject_id)


def _ask_above(failed: Warning, work: Work) -> None:
    rule = work.rules(WarningRules).kinds[cast(KindWord, failed.kind)]
    if not rule.failure_task:
        return
    content = tasks_pb2.TaskContent(
        kind=rule.failure_task,
        title=f"措施未见效: {rule.name} {failed.subject_name}"[:200],
        description=f"已采取: {failed.action}\n复查时仍未好转: {failed.explanation}"[:10000],
        assignee_role="manager_of_owner",
        ownership=common_pb2.Ownership(owner_id=failed.owner_id, unit_id=failed.unit_id),
        origin="funnel",
        cause_key=f"{FAILED}:{failed.id}",
        warning=FAILED,
        light=number(common_pb2.Light, failed.light),
        subject_type=failed.subject_type,
        subject_id=failed.subject_id,
        opportunity_id=failed.subject_id if failed.subject_type == "opportunity" else "",
        cause_time=protos.timestamp(work.now),
        evidence=[common_pb2.Evidence(**one) for one in failed.outcome],
        # Nobody measures what comes of this one; that the same warning does not fail twice is no success.
        check_window=Duration(),
    )
    work.tell(approvals.TaskRequested(content=content), failed.subject_id)
