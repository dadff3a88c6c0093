"""What a quarter of a management action brought: its people against like people without it (S98)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from google.protobuf import json_format

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis.work import Work
from closedloop_funnel import estimates
from closedloop_funnel.management import rules, store
from closedloop_funnel.management.rules import ManagementRules, MovedWord
from closedloop_funnel.management.store import Quarter, Watched
from closedloop_funnel.measures import measuring
from closedloop_funnel.measures.rules import Metric, Value

SELLER = "rep"


@dataclass(frozen=True, slots=True)
class Judged:
    """An action with the quarters judged today, oldest first, and how its people and the others stood in the last of them."""

    action: Watched
    quarters: list[Quarter]
    metric: Metric
    own: Mapping[str, float]
    others: Mapping[str, float]

    @property
    def flats(self) -> list[bool | None]:
        return [*self.action.flats, *(one.flat for one in self.quarters)]


async def judge(actions: Sequence[Watched], settled: date, work: Work) -> list[Judged]:
    """Those that have quarters to judge; one statement for all of them."""
    catalogue = measuring.catalogue(work)
    due = [
        (action, quarters)
        for action in actions
        if action.metric_key in catalogue
        and (quarters := list(rules.to_judge(action.start_date, max(action.quarters, default=None), settled)))
    ]
    asked = sorted({quarter for one, quarters in due for quarter in (rules.baseline(one.start_date), *quarters)})
    metrics = {action.metric_key: catalogue[action.metric_key] for action, _ in due}
    stretches = [(work.home.moment(one), work.home.moment(rules.following(one))) for one in asked]
    sellers = _sellers(work)
    found = await measuring.values(work.tx, work, list(metrics.values()), stretches, "owner_id", sellers)

    def stood(metric: Metric, quarter: date, people: Collection[str]) -> dict[str, float]:
        return _stood(found[metric.key, asked.index(quarter)], people, work.rules(ManagementRules), metric)

    judged = []
    for action, quarters in due:
        metric = metrics[action.metric_key]
        own, others = _sides(action, actions, sellers, work)
        first = rules.baseline(action.start_date)
        before = stood(metric, first, own), stood(metric, first, others)
        made = [
            _quarter(
                action, quarter, before, (stood(metric, quarter, own), stood(metric, quarter, others)), metric, work
            )
            for quarter in quarters
        ]
        last = quarters[-1]
        judged.append(Judged(action, made, metric, stood(metric, last, own), stood(metric, last, others)))
    return judged


def _sellers(work: Work) -> dict[str, str]:
    """Unit of every seller of the company."""
    root = work.home.root
    return {
        person.id: unit_id
        for unit_id in (work.org.subtree(root.id) if root else ())
        for person in work.org.members(unit_id)
        if person.active and SELLER in person.roles
    }


def _sides(
    action: Watched, actions: Sequence[Watched], sellers: Mapping[str, str], work: Work
) -> tuple[set[str], set[str]]:
    """Sellers of its unit, and those of units where nobody does anything for the same metric."""
    units = work.org.subtree(action.unit_id)
    own = {person for person, unit_id in sellers.items() if unit_id in units}
    busy = {
        unit_id
        for other in actions
        if other.metric_key == action.metric_key
        for unit_id in work.org.subtree(other.unit_id)
    }
    return own, {person for person, unit_id in sellers.items() if unit_id not in busy}


def _stood(
    values: Mapping[str, Value], people: Collection[str], judged_by: ManagementRules, metric: Metric
) -> dict[str, float]:
    return {
        person: one.value
        for person in sorted(people)
        if (one := values.get(person)) and (metric.total or one.cases >= judged_by.least_cases)
    }


Sides = tuple[Mapping[str, float], Mapping[str, float]]


def _quarter(action: Watched, quarter: date, before: Sides, now: Sides, metric: Metric, work: Work) -> Quarter:
    judged_by = work.rules(ManagementRules)
    changes, others = (
        [later[person] - earlier[person] for person in later if person in earlier]
        for earlier, later in zip(before, now, strict=True)
    )
    change = _change(changes, others, metric, judged_by)
    return Quarter(
        action_id=action.id,
        quarter=quarter,
        value=json_format.MessageToDict(estimates.spread(list(now[0].values()), metric.unit, judged_by.least_people)),
        change=json_format.MessageToDict(change),
        flat=rules.flat(moved(change, metric)),
        measured_at=work.now,
    )


def _change(
    changes: Sequence[float], others: Sequence[float], metric: Metric, judged_by: ManagementRules
) -> pb.Estimate:
    """Against the others; where there are too few of them, against nobody, and it says so."""
    if len(others) >= judged_by.least_people:
        return estimates.change_against(changes, others, metric.unit, judged_by.least_people)
    alone = estimates.change_alone(changes, metric.unit, judged_by.least_people)
    alone.explanation = f"{alone.explanation}; {len(others)} others, against whom nothing can be said".lstrip("; ")
    return alone


def moved(change: pb.Estimate, metric: Metric) -> MovedWord:
    if change.verdict == pb.ESTIMATE_VERDICT_CANNOT_SAY:
        return "unknown"
    if change.verdict == pb.ESTIMATE_VERDICT_NO_DIFFERENCE:
        return "same"
    return "better" if metric.better(change.value) else "worse"


async def watched(work: Work) -> list[Watched]:
    """Every action that goes on."""
    return await work.tx.all(store.WATCHED, into=Watched)
