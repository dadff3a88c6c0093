"""Margins and bridges as the contract shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from closedloop.integrations.v1 import economics_pb2 as pb
from closedloop_chassis import protos
from closedloop_integrations.economics.bridge import Bridge
from closedloop_integrations.economics.rules import Cost, CostItem, Margin

METRIC = "integrations.cost."


def cost_line(cost: Cost, revenue: int, currency: str) -> pb.CostLine:
    return pb.CostLine(
        item=cost.item.name,
        title=cost.item.title,
        amount=protos.money(cost.amount, currency),
        revenue_ratio=cost.amount / revenue if revenue else 0.0,
        controllable=cost.item.controllable,
        transactions=cost.transactions,
    )


def margin_row(
    margin: Margin,
    currency: str,
    items: Sequence[CostItem],
    keys: Sequence[str] = (),
    titles: Mapping[str, str] | None = None,
) -> pb.MarginRow:
    """Costs in the order of the rulebook."""
    row = pb.MarginRow(
        keys=keys,
        titles=[(titles or {}).get(key, key) for key in keys],
        revenue=protos.money(margin.revenue, currency),
        cost_of_goods=protos.money(margin.goods, currency),
        costs=_lines(margin.costs, items, margin.revenue, currency),
        margin=protos.money(margin.margin, currency),
        margin_ratio=margin.ratio,
        orders=margin.orders,
        removed=_lines(margin.removed, items, margin.revenue, currency),
    )
    if margin.orders:
        row.cost_per_order.CopyFrom(protos.money(round(margin.cost / margin.orders), currency))
    return row


def bridge_items(bridge: Bridge, revenue: int, currency: str) -> Iterable[pb.BridgeItem]:
    for step in bridge.steps:
        line = cost_line(step.cost, revenue, currency)
        yield pb.BridgeItem(cost=line, points=step.points, metric=f"{METRIC}{step.cost.item.name}")


def _lines(costs: Mapping[str, Cost], items: Sequence[CostItem], revenue: int, currency: str) -> list[pb.CostLine]:
    places = {item.name: place for place, item in enumerate(items)}
    ordered = sorted(costs.values(), key=lambda cost: places.get(cost.item.name, len(places)))
    return [cost_line(cost, revenue, currency) for cost in ordered]
