"""A look at a test, at the moment that was fixed for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from google.protobuf import json_format

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_funnel import estimates
from closedloop_funnel.experiments import measuring, rules, store
from closedloop_funnel.experiments.planning import kind
from closedloop_funnel.experiments.rules import ARMS, ExperimentRules, Stopping, UnitWord
from closedloop_funnel.experiments.store import Drawn, Experiment, Look
from closedloop_funnel.measures import measuring as measures
from closedloop_funnel.measures.rules import Metric, Value
from closedloop_funnel.words import word


def design(one: Experiment) -> pb.ExperimentDesign:
    return json_format.ParseDict(one.design, pb.ExperimentDesign())


def stopping(one: Experiment, work: Work) -> Stopping:
    """What was fixed when it began; a draft would begin by the rules of today. Of tests begun before it was kept, it is read
    from the version in force then."""
    if "stopping" in one.plan:
        return Stopping(**one.plan["stopping"])
    return rules.stopping(work.process.rulebooks.in_force(ExperimentRules, one.started_at or work.now))


def moments(one: Experiment) -> list[datetime]:
    """Of a test that has begun, all looks, that at its end the last."""
    assert one.started_at is not None
    fixed = design(one)
    return rules.looks(one.started_at, protos.span(fixed.length), fixed.interim_looks)


def reached(one: Experiment, now: datetime) -> int:
    """How many of its looks are past."""
    return sum(moment <= now for moment in moments(one))


async def look(numbers: Mapping[str, int], running: Sequence[Experiment], work: Work) -> list[Look]:
    """The look of that number at each; a statement for each sort of units."""
    catalogue, drawn = measures.catalogue(work), await store.drawn(work.tx, list(numbers))
    sorts: defaultdict[UnitWord, list[Experiment]] = defaultdict(list)
    for one in running:
        if design(one).metric_key in catalogue:
            sorts[kind(design(one))].append(one)
    made = []
    for sort, some in sorts.items():
        metrics = {design(one).metric_key: catalogue[design(one).metric_key] for one in some}
        ids = {unit.unit_id for one in some for unit in drawn[one.id]}
        stretches = [(one.started_at or work.now, moments(one)[numbers[one.id] - 1]) for one in some]
        found = await measuring.values(work.tx, work, sort, ids, list(metrics.values()), stretches)
        for place, one in enumerate(some):
            metric = metrics[design(one).metric_key]
            made.append(_look(one, numbers[one.id], drawn[one.id], found[metric.key, place], metric, work))
    return made


def _look(
    one: Experiment, number: int, drawn: Sequence[Drawn], values: Mapping[str, Value], metric: Metric, work: Work
) -> Look:
    judged_by, fixed = stopping(one, work), design(one)
    arms: dict[str, list[float]] = {
        arm: [values[unit.unit_id].value for unit in drawn if unit.arm == arm and unit.unit_id in values]
        for arm in ARMS
    }
    counts: dict[str, int] = {arm: sum(unit.arm == arm for unit in drawn) for arm in ARMS}
    short = rules.lacking(judged_by, counts, {arm: len(some) for arm, some in arms.items()})
    error = rules.error_at(judged_by, fixed.significance_ratio, fixed.interim_looks, number)
    if short:
        measured = sum(map(len, arms.values()))
        effect = estimates.cannot_say(
            metric.unit, measured, f"of {short} {len(arms[short])} of {counts[short]} have cases"
        )
    else:
        effect = estimates.welch(arms["treatment"], arms["control"], metric.unit, 1 - error, judged_by.least_units)
    on_the_way = number <= fixed.interim_looks
    if on_the_way and effect.verdict == pb.ESTIMATE_VERDICT_NO_DIFFERENCE:
        effect.explanation += "; a look on the way, which ends nothing"
    return Look(
        experiment_id=one.id,
        number=number,
        at=moments(one)[number - 1],
        effect=json_format.MessageToDict(effect),
        arms={arm: json_format.MessageToDict(estimates.spread(some, metric.unit)) for arm, some in arms.items()},
        stops=not on_the_way or word(pb.EstimateVerdict, effect.verdict) in ("higher", "lower"),
    )
