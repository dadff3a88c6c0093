"""A diagnosis: what is measured, held against the baseline, and why (S44)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import diagnosis_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.diagnosis import measuring, rules, store
from closedloop_funnel.diagnosis.measuring import Measured, Period
from closedloop_funnel.diagnosis.rules import Cause, DiagnosisRules, Parked, Stays
from closedloop_funnel.diagnosis.store import Standing
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import GATES, PipelineRule
from closedloop_funnel.words import number

# Proof that only other records can give; what is still to come of it is no fault of the seller.
ELSEWHERE = (*GATES, "activity", "field")


async def of_funnel(
    about: pipelines_pb2.FunnelScope, scoped: Mapping[str, Any], period: Period, baseline: Period, work: Work
) -> pb.Diagnosis:
    """Raises FailedPrecondition TOO_LITTLE_DATA."""
    pipeline = work.rules(PipelineRules).pipeline(about.pipeline_id)
    now = await measuring.funnel(work.tx, scoped, period, pipeline, work)
    before = await measuring.funnel(work.tx, scoped, baseline, pipeline, work)
    judged_by = work.rules(DiagnosisRules)
    _enough(judged_by, now)
    key, rule = rules.sticking(judged_by, now.stages)
    names = {stage.key: stage.name for stage in pipeline.stages}
    found = _figures(now, before, key, names)
    found.scope.CopyFrom(about)
    signed, leads = rules.change(now.won, before.won), rules.change(now.opened, before.opened)
    if signed is not None:
        found.signing_change = signed
    if leads is not None:
        found.lead_change = leads
    if key:
        here = [one for one in now.standing if one.stage_key == key]
        parked = await _parked(here, pipeline, period, work)
        load = Counter(one.owner_id for one in now.standing)
        found.causes.extend(_cause(cause, judged_by) for cause in rules.causes(judged_by, parked, load, before.mix))
        found.event_count += sum(one.contacts for one in parked)
    _close(found, rule, period, baseline, work)
    return found


async def of_log(log: str, calendar: str, period: Period, baseline: Period, work: Work) -> pb.Diagnosis:
    """Raises NotFound PROCESS_LOG_UNKNOWN, FailedPrecondition TOO_LITTLE_DATA, CALENDAR_UNKNOWN."""
    cases, _ = await store.in_log(work.tx, log)
    if not cases:
        raise errors.NotFound("PROCESS_LOG_UNKNOWN", f"nothing was brought in as {log}")
    now = await measuring.foreign(work.tx, log, period, calendar, work)
    before = await measuring.foreign(work.tx, log, baseline, calendar, work)
    _enough(work.rules(DiagnosisRules), now)
    key, rule = rules.sticking(work.rules(DiagnosisRules), now.stages)
    found = _figures(now, before, key, {})
    found.process_log = log
    _close(found, rule, period, baseline, work)
    return found


def _enough(judged_by: DiagnosisRules, measured: Measured) -> None:
    stays = sum(len(stage.days) for stage in measured.stages)
    if measured.cases < judged_by.least_cases or not stays:
        raise errors.FailedPrecondition(
            "TOO_LITTLE_DATA",
            f"{measured.cases} cases with {stays} stays in the period; it takes {judged_by.least_cases}",
            cases=measured.cases,
        )


def _figures(now: Measured, before: Measured, key: str, names: Mapping[str, str]) -> pb.Diagnosis:
    parked = sum(stage.parked for stage in now.stages)
    found = pb.Diagnosis(
        id=new_id(),
        sticking_stage_key=key,
        sticking_stage_name=names.get(key, key),
        stages=[_stage(stage, before.stage(stage.stage_key), parked, names) for stage in now.stages],
        case_count=now.cases,
        event_count=now.events,
    )
    if key:
        stuck, earlier = now.stage(key), rules.mean(before.stage(key).days)
        found.parked_ratio = stuck.parked / parked if parked else 0.0
        found.mean_dwell_days = rules.mean(stuck.days) or 0.0
        if earlier is not None:
            found.baseline_mean_dwell_days = earlier
    return found


def _stage(stage: Stays, before: Stays, parked: int, names: Mapping[str, str]) -> pb.StageDiagnosis:
    return pb.StageDiagnosis(
        stage_key=stage.stage_key,
        stage_name=names.get(stage.stage_key, stage.stage_key),
        entered_count=stage.entered,
        left_count=stage.left,
        parked_count=stage.parked,
        parked_ratio=stage.parked / parked if parked else 0.0,
        mean_dwell_days=rules.mean(stage.days),
        median_dwell_days=rules.quantile(stage.days, 0.5),
        p90_dwell_days=rules.quantile(stage.days, 0.9),
        conversion_ratio=stage.advanced / stage.entered if stage.entered else None,
        baseline_conversion_ratio=before.advanced / before.entered if before.entered else None,
        total_dwell=protos.duration(timedelta(seconds=stage.seconds)),
    )


async def _parked(here: Sequence[Standing], pipeline: PipelineRule, period: Period, work: Work) -> list[Parked]:
    shown = await store.shown(work.tx, here, period.params)
    asked = {
        stage.key: {rule.key for rule in stage.requirements if rule.mandatory and rule.kind not in ELSEWHERE}
        for stage in pipeline.stages
    }
    return [
        Parked(
            opportunity_id=one.opportunity_id,
            owner_id=one.owner_id,
            customer_type=one.customer_type,
            contacts=shown[one.opportunity_id]["contacts"],
            effective=shown[one.opportunity_id]["effective"],
            pending=shown[one.opportunity_id]["pending"],
            unmet=bool(asked.get(one.stage_key, set()) - set(shown[one.opportunity_id]["given"])),
        )
        for one in here
    ]


def _cause(cause: Cause, judged_by: DiagnosisRules) -> pb.CauseFinding:
    shown = len(cause.opportunity_ids)
    return pb.CauseFinding(
        cause=number(pb.StickingCause, cause.cause),
        share_ratio=cause.share,
        evidence=[common_pb2.Evidence(name="parked_deals", value=shown, unit="1")],
        suggestion=judged_by.suggestions.get(cause.cause, ""),
        opportunity_ids=cause.opportunity_ids[: judged_by.examples],
    )


def _close(found: pb.Diagnosis, rule: str, period: Period, baseline: Period, work: Work) -> None:
    found.period.CopyFrom(_interval(period))
    found.baseline_period.CopyFrom(_interval(baseline))
    found.summary = _summary(found)
    found.rule.CopyFrom(
        common_pb2.RuleReference(
            rulebook=DiagnosisRules.rulebook,
            version=work.process.rulebooks.version(DiagnosisRules, work.now),
            rule=rule,
            explanation=found.summary[:2000],
        )
    )
    found.MergeFrom(pb.Diagnosis(create_time=protos.timestamp(work.now), author_id=work.actor))


def _interval(period: Period) -> Interval:
    return Interval(start_time=protos.timestamp(period.begins), end_time=protos.timestamp(period.ends))


def _summary(found: pb.Diagnosis) -> str:
    said = []
    if not found.sticking_stage_key:
        said.append(f"{found.case_count} 个案例中没有明显卡点")
    elif found.parked_ratio:
        said.append(f"{found.parked_ratio:.1%} 的在手商机积压在「{found.sticking_stage_name}」")
    else:
        said.append(f"时间主要花在「{found.sticking_stage_name}」")
    if found.sticking_stage_key:
        before = (
            f" (基期 {found.baseline_mean_dwell_days:.1f} 天)" if found.HasField("baseline_mean_dwell_days") else ""
        )
        said.append(f"平均停留 {found.mean_dwell_days:.1f} 天{before}")
    if found.HasField("signing_change"):
        said.append(f"签约 {found.signing_change:+.0%}")
    if found.HasField("lead_change"):
        said.append(f"新增商机 {found.lead_change:+.0%}")
    if found.causes:
        first = found.causes[0]
        said.append(f"最可能的原因 ({first.share_ratio:.0%}): {first.suggestion}")
    return "; ".join(said)
