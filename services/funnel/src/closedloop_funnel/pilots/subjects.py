"""What can be a bottleneck: a metric, a stage, an approval; each by a key that means the same in every scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.work import Work
from closedloop_funnel.measures import measuring
from closedloop_funnel.measures.rules import Metric
from closedloop_funnel.performance.rules import PerformanceRules
from closedloop_funnel.pilots.rules import PilotRules
from closedloop_funnel.pipelines.rules import PipelineRules

APPROVALS: Mapping[str, str] = {"quote": "报价审批", "contract": "合同审批"}


@dataclass(frozen=True, slots=True)
class Subject:
    """`metric`: for kind "metric"; `allowed`: how long a stay in the `stage` of a `pipeline`, or an approval, may last. All but
    metrics are measured by the share that lasts longer, healthy up to `healthy`."""

    key: str
    name: str
    kind: Literal["metric", "stage", "approval"]
    metric_key: str
    unit: str
    healthy: float
    rising: bool = False
    metric: Metric | None = None
    pipeline: str = ""
    stage: str = ""
    allowed: ClockSetting | None = None


def subjects(work: Work) -> dict[str, Subject]:
    """By key. A metric without a healthy line is none; a stage without a limit has that of the pace of all."""
    return {one.key: one for one in (*_metrics(work), *_stages(work), *_approvals(work))}


def _metrics(work: Work) -> list[Subject]:
    return [
        Subject(f"metric:{one.key}", one.name, "metric", one.key, one.unit, one.healthy, one.rising, metric=one)
        for one in measuring.catalogue(work).values()
        if one.healthy is not None and not one.total
    ]


def _stages(work: Work) -> list[Subject]:
    healthy, pace = work.rules(PilotRules).overdue_healthy, work.rules(PerformanceRules).metrics["stage_pace"].healthy
    return [
        Subject(
            key=f"stage:{pipeline_id}/{stage.key}",
            name=f"{pipeline.name} · {stage.name}",
            kind="stage",
            metric_key="stage_overdue",
            unit="1",
            healthy=healthy,
            pipeline=pipeline_id,
            stage=stage.key,
            allowed=ClockSetting(days=stage.dwell_limit_days or stage.pace_limit_days or pace, calendar=stage.calendar),
        )
        for pipeline_id, pipeline in work.rules(PipelineRules).pipelines.items()
        for stage in pipeline.stages
        if stage.kind == "open" and not (pipeline.retired or stage.retired)
    ]


def _approvals(work: Work) -> list[Subject]:
    judged_by = work.rules(PilotRules)
    return [
        Subject(
            key=f"approval:{table}",
            name=name,
            kind="approval",
            metric_key="approval_overdue",
            unit="1",
            healthy=judged_by.overdue_healthy,
            stage=table,
            allowed=judged_by.approval_within,
        )
        for table, name in APPROVALS.items()
    ]
