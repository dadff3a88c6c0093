"""Before and after of a pilot, and what is left of it when what changed elsewhere is taken off (S101)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf import json_format

from closedloop.funnel.v1 import experiments_pb2, newcomers_pb2
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel import clustered, estimates
from closedloop_funnel.measures.measuring import Stretch
from closedloop_funnel.pilots import measuring, rules
from closedloop_funnel.pilots.rules import PilotRules
from closedloop_funnel.pilots.store import Pilot
from closedloop_funnel.pilots.subjects import Subject, subjects

DAY = timedelta(days=1)


def stretch(pilot: Pilot, work: Work) -> Stretch:
    """From its first morning to the end of its last day."""
    return work.home.moment(pilot.start_date), work.home.moment(pilot.end_date + DAY)


async def results(
    db: Reader | Transaction, pilot: Pilot, work: Work
) -> tuple[list[newcomers_pb2.BeforeAfter], list[experiments_pb2.Estimate]]:
    """One each a bottleneck, up to now; what the rulebook no longer knows is passed over."""
    known = subjects(work)
    asked = [known[key] for key in pilot.baseline if key in known]
    own = await measuring.of_units(db, work, asked, stretch(pilot, work), pilot.touched)
    others = await measuring.of_units(db, work, asked, stretch(pilot, work), pilot.compared)
    before = pilot.baseline
    told = [_before_after(one, before[one.key]["pilot"], own[one.key], work) for one in asked]
    net = [_net(one, before[one.key], own[one.key], others[one.key], work.rules(PilotRules)) for one in asked]
    return told, net


Values = Mapping[str, list[float]]


def _before_after(subject: Subject, before: Values, after: Values, work: Work) -> newcomers_pb2.BeforeAfter:
    judged_by = work.rules(PilotRules)
    earlier, later = rules.pooled(before), rules.pooled(after)
    return newcomers_pb2.BeforeAfter(
        name=subject.key,
        before=measuring.estimate(subject, before, judged_by),
        after=measuring.estimate(subject, after, judged_by),
        change=clustered.relative(_change(subject, earlier, later, judged_by.least_cases), before, after),
    )


def _change(subject: Subject, earlier: Sequence[float], later: Sequence[float], least: int) -> experiments_pb2.Estimate:
    if not measuring.is_share(subject):
        return estimates.relative(earlier, later, least)
    return estimates.relative_share(int(sum(later)), len(later), int(sum(earlier)), len(earlier), least)


def _net(
    subject: Subject, before: Mapping[str, Values], own: Values, others: Values, judged_by: PilotRules
) -> experiments_pb2.Estimate:
    """Person by person."""
    changes = rules.changes(before["pilot"], own)
    if not before["comparison"]:
        return estimates.cannot_say(subject.unit, len(changes), "nobody to compare with")
    elsewhere = rules.changes(before["comparison"], others)
    return estimates.change_against(changes, elsewhere, subject.unit, judged_by.least_people)


def kept(told: list[newcomers_pb2.BeforeAfter], net: list[experiments_pb2.Estimate]) -> dict[str, Any]:
    return {
        "results": [json_format.MessageToDict(one) for one in told],
        "net_effects": [json_format.MessageToDict(one) for one in net],
    }
