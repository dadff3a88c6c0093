"""How it stands now with what was warned of: the numbers of the warning, measured again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis.work import Scope, Work
from closedloop_funnel.diagnosis.rules import DiagnosisRules
from closedloop_funnel.effects import measuring as effects
from closedloop_funnel.effects.rules import EffectRules
from closedloop_funnel.opportunities.dwell import Dwell
from closedloop_funnel.performance import measuring as performance
from closedloop_funnel.performance import rules as thresholds
from closedloop_funnel.performance import stars
from closedloop_funnel.pipelines import scope
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.warnings import store
from closedloop_funnel.warnings.raising import evidence
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.warnings.rules import StandingWord, WarningRules

EVERYBODY: Mapping[str, Any] = {
    **Scope(company=True, owner_id="", unit_ids=frozenset()).params,
    "owner": "",
    "units": None,
}


@dataclass(frozen=True, slots=True)
class Standing:
    word: StandingWord
    evidence: list[dict[str, Any]] = field(default_factory=list)


UNKNOWN = Standing("unknown")
Measure = Callable[[Work, Sequence[Warning]], Awaitable[dict[str, Standing]]]


async def measure(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """By id of the warning; one statement for each sort of them, however many there are."""
    sorts: defaultdict[Measure, list[Warning]] = defaultdict(list)
    for one in warnings:
        sorts[_measure_of(one)].append(one)
    found: dict[str, Standing] = {}
    for how, some in sorts.items():
        found.update(await how(work, some))
    return {one.id: found.get(one.id, UNKNOWN) for one in warnings}


def _measure_of(one: Warning) -> Measure:
    if one.subject_type == "opportunity" and one.kind in ("stage_dwell", "stage_pace"):
        return _deals
    return MEASURES.get(one.kind, _nothing)


async def _nothing(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    return {}


async def _deals(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """A deal that left the stage has passed; one that was lost meanwhile is lost."""
    subjects = [one.subject_id for one in warnings]
    deals = {row["id"]: row for row in await work.tx.all(store.DEALS, {"subjects": subjects})}
    dwell, pipelines = Dwell(work.calendars, work.now), work.rules(PipelineRules).pipelines
    found = {}
    for one in warnings:
        deal = deals.get(one.subject_id)
        if deal is None:
            continue
        if deal["state"] != "open":
            word: StandingWord = "passed" if deal["state"] == "won" else "lost"
            found[one.id] = Standing(word, [evidence("state", 0, "1", deal["state"])])
            continue
        stayed = deal["stage_key"] == one.context.get("stage_key") and deal["stage_entered_at"] <= one.raised_at
        pipeline = pipelines.get(deal["pipeline_id"])
        calendar = pipeline.stage(deal["stage_key"]).calendar if pipeline else "plain"
        days = dwell.days(deal["stage_entered_at"], calendar, deal["unit_id"])
        said = [evidence("dwell", days, "d", f"{days:.1f} days in {deal['stage_key']}")]
        found[one.id] = Standing("holds" if stayed else "passed", said)
    return found


async def _weeks(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """By the last whole week, if it began after the action; a week without cases says nothing."""
    week = performance.monday(work.now, work) - performance.WEEK
    keys = sorted({one.kind for one in warnings})
    judged = {
        (one.key, one.group_key): one
        for one in await performance.measure(work.tx, work, EVERYBODY, week, week, keys=keys, by_person=True)
    }
    found = {}
    for one in warnings:
        last = judged.get((one.kind, one.subject_id))
        begins = work.home.moment(week)
        if last is None or (begins < one.since and one.state == "acted"):
            continue
        # The week it was raised for says nothing new.
        if one.state == "open" and begins + performance.WEEK <= one.raised_at:
            continue
        holds = thresholds.follows(last.rule, last.light)
        said = [evidence(one.kind, last.value, last.rule.unit, f"{last.cases} cases in the week from {week}")]
        found[one.id] = Standing("holds" if holds else "passed", said)
    return found


def _since(warnings: Sequence[Warning]) -> dict[str, Any]:
    return {"subjects": [one.subject_id for one in warnings], "since": [one.since for one in warnings]}


async def _false_logs(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """By the logs made since that were looked at."""
    least = work.rules(WarningRules).false_least
    rows = {row["owner_id"]: row for row in await work.tx.all(store.FALSE_LOGS, _since(warnings))}
    found = {}
    for one in warnings:
        row = rows[one.subject_id]
        # Few logs since the warning are no proof that it has passed; after an action they are all there is.
        if not row["logs"] or (one.state == "open" and row["logs"] < least):
            continue
        said = [evidence("suspect_logs", row["suspect"], "1", f"{row['suspect']} of {row['logs']} logs since")]
        found[one.id] = Standing("holds" if row["suspect"] >= least else "passed", said)
    return found


async def _talks(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    rows = {row["subject"]: row for row in await work.tx.all(store.TALKS, _since(warnings))}
    return {
        one.id: Standing(
            "passed" if rows[one.subject_id]["churn_light"] == "none" else "holds",
            [evidence("churn", rows[one.subject_id]["churn"], "1", "in the newest conversation")],
        )
        for one in warnings
        if one.subject_id in rows
    }


async def _stars(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    now = {one.unit_id: one for one in await stars.by_unit(work)}
    return {
        one.id: Standing(
            "passed" if now[one.subject_id].light in ("none", "blue") else "holds",
            [evidence("first_share", now[one.subject_id].share, "1", now[one.subject_id].said)],
        )
        for one in warnings
        if one.subject_id in now
    }


async def _bursts(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """After the review was concluded: whether he was reviewed again. By itself a review does not pass."""
    acted = [one for one in warnings if one.state == "acted"]
    rows = {row["owner_id"]: row["reviews"] for row in await work.tx.all(store.BURSTS, _since(acted))}
    return {
        one.id: Standing(
            "holds" if rows[one.subject_id] else "passed", [evidence("reviews_since", rows[one.subject_id], "1")]
        )
        for one in acted
    }


async def _actions(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """Whether what is done nearly always still moves nothing."""
    ends = work.home.moment(work.home.today())
    whole = scope.whole(pipelines_pb2.FunnelScope(), work)
    begins = ends - timedelta(days=work.rules(EffectRules).days)
    keys = [one.subject_id for one in warnings]
    measured = {one.key: one for one in await effects.measure(work.tx, work, whole, begins, ends, keys)}
    found = {}
    for one in warnings:
        now = measured.get(one.subject_id)
        if now is None or now.now.due < work.rules(EffectRules).least:
            continue
        went_on = now.now.advanced / now.now.due
        said = [evidence("result_now", went_on, "1", now.change.explanation)]
        found[one.id] = Standing("holds" if now.idle else "passed", said)
    return found


async def _management(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """By the newest quarter judged since; without one nothing can be told."""
    rows = {row["subject"]: row for row in await work.tx.all(store.FLAT_QUARTERS, _since(warnings))}
    return {
        one.id: Standing(
            "holds" if rows[one.subject_id]["flat"] else "passed",
            [
                evidence(
                    "flat", float(rows[one.subject_id]["flat"]), "1", f"quarter from {rows[one.subject_id]['quarter']}"
                )
            ],
        )
        for one in warnings
        if one.subject_id in rows
    }


async def _breakers(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    subjects = [one.subject_id for one in warnings]
    rows = {row["person_id"]: row for row in await work.tx.all(store.BREAKERS, {"subjects": subjects})}
    return {
        one.id: Standing(
            "holds" if rows[one.subject_id]["state"] == "open" else "passed",
            [
                evidence("visits", rows[one.subject_id]["visit_count"], "1"),
                evidence("opportunities", rows[one.subject_id]["opportunity_count"], "1"),
            ],
        )
        for one in warnings
        if one.subject_id in rows
    }


async def _stages(work: Work, warnings: Sequence[Warning]) -> dict[str, Standing]:
    """By the share of all open deals of the pipeline that stand there now."""
    judged_by, rows = work.rules(DiagnosisRules), await work.tx.all(store.STANDING)
    found = {}
    for one in warnings:
        pipeline, stage = one.context.get("pipeline_id"), one.context.get("stage_key")
        of_pipeline = {row["stage_key"]: row["deals"] for row in rows if row["pipeline_id"] == pipeline}
        all_open, here = sum(of_pipeline.values()), of_pipeline.get(stage, 0)
        if not all_open:
            continue
        share = here / all_open
        holds = here >= judged_by.parked_least and share >= judged_by.parked_share
        said = [evidence("parked_share", share, "1", f"{here} of {all_open} open deals")]
        found[one.id] = Standing("holds" if holds else "passed", said)
    return found


MEASURES: Mapping[str, Measure] = {
    "visit_completion": _weeks,
    "stage_pace": _weeks,
    "proposals_made": _weeks,
    "feedback_collected": _weeks,
    "false_check_ins": _false_logs,
    "churn": _talks,
    "star_dependence": _stars,
    "intake_burst": _bursts,
    "action_without_result": _actions,
    "empty_visits": _breakers,
    "management_action_flat": _management,
    "stage_conversion": _stages,
}
