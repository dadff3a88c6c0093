"""The margin as a seller can act on it: every cost charged where and when it arises (S74, S75, S77).

Independent of the statutory calculation: it reads the same raw facts and shares no figure with it.
"""

from __future__ import annotations

from dataclasses import replace

from closedloop_integrations.economics.rules import COST, NOTHING, REVENUE, Cost, EconomicsRules, Margin, Totals, goods


def calculate(totals: Totals, rules: EconomicsRules, orders: int = 0) -> Margin:
    """`totals` by the day of the document."""
    costs: dict[str, Cost] = {}
    for code, total in totals.items():
        if code.startswith(COST):
            item = rules.item(code.removeprefix(COST))
            before = costs.get(item.name, Cost(item, 0, 0))
            costs[item.name] = Cost(item, before.amount + total.amount, before.transactions + total.entries)
    return Margin(totals.get(REVENUE, NOTHING).amount, goods(totals, rules), costs, orders)


def contribution(totals: Totals, rules: EconomicsRules, orders: int = 0) -> Margin:
    """Operational, without what a unit cannot control (S77)."""
    whole = calculate(totals, rules, orders)
    return replace(
        whole,
        costs={name: cost for name, cost in whole.costs.items() if cost.item.controllable},
        removed={name: cost for name, cost in whole.costs.items() if not cost.item.controllable},
    )
