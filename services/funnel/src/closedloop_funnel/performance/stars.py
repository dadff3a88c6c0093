"""Who everything hangs on, by unit: judged once a month, and warned of (S61)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis.work import Work
from closedloop_funnel.performance import rules, store
from closedloop_funnel.performance.rules import LightWord, PerformanceRules
from closedloop_funnel.pipelines import scope
from closedloop_funnel.warnings import raising


@dataclass(frozen=True, slots=True)
class Stars:
    """Dependence of one unit on its first seller."""

    unit_id: str
    first_id: str
    share: float
    gini: float | None
    light: LightWord
    rule: str
    said: str


def judge(judged_by: PerformanceRules, unit_id: str, sellers: Sequence[dict[str, Any]]) -> Stars:
    """`sellers`: the first one first. With too few, or without a sum to share, nothing is said."""
    total = sum(one["won_minor"] for one in sellers)
    enough = len(sellers) >= judged_by.star_sellers and total > 0
    gini = rules.gini([float(one["won_minor"]) for one in sellers]) if enough else None
    share = sellers[0]["won_minor"] / total if total else 0.0
    light, rule = rules.dependence(judged_by, share, gini) if enough else ("none", "star_sellers")
    said = f"the first of {len(sellers)} sellers won {share:.1%}" + (f", Gini {gini:.3f}" if gini is not None else "")
    return Stars(unit_id, sellers[0]["owner_id"] if sellers else "", share, gini, light, rule, said)


async def by_unit(work: Work) -> list[Stars]:
    """Every unit, over the days before today that the rulebook names, by where its sellers belong now."""
    judged_by, today = work.rules(PerformanceRules), work.home.today()
    params = {
        **scope.whole(pipelines_pb2.FunnelScope(), work),
        "first_day": today - timedelta(days=judged_by.star_days),
        "last_day": today - timedelta(days=1),
    }
    sellers = await work.tx.all(store.WON, params)
    of_unit: dict[str, list[dict[str, Any]]] = {}
    for one in sellers:
        person = work.org.person(one["owner_id"])
        for unit_id in work.org.ancestry(person.unit_id if person else ""):
            of_unit.setdefault(unit_id, []).append(one)
    return [judge(judged_by, unit_id, some) for unit_id, some in sorted(of_unit.items())]


async def warn(work: Work) -> None:
    """From yellow on; of units that are the same people only the lowest is named."""
    judged_by = work.rules(PerformanceRules)
    version = work.process.rulebooks.version(PerformanceRules, work.now)
    dark = [one for one in await by_unit(work) if one.light in ("yellow", "red")]
    raised = []
    for one in dark:
        unit = work.org.unit(one.unit_id)
        below = {child.id for child in work.org.children(one.unit_id)}
        if any(other.unit_id in below and other.said == one.said for other in dark):
            continue
        raised.append(
            raising.warning(
                "star_dependence",
                work,
                light=one.light,
                subject=("unit", one.unit_id, unit.name if unit else one.unit_id),
                about=("", one.unit_id),
                assignee="manager_of_owner",
                evidence=[raising.evidence("first_share", one.share, "1", one.said)]
                + ([raising.evidence("gini", one.gini, "1")] if one.gini is not None else []),
                rule=common_pb2.RuleReference(
                    rulebook=PerformanceRules.rulebook, version=version, rule=one.rule, explanation=one.said
                ),
                automatic_action=f"watched over {judged_by.star_days} days",
            )
        )
    raising.raise_all(work, raised)
