"""A design before anything begins: what it is filled in with, and what it could find."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.experiments import measuring, power, rules
from closedloop_funnel.experiments.candidates import candidates
from closedloop_funnel.experiments.power import Plan
from closedloop_funnel.experiments.rules import Candidate, ExperimentRules, UnitWord
from closedloop_funnel.measures import measuring as measures
from closedloop_funnel.measures.rules import Metric
from closedloop_funnel.words import word

TOO_MUCH = "they would spend half of the error and more"


@dataclass(frozen=True, slots=True)
class Planned:
    """`candidates`: those that had cases in as long a time before, whose mean `baseline` tells."""

    metric: Metric
    plan: Plan
    candidates: list[Candidate]
    baseline: pb.Estimate


def filled(given: pb.ExperimentDesign, unit_id: str, call: Call) -> pb.ExperimentDesign:
    """With the defaults of the rulebook. Raises InvalidArgument for what no test may be."""
    judged_by, made = call.rules(ExperimentRules), pb.ExperimentDesign()
    made.CopyFrom(given)
    made.metric_key = measures.named(given.metric_key, call, "design.metric_key").key
    made.unit_id = given.unit_id or unit_id
    made.power_ratio = given.power_ratio or judged_by.power
    made.significance_ratio = given.significance_ratio or judged_by.significance
    days = protos.span(made.length) / timedelta(days=1)
    strange = rules.strange_strata(kind(made), made.strata)
    wrong = {
        "least_effect": ("EFFECT_MISSING", "what is worth finding is not nothing", not made.least_effect),
        "power_ratio": (
            "POWER_OUT_OF_RANGE",
            f"{judged_by.least_power:g} at the least, and less than 1",
            not judged_by.least_power <= made.power_ratio < 1,
        ),
        "significance_ratio": (
            "SIGNIFICANCE_OUT_OF_RANGE",
            f"{judged_by.most_significance:g} at the most",
            made.significance_ratio > judged_by.most_significance,
        ),
        "length": (
            "LENGTH_OUT_OF_RANGE",
            f"{judged_by.least_days} to {judged_by.most_days} days",
            not judged_by.least_days <= days <= judged_by.most_days,
        ),
        "interim_looks": (
            "TOO_MANY_LOOKS",
            TOO_MUCH,
            rules.spends_most(judged_by.interim_significance, made.interim_looks, made.significance_ratio),
        ),
        "strata": ("STRATUM_UNKNOWN", f"there are {', '.join(rules.STRATA[kind(made)])}", bool(strange)),
    }
    for field, (reason, said, so) in wrong.items():
        if so:
            raise errors.InvalidArgument(reason, said, {f"design.{field}": said})
    return made


def kind(design: pb.ExperimentDesign) -> UnitWord:
    found: UnitWord = word(pb.AssignmentUnit, design.assignment_unit)  # type: ignore[assignment]
    return found


async def planned(design: pb.ExperimentDesign, call: Call) -> Planned:
    """Raises FailedPrecondition TOO_FEW_UNITS with the power it would have; TOO_MANY_LOOKS where the rules have changed
    since it was designed and leave its last look too little."""
    judged_by, metric = call.rules(ExperimentRules), measures.named(design.metric_key, call, "design.metric_key")
    if rules.spends_most(judged_by.interim_significance, design.interim_looks, design.significance_ratio):
        raise errors.FailedPrecondition("TOO_MANY_LOOKS", TOO_MUCH)
    found = await candidates(design, kind(design), call)
    before = (call.now - protos.span(design.length), call.now)
    ids = [one.unit_id for one in found]
    values = (await measuring.values(call.tx, call, kind(design), ids, [metric], [before]))[metric.key, 0]
    known = [one for one in found if one.unit_id in values]
    told = [values[one.unit_id].value for one in known]
    error = rules.error_at(
        rules.stopping(judged_by), design.significance_ratio, design.interim_looks, design.interim_looks + 1
    )
    plan = power.plan(told, design.least_effect, design.power_ratio, error)
    if len(known) < 2 * judged_by.least_units:
        raise errors.FailedPrecondition(
            "TOO_FEW_UNITS",
            f"{len(known)} of {len(found)} had cases in as long a time before; it takes {2 * judged_by.least_units}",
            units=len(known),
            **_said(plan),
        )
    if plan is None:
        raise errors.FailedPrecondition("NOTHING_VARIES", "all had the same value before: no power can be told")
    if plan.power < design.power_ratio:
        raise errors.FailedPrecondition(
            "TOO_FEW_UNITS",
            f"with {len(known)} it would be found with a power of {plan.power:.2f}; it takes {2 * plan.needed}"
            + (f", or an effect of {plan.detectable:.3g}" if plan.detectable is not None else ""),
            units=len(known),
            **_said(plan),
        )
    return Planned(metric, plan, known, estimates.spread(told, metric.unit))


def _said(plan: Plan | None) -> dict[str, str]:
    if plan is None:
        return {}
    said = {"power": f"{plan.power:.3f}", "needed_per_arm": str(plan.needed)}
    return said if plan.detectable is None else {**said, "detectable_effect": f"{plan.detectable:.4g}"}
