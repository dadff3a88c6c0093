"""What a deal that stands still sets going: the supervisor's or the director's task, and the warning behind it.

Made for ten thousand deals at once: what deals of one stage have in common is put together once.
"""

from __future__ import annotations

from functools import cache, partial

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop_chassis import protos
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.work import Work
from closedloop_funnel.opportunities.opening import DWELL
from closedloop_funnel.opportunities.proto import Writer
from closedloop_funnel.opportunities.record import Standing
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.opportunities.steps import PACE
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import StageRule
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.answerable import answerable
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.words import number


class Standstills:
    """Those of one unit of work."""

    def __init__(self, writer: Writer, work: Work) -> None:
        self._writer = writer
        self._work = work
        self._rules = work.rules(OpportunityRules)
        self._version = work.process.rulebooks.version(PipelineRules, work.now)
        self._common: dict[tuple[str, str, str, bool], tasks_pb2.TaskContent] = {}
        self._answerable = cache(partial(answerable, work=work))

    def put(self, id_: str, deal: Standing, due: Due) -> tuple[approvals.TaskRequested, Warning]:
        """The task of one deal, and its warning with this id: same subject, same numbers, and whoever gets the task has to act."""
        late = due.level > 0
        stage = self._writer.stage(deal)
        days, limit = self._writer.dwell_days(deal), stage.pace_limit_days if late else stage.dwell_limit_days
        words = f"在「{stage.name}」阶段已停留 {days:.1f} 个工作日, 上限 {limit:g}"
        task = approvals.TaskRequested()
        content = task.content
        content.CopyFrom(self._of_stage(deal, stage, late))
        content.title = title = f"商机停滞: {deal.name}"[:200]
        content.description = content.evidence[0].text = words
        content.evidence[0].value = days
        content.ownership.owner_id, content.ownership.unit_id = deal.owner_id, deal.unit_id
        content.cause_key = cause = f"{content.warning}:{deal.id}"
        content.subject_id = content.opportunity_id = deal.id
        content.account_id = deal.account_id or ""
        content.cause_time.CopyFrom(protos.timestamp(due.due_time))
        content.rule.explanation = why = f"{days:.2f} days in {stage.key}, limit {limit:g} on calendar {stage.calendar}"
        warning = Warning(
            id=id_,
            kind="stage_pace" if late else "stage_dwell",
            light=deal.dwell_light,
            subject_type="opportunity",
            subject_id=deal.id,
            subject_name=deal.name,
            owner_id=self._answerable(content.assignee_role, deal.owner_id, deal.unit_id),
            unit_id=deal.unit_id,
            evidence=[raising.evidence("dwell", days, "d", words), raising.evidence("limit", limit, "d")],
            rulebook=content.rule.rulebook,
            rule=content.rule.rule,
            rule_version=self._version,
            explanation=why,
            automatic_action=f"task: {title}",
            task_cause_key=cause,
            context={"stage_key": deal.stage_key},
            raised_at=self._work.now,
        )
        return task, warning

    def _of_stage(self, deal: Standing, stage: StageRule, late: bool) -> tasks_pb2.TaskContent:
        key = deal.pipeline_id, stage.key, deal.dwell_light, late
        if key not in self._common:
            limit, what = (stage.pace_limit_days, "pace") if late else (stage.dwell_limit_days, "dwell")
            self._common[key] = tasks_pb2.TaskContent(
                kind=self._rules.dwell_task_kind,
                assignee_role=self._rules.pace_assignee if late else self._rules.dwell_assignee,
                origin="funnel",
                warning=PACE if late else DWELL,
                light=number(common_pb2.Light, deal.dwell_light),
                priority=tasks_pb2.TASK_PRIORITY_HIGH if late else tasks_pb2.TASK_PRIORITY_NORMAL,
                subject_type="opportunity",
                evidence=[
                    common_pb2.Evidence(name="dwell", unit="d"),
                    common_pb2.Evidence(name="limit", value=limit, unit="d"),
                ],
                rule=common_pb2.RuleReference(
                    rulebook=PipelineRules.rulebook,
                    version=self._version,
                    rule=f"{deal.pipeline_id}.{stage.key}.{what}_limit_days",
                ),
                origin_checks=True,
            )
        return self._common[key]
