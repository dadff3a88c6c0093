"""The margin a quote or contract is expected to leave, before anybody signs it (S63)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from closedloop_chassis.currency import coins
from closedloop_chassis.data.transaction import Transaction
from closedloop_funnel.copies import costs as costs_told
from closedloop_funnel.copies import rates as rates_told
from closedloop_funnel.copies.conversion import Rates
from closedloop_funnel.copies.costs import Cost

# As far down as the contract's Facts.margin_ratio goes; a gift, whose margin has no number, stands there too.
LOWEST = -100


async def expected(
    tx: Transaction, lines: Sequence[Mapping[str, Any]], total_minor: int, currency: str, day: date
) -> float | None:
    """Of these lines ("product_id", "quantity") sold for so much, with costs as they were invoiced last and spot rates
    of the day."""
    if not lines:
        return None
    costs = await costs_told.last(tx, (line["product_id"] for line in lines))
    if not costs.keys() >= {line["product_id"] for line in lines}:
        return None
    rates = await rates_told.spot(tx, currency, {cost.currency for cost in costs.values()})
    return ratio(lines, total_minor, costs, rates, day)


def ratio(
    lines: Sequence[Mapping[str, Any]], total_minor: int, costs: Mapping[str, Cost], rates: Rates, day: date
) -> float | None:
    """1 - sum(quantity x unit cost) / total, exact until it is told; None where a cost, or its rate of the day, is
    unknown: nobody knows what the goods cost is never "they cost nothing"."""
    whole = Fraction(0)
    for line in lines:
        cost = costs.get(line["product_id"])
        rate = rates.rate(cost.currency, day) if cost else None
        if cost is None or rate is None:
            return None
        in_theirs = Fraction(Decimal(str(line["quantity"]))) * cost.cost_minor / Fraction(cost.quantity)
        whole += in_theirs / coins(cost.currency) * Fraction(rate) * coins(rates.into)
    if not whole:
        return None
    left = 1 - whole / total_minor if total_minor > 0 else Fraction(LOWEST)
    return float(left) if left > LOWEST else float(LOWEST)
