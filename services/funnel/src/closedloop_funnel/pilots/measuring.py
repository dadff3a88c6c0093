"""A bottleneck measured for a part of the funnel, case by case, by who owns the case."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors
from closedloop_chassis.calendar.business import PLAIN
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.work import Work
from closedloop_funnel import clustered, estimates
from closedloop_funnel.measures import measuring as measures
from closedloop_funnel.measures.measuring import Stretch
from closedloop_funnel.pilots import rules, store
from closedloop_funnel.pilots.rules import PilotRules, Wait
from closedloop_funnel.pilots.store import Stay
from closedloop_funnel.pilots.subjects import Subject
from closedloop_funnel.pipelines import scope


async def of_units(
    db: Reader | Transaction, work: Work, asked: Collection[Subject], stretch: Stretch, units: Collection[str]
) -> dict[str, dict[str, list[float]]]:
    """By key the values of its cases by owner; of time to come there are none yet."""
    stretch = stretch[0], min(stretch[1], work.now)
    if stretch[0] >= stretch[1] or not units:
        return {one.key: {} for one in asked}
    everything = {**scope.whole(pipelines_pb2.FunnelScope(), work), "in_units": list(units)}
    values = await of_metrics(db, work, asked, stretch, units)
    waiting = await waits(db, work, asked, stretch, everything)
    return values | {key: rules.settled(some, *stretch) for key, some in waiting.items()}


async def of_metrics(
    db: Reader | Transaction, work: Work, asked: Collection[Subject], stretch: Stretch, units: Collection[str]
) -> dict[str, dict[str, list[float]]]:
    metrics = {one.key: one.metric for one in asked if one.metric is not None}
    found = await measures.owned(db, work, list(metrics.values()), stretch, units)
    return {key: found[metric.key] for key, metric in metrics.items()}


async def waits(
    db: Reader | Transaction, work: Work, asked: Collection[Subject], stretch: Stretch, scoped: Mapping[str, Any]
) -> dict[str, list[Wait]]:
    """By key stays in a stage, or in approval, that lasted into the time."""
    params = {**scoped, "from": stretch[0], "to": stretch[1]}
    stages = [one for one in asked if one.kind == "stage"]
    tables = {one.key: one.stage for one in asked if one.kind == "approval"}
    found: list[Stay] = []
    if stages:
        columns = {
            "keys": [one.key for one in stages],
            "pipelines": [one.pipeline for one in stages],
            "stages": [one.stage for one in stages],
        }
        found += await store.stays(db, params | columns)
    if tables:
        found += await store.in_approval(db, tables, params)
    allowed = {one.key: one.allowed for one in asked if one.allowed is not None}
    waiting: dict[str, list[Wait]] = {key: [] for key in allowed}
    budgets: dict[tuple[str, str], timedelta] = {}
    for one in found:
        waiting[one.key].append(
            Wait(one.owner_id, one.since, _due(allowed[one.key], one, budgets, work), one.until, one.worth)
        )
    return waiting


def _due(allowed: ClockSetting, one: Stay, budgets: dict[tuple[str, str], timedelta], work: Work) -> datetime:
    """Of what was over in time, by the days that were counted then, when it was over says as much."""
    if one.due_at is not None:
        return one.due_at
    if one.until is not None and one.days is not None and not allowed.hours and one.days <= allowed.days:
        return one.until
    try:
        place = (one.key, one.unit_id)
        if place not in budgets:
            budgets[place] = work.calendars.budget(allowed, one.unit_id)
        return work.calendars.add(one.since, budgets[place], allowed.calendar, one.unit_id)
    except errors.FailedPrecondition:
        # A year no calendar knows: one old deal must not fail the rest.
        return work.calendars.due(allowed.model_copy(update={"calendar": PLAIN}), one.since, one.unit_id)


def estimate(subject: Subject, by_owner: clustered.Values, judged_by: PilotRules) -> pb.Estimate:
    """A share with Wilson's interval, or a mean with Student's; of several people as wide as they differ."""
    values = rules.pooled(by_owner)
    if is_share(subject):
        found = estimates.share(int(sum(values)), len(values), judged_by.least_cases)
    else:
        found = estimates.spread(values, subject.unit, judged_by.least_cases)
    return clustered.mean(found, by_owner) if sum(map(bool, by_owner.values())) > 1 else found


def is_share(subject: Subject) -> bool:
    return subject.unit == "1"
