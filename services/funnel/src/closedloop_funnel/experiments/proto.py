"""Tests between the contract and Python, with the stopping rule in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from google.protobuf import json_format

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import etags, protos
from closedloop_chassis.work import Work
from closedloop_funnel import estimates
from closedloop_funnel.experiments import looking, rules
from closedloop_funnel.experiments.rules import ARMS, Stopping
from closedloop_funnel.experiments.store import Drawn, Experiment, Look
from closedloop_funnel.words import number


def to_proto(one: Experiment, drawn: Sequence[Drawn], looks: Sequence[Look], work: Work) -> pb.Experiment:
    """What the last look saw, nothing newer."""
    design = looking.design(one)
    made = pb.Experiment(
        id=one.id,
        etag=etags.of(one.version),
        ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
        action_id=one.action_id,
        hypothesis=one.hypothesis,
        state=number(pb.ExperimentState, one.state),
        design=design,
        needed_sample_size=one.plan["needed"],
        power_ratio=one.plan["power"],
        seed=one.seed or 0,
        arms=_arms(drawn, looks),
        verdict=one.verdict,
        start_time=protos.timestamp(one.started_at),
        planned_end_time=protos.timestamp(one.planned_end_at),
        conclude_time=protos.timestamp(one.concluded_at),
        stop_reason=one.stop_reason,
        baseline=json_format.ParseDict(one.plan["baseline"], pb.Estimate()),
        stopping_rule=_stopping(design, looking.stopping(one, work)),
    )
    if one.plan["detectable"] is not None:
        made.detectable_effect = one.plan["detectable"]
    if one.effect is not None:
        made.effect.CopyFrom(json_format.ParseDict(one.effect, pb.Estimate()))
    elif looks:
        made.effect.CopyFrom(json_format.ParseDict(looks[-1].effect, pb.Estimate()))
    else:
        first = f"the first look is at {looking.moments(one)[0]:%Y-%m-%d %H:%M} UTC" if one.started_at else "not begun"
        made.effect.CopyFrom(estimates.cannot_say(made.baseline.unit, 0, first))
    return made


def _arms(drawn: Sequence[Drawn], looks: Sequence[Look]) -> list[pb.ExperimentArm]:
    seen = {
        arm: json_format.ParseDict(value, pb.Estimate()) for arm, value in (looks[-1].arms if looks else {}).items()
    }
    return [
        pb.ExperimentArm(
            name=arm,
            unit_ids=[unit.unit_id for unit in drawn if unit.arm == arm],
            sample_size=seen[arm].sample_size if arm in seen else sum(unit.arm == arm for unit in drawn),
            value=seen.get(arm),
        )
        for arm in ARMS
        if drawn
    ]


def _stopping(design: pb.ExperimentDesign, judged_by: Stopping) -> str:
    looks, days = design.interim_looks, protos.span(design.length) / timedelta(days=1)
    at_the_end = rules.error_at(judged_by, design.significance_ratio, looks, looks + 1)
    said = f"ends after {days:g} days, p < {at_the_end:.4g}"
    if not looks:
        return f"{said}; looked at once, at the end"
    return f"{said}; looked at {looks} times on the way, where only p < {judged_by.interim_significance:g} ends it"
