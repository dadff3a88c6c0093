"""Every morning: quarters that have ended are judged, flat ones are warned of; once a quarter, whether enough is tested."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from google.protobuf import json_format

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Work
from closedloop_funnel.management import comparing, judging, rules, store
from closedloop_funnel.management.judging import Judged
from closedloop_funnel.management.rules import ManagementRules
from closedloop_funnel.management.store import Action
from closedloop_funnel.mornings import every_day
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.record import Warning

MORNING = "funnel.management"
FLAT = "funnel.management_action_flat"
UNTESTED = "funnel.core_actions_untested"

reactions = Reactions()


@every_day(reactions, MORNING, lambda work: work.rules(ManagementRules).hour)
async def look(work: Work) -> None:
    judged_by, today = work.rules(ManagementRules), work.home.today()
    if rules.is_asked(judged_by, today):
        await _remind(work)
    # Whoever edits one of them meanwhile waits for what is written here.
    await work.tx.all(store.LOCK)
    found = await judging.judge(await judging.watched(work), today - timedelta(days=judged_by.settle_days), work)
    if found:
        await _keep(found, work)


async def _keep(found: list[Judged], work: Work) -> None:
    wanted = work.rules(ManagementRules).flat_quarters
    runs = {one.action.id: rules.flat_run(one.flats) for one in found}
    flat = [one for one in found if runs[one.action.id] >= wanted > one.action.flat_quarters]
    compared = await comparing.compare(flat, work) if flat else {}
    changed = []
    for one in found:
        before = one.action
        comparison = compared.get(before.id)
        after = replace(
            before,
            version=before.version + 1,
            flat_quarters=runs[before.id],
            comparison=json_format.MessageToDict(comparison) if comparison else before.comparison,
            updated_at=work.now,
        )
        changed.append(after)
        work.audit(after.id, "judge", {"flat_quarters": before.flat_quarters}, {"flat_quarters": after.flat_quarters})
    work.tx.do(store.KEEP, {"rows": rows.pack([quarter for one in found for quarter in one.quarters])})
    work.tx.do(store.SAVE, {"rows": rows.pack([rows.row(one, only=rows.columns(Action)) for one in changed])})
    tasks = {one.action.id: _task(one, compared[one.action.id], runs[one.action.id], work) for one in flat}
    for action_id, task in tasks.items():
        work.tell(approvals.TaskRequested(content=task), action_id)
    raising.raise_all(work, [_warning(tasks[one.action.id], one, work) for one in flat])


def _task(one: Judged, comparison: pb.PracticeComparison, run: int, work: Work) -> tasks_pb2.TaskContent:
    action = one.action
    return tasks_pb2.TaskContent(
        kind=work.rules(ManagementRules).task_kind,
        title=f"管理动作 {run} 个季度无起色: {action.name}"[:200],
        description=comparison.summary,
        assignee_role="owner",
        ownership=common_pb2.Ownership(owner_id=action.owner_id, unit_id=action.unit_id),
        origin="funnel",
        cause_key=f"{FLAT}:{action.id}:{one.quarters[-1].quarter}",
        warning=FLAT,
        light=common_pb2.LIGHT_YELLOW,
        subject_type="management_action",
        subject_id=action.id,
        cause_time=protos.timestamp(work.now),
        evidence=[common_pb2.Evidence(name="flat_quarters", value=run, unit="1"), *comparison.evidence][:20],
        origin_checks=True,
        rule=common_pb2.RuleReference(
            rulebook=ManagementRules.rulebook,
            version=work.process.rulebooks.version(ManagementRules, work.now),
            rule="flat_quarters",
            explanation=comparison.summary,
        ),
    )


def _warning(task: tasks_pb2.TaskContent, one: Judged, work: Work) -> Warning:
    return raising.of_task("management_action_flat", task, work, name=one.action.name)


async def _remind(work: Work) -> None:
    """Whoever plans the tests is told how many core actions are still to be put to one; once there are enough, no more."""
    judged_by, root, quarter = work.rules(ManagementRules), work.home.root, rules.quarter_of(work.home.today())
    stretch = {"from": work.home.moment(quarter), "to": work.home.moment(rules.following(quarter))}
    tested = await work.tx.value(store.UNDER_TEST, stretch)
    if root is None:
        return
    cause = f"{UNTESTED}:{quarter}"
    if tested >= judged_by.core_actions:
        cleared = approvals.WITHDRAWAL_REASON_CAUSE_CLEARED
        withdrawn = approvals.TaskWithdrawn(
            origin="funnel", cause_key=cause, reason=cleared, clear_time=protos.timestamp(work.now)
        )
        work.tell(withdrawn, root.id)
        return
    content = tasks_pb2.TaskContent(
        kind=judged_by.task_kind,
        title=f"本季度核心管理动作的对照试验: {tested}/{judged_by.core_actions}",
        description=f"每季度要试验 {judged_by.core_actions} 个核心管理动作; 本季度已开始 {tested} 个",
        assignee_role=f"role:{judged_by.planner}",
        ownership=common_pb2.Ownership(owner_id=root.manager_id, unit_id=root.id),
        origin="funnel",
        cause_key=cause,
        warning=UNTESTED,
        light=common_pb2.LIGHT_BLUE,
        subject_type="unit",
        subject_id=root.id,
        cause_time=protos.timestamp(work.now),
        evidence=[common_pb2.Evidence(name="core_actions_tested", value=tested, unit="1")],
    )
    work.tell(approvals.TaskRequested(content=content), root.id)
