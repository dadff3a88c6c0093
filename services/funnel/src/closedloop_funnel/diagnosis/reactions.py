"""The diagnosis of the month before, made by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import diagnosis_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import errors
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.diagnosis import api, finding
from closedloop_funnel.diagnosis.measuring import Period
from closedloop_funnel.diagnosis.rules import DiagnosisRules
from closedloop_funnel.mornings import next_morning
from closedloop_funnel.pipelines import scope
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.record import Warning

DIAGNOSIS = "funnel.diagnosis"

reactions = Reactions()


@reactions.batch(targets.OrgUnitChanged)
async def company_known(_: Sequence[Heard[targets.OrgUnitChanged]], work: Work) -> None:
    next_morning(work, DIAGNOSIS, time())


@reactions.timer(DIAGNOSIS)
async def monthly(_: list[Rung], work: Work) -> None:
    today = work.home.today()
    if today.day == work.rules(DiagnosisRules).monthly_day:
        last = today.replace(day=1) - timedelta(days=1)
        first = last.replace(day=1)
        earlier = (first - timedelta(days=1)).replace(day=1)
        moments = [work.home.moment(day) for day in (earlier, first, today.replace(day=1))]
        about = pipelines_pb2.FunnelScope(pipeline_id=work.rules(PipelineRules).default)
        period, before = Period(*moments[1:]), Period(*moments[:2])
        try:
            found = await finding.of_funnel(about, scope.whole(about, work), period, before, work)
        except errors.FailedPrecondition:
            # A month in which next to nothing happened is no failure.
            found = None
        if found is not None:
            api.keep(found, period, "", work)
            if found.sticking_stage_key:
                raising.raise_all(work, [_warning(found, about.pipeline_id, work)])
    next_morning(work, DIAGNOSIS, time())


def _warning(found: pb.Diagnosis, pipeline_id: str, work: Work) -> Warning:
    """Who leads the company answers for its funnel."""
    root = work.home.root
    said = f"{found.sticking_stage_name}: {found.parked_ratio:.1%} of the open deals, {found.mean_dwell_days:.1f} days on average"
    return raising.warning(
        "stage_conversion",
        work,
        light="red" if found.rule.rule == "parked_share" else "yellow",
        subject=("unit", root.id if root else "", f"{root.name if root else ''} · {found.sticking_stage_name}"),
        about=("", root.id if root else ""),
        assignee="manager_of_owner",
        evidence=[
            raising.evidence("parked_share", found.parked_ratio, "1", said),
            raising.evidence("dwell", found.mean_dwell_days, "d"),
        ],
        rule=common_pb2.RuleReference(
            rulebook=DiagnosisRules.rulebook,
            version=work.process.rulebooks.version(DiagnosisRules, work.now),
            rule=found.rule.rule,
            explanation=said,
        ),
        automatic_action="; ".join(cause.suggestion for cause in found.causes)[:1000],
        context={"pipeline_id": pipeline_id, "stage_key": found.sticking_stage_key},
    )
