"""The margin as the ledger shows it: revenue less cost of sales, by the month things are booked to (S74).

Independent of the operational calculation: it reads the same raw facts and shares no figure with it.
"""

from __future__ import annotations

from closedloop_integrations.economics.rules import (
    COST,
    LEDGER,
    NOTHING,
    REVENUE,
    Cost,
    EconomicsRules,
    Margin,
    Totals,
    goods,
)


def calculate(totals: Totals, rules: EconomicsRules, orders: int = 0) -> Margin:
    """`totals` by booked month. Costs that accounting standards put below the gross margin are not charged."""
    costs: dict[str, Cost] = {}
    for code, total in totals.items():
        if code.startswith(COST) and (item := rules.item(code.removeprefix(COST))).statutory:
            before = costs.get(item.name, Cost(item, 0, 0))
            costs[item.name] = Cost(item, before.amount + total.amount, before.transactions + total.entries)
    return Margin(totals.get(REVENUE, NOTHING).amount, goods(totals, rules), costs, orders)


def ledger(totals: Totals, rules: EconomicsRules) -> int | None:
    """The gross margin the vouchers say; None where no voucher speaks of it."""
    accounts = tuple(LEDGER + prefix for prefix in rules.ledger_accounts)
    found = [total.amount for code, total in totals.items() if code.startswith(accounts)]
    return sum(found) if found else None
