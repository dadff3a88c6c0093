"""The metric of a test for each of those drawn: one value a person, team or customer, whatever the number of cases."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_funnel.experiments.rules import UnitWord
from closedloop_funnel.measures import measuring
from closedloop_funnel.measures.measuring import Stretch
from closedloop_funnel.measures.rules import Metric, Value

GROUPS: dict[UnitWord, Literal["owner_id", "unit_id", "account_id"]] = {
    "person": "owner_id",
    "team": "unit_id",
    "account": "account_id",
}


async def values(
    db: Reader | Transaction,
    work: Work,
    kind: UnitWord,
    ids: Collection[str],
    metrics: Collection[Metric],
    stretches: Sequence[Stretch],
) -> dict[tuple[str, int], dict[str, Value]]:
    """By key of the metric and place of the stretch; a team's are those of all units below it."""
    if kind != "team":
        return await measuring.values(db, work, metrics, stretches, GROUPS[kind], ids)
    teams = {unit_id: team for team in ids for unit_id in work.org.subtree(team)}
    found = await measuring.values(db, work, metrics, stretches, GROUPS[kind], teams)
    totals = {metric.key: metric.total for metric in metrics}
    return {key: measuring.folded(some, teams, total=totals[key[0]]) for key, some in found.items()}
