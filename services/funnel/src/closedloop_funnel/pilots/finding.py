"""Bottlenecks of a scope, ranked by what they cost; with what the diagnosis says of the stages (S44, S101)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import pilots_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import protos
from closedloop_chassis.work import Call
from closedloop_funnel.diagnosis import measuring as diagnosis
from closedloop_funnel.diagnosis import rules as sticking
from closedloop_funnel.diagnosis.measuring import Measured, Period
from closedloop_funnel.diagnosis.rules import DiagnosisRules
from closedloop_funnel.measures.measuring import Stretch
from closedloop_funnel.pilots import measuring, rules
from closedloop_funnel.pilots.rules import Found, PilotRules, Wait
from closedloop_funnel.pilots.subjects import Subject, subjects
from closedloop_funnel.pipelines import scope
from closedloop_funnel.pipelines.rules import PipelineRules


async def bottlenecks(about: pipelines_pb2.FunnelScope, stretch: Stretch, call: Call) -> list[pb.Bottleneck]:
    """Those of which enough cases say that they are worse than healthy, then those of which it cannot be said. Metrics
    know units and owners only: narrowed by anything else they are not asked."""
    pipeline_id, scoped = about.pipeline_id or call.rules(PipelineRules).default, scope.params(about, call)
    pipeline = call.rules(PipelineRules).pipeline(pipeline_id)
    diagnosed = await diagnosis.funnel(
        call.db, {**scoped, "in_pipeline": pipeline_id}, Period(*stretch), pipeline, call
    )
    narrowed = bool(
        about.product_id or about.account_id or about.customer_type or about.industry or about.account_grade
    )
    asked = [
        one
        for one in subjects(call).values()
        if not (one.kind == "metric" and narrowed) and (one.kind != "stage" or one.pipeline == pipeline_id)
    ]
    values = await measuring.of_metrics(call.db, call, asked, stretch, _units(about, call))
    waiting = await measuring.waits(call.db, call, asked, stretch, scoped)
    made: dict[str, pb.Bottleneck] = {}
    found: list[Found] = []
    for one in asked:
        waits = waiting.get(one.key, [])
        known = values.get(one.key) or rules.settled(waits, *stretch)
        mine = {person: some for person, some in known.items() if about.owner_id in ("", person)}
        told = measuring.estimate(one, mine, call.rules(PilotRules))
        worse = (
            rules.beyond(told.value, told.low, told.high, one.healthy, rising=one.rising)
            if told.HasField("value")
            else None
        )
        if worse is False or not told.sample_size:
            continue
        held = round(rules.held_up(waits, call.now))
        made[one.key] = pb.Bottleneck(
            key=one.key,
            name=one.name,
            metric_key=one.metric_key,
            value=told,
            healthy=one.healthy,
            cost=protos.money(held, call.home.currency) if held else None,
            undecided=worse is None,
            evidence=[*_held_up(one, waits, call), *_diagnosed(one, diagnosed, call)],
        )
        far = abs(told.value - one.healthy) / (abs(one.healthy) or 1) if told.HasField("value") else 0.0
        found.append(Found(one.key, far, held or None, undecided=worse is None))
    return [made[one.key] for one in rules.ranked(found)]


def _units(about: pipelines_pb2.FunnelScope, call: Call) -> frozenset[str]:
    root = call.home.root
    asked = call.org.subtree(about.unit_id or (root.id if root else ""))
    return asked if call.scope.company else asked & call.scope.unit_ids


def _held_up(subject: Subject, waits: Sequence[Wait], call: Call) -> list[common_pb2.Evidence]:
    """What the cost is the weighted amount of: deals that wait still, and too long."""
    if subject.allowed is None:
        return []
    still = sum(one.until is None and one.due <= call.now for one in waits)
    allowed = f"{subject.allowed.days:g} d {subject.allowed.hours:g} h ({subject.allowed.calendar})"
    return [_evidence("held_up", still, "1", f"{still} wait longer than {allowed}; the cost is their weighted amount")]


def _diagnosed(subject: Subject, diagnosed: Measured, call: Call) -> list[common_pb2.Evidence]:
    """Where the deals of the pipeline stand, and whether this is where they stick."""
    if subject.kind != "stage":
        return []
    here, parked = diagnosed.stage(subject.stage), sum(stage.parked for stage in diagnosed.stages)
    where, rule = sticking.sticking(call.rules(DiagnosisRules), diagnosed.stages)
    found = (
        [_evidence("parked_share", here.parked / parked, "1", f"{here.parked} of {parked} open deals")]
        if parked
        else []
    )
    mean = sticking.mean(here.days)
    if mean is not None:
        found.append(_evidence("mean_dwell", mean, "d", f"over {len(here.days)} stays"))
    if where == subject.stage:
        found.append(_evidence("sticking", 1, "1", f"where deals stick, by {rule} of {DiagnosisRules.rulebook}"))
    return found


def _evidence(name: str, value: float, unit: str, text: str) -> common_pb2.Evidence:
    return common_pb2.Evidence(name=name, value=value, unit=unit, text=text)
