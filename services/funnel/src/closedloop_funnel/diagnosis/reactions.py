"""The diagnosis of the month before, made by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time, timedelta

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
    next_morning(work, DIAGNOSIS, time())
