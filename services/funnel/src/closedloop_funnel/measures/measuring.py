"""Metrics of the catalogue, measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from closedloop_chassis import errors
from closedloop_chassis.currency import coins
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel.measures import store
from closedloop_funnel.measures.rules import MeasureRules, Metric, Value
from closedloop_funnel.measures.store import GroupWord
from closedloop_funnel.performance.measuring import expected
from closedloop_funnel.performance.rules import PerformanceRules

# From its beginning up to its end.
Stretch = tuple[datetime, datetime]


def catalogue(work: Work) -> dict[str, Metric]:
    process, deals = work.rules(PerformanceRules).metrics, work.rules(MeasureRules).deals
    return {
        **{key: Metric(key, one.name, one.unit, one.rising, healthy=one.healthy) for key, one in process.items()},
        **{
            key: Metric(key, one.name, one.unit or work.home.currency, one.rising, one.total, one.healthy)
            for key, one in deals.items()
        },
    }


def named(key: str, work: Work, field: str = "metric_key") -> Metric:
    """Raises InvalidArgument METRIC_UNKNOWN."""
    known = catalogue(work)
    if key not in known:
        raise errors.InvalidArgument("METRIC_UNKNOWN", f"there are {', '.join(known)}", {field: "unknown"})
    return known[key]


async def values(
    db: Reader | Transaction,
    work: Work,
    metrics: Collection[Metric],
    stretches: Sequence[Stretch],
    group: GroupWord,
    groups: Collection[str],
) -> dict[tuple[str, int], dict[str, Value]]:
    """By key and place of the stretch, for each of `groups` that has cases; for a sum nobody lacks them."""
    asked = {metric.key: metric for metric in metrics}
    found: dict[tuple[str, int], dict[str, Value]] = {
        (key, place): {one: Value(0, 0.0) for one in groups} if metric.total else {}
        for key, metric in asked.items()
        for place in range(len(stretches))
    }
    if not asked or not stretches or not groups:
        return found
    params = {
        **expected(work),
        "begins": [begins for begins, _ in stretches],
        "ends": [ends for _, ends in stretches],
        "from": min(begins for begins, _ in stretches),
        "to": max(ends for _, ends in stretches),
        "groups": list(groups),
        "now": work.now,
    }
    scale = coins(work.home.currency)
    for one in await store.summed(db, list(asked), group, params):
        value = one.total / scale if asked[one.key].total else one.total / one.cases
        found[one.key, one.part][one.group_key] = Value(one.cases, value)
    return found


async def owned(
    db: Reader | Transaction, work: Work, metrics: Collection[Metric], stretch: Stretch, units: Collection[str]
) -> dict[str, dict[str, list[float]]]:
    """By key each case of these units by its owner, oldest first."""
    found: dict[str, dict[str, list[float]]] = {metric.key: {} for metric in metrics}
    if not found or not units:
        return found
    params = {**expected(work), "from": stretch[0], "to": stretch[1], "units": list(units), "now": work.now}
    for one in await store.owned(db, list(found), params):
        found[one.key][one.owner_id] = one.values
    return found


def folded(found: Mapping[str, Value], into: Mapping[str, str], *, total: bool) -> dict[str, Value]:
    """Values of units as those of the teams above them; `into`: team by unit."""
    cases: defaultdict[str, int] = defaultdict(int)
    sums: defaultdict[str, float] = defaultdict(float)
    for unit_id, one in found.items():
        cases[into[unit_id]] += one.cases
        sums[into[unit_id]] += one.value * (1 if total else one.cases)
    return {team: Value(cases[team], sums[team] / (1 if total else cases[team])) for team in cases}
