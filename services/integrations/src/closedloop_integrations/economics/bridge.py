"""From one margin to another, item by item, so that every point is explained (S75)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from closedloop_integrations.economics.rules import Cost, CostItem, Margin

# What was sold in one month and booked to another moves revenue and goods; no cost code is ever read as it.
TIMING = CostItem(name="timing", title="入账月份差异", codes=("timing",), controllable=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One cost that `to` charges and `from` does not (negative: the other way), and what it does to the ratio."""

    cost: Cost
    # Percentage points.
    points: float


@dataclass(frozen=True, slots=True)
class Bridge:
    steps: Sequence[Step]
    # margin(from) - sum(steps) - margin(to), in minor units; anything but zero is a defect.
    residual: int


def build(origin: Margin, target: Margin, order: Sequence[CostItem]) -> Bridge:
    """Steps in the order of the rulebook; their points add up to the change of the ratio wherever both have revenue."""
    steps: list[Step] = []
    timing = (origin.revenue - origin.goods) - (target.revenue - target.goods)
    if timing or origin.revenue != target.revenue:
        before = origin.ratio or 0.0
        after = (origin.margin - timing) / target.revenue if target.revenue else 0.0
        steps.append(Step(Cost(TIMING, timing, 0), 100 * (after - before)))
    places = {item.name: place for place, item in enumerate(order)}
    for name in sorted({*origin.costs, *target.costs}, key=lambda name: (places.get(name, len(places)), name)):
        old, new = origin.costs.get(name), target.costs.get(name)
        difference = (new.amount if new else 0) - (old.amount if old else 0)
        if difference:
            known = new or old
            assert known is not None
            points = -100 * difference / target.revenue if target.revenue else 0.0
            steps.append(Step(Cost(known.item, difference, known.transactions), points))
    residual = origin.margin - sum(step.cost.amount for step in steps) - target.margin
    return Bridge(steps, residual)
