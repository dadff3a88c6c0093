"""Spot rates as targets told them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from closedloop_chassis.data.transaction import Transaction
from closedloop_funnel.copies.conversion import Rates

SPOT = """
SELECT base_currency, start_date, rate FROM exchange_rate
 WHERE quote_currency = %(into)s AND base_currency = ANY(%(bases)s) AND kind = 'spot' ORDER BY start_date
"""


async def spot(tx: Transaction, into: str, currencies: Iterable[str]) -> Rates:
    """A round trip only where a foreign currency is among them."""
    foreign = sorted(set(currencies) - {into, ""})
    by_base: dict[str, tuple[list[date], list[Decimal]]] = {}
    if foreign:
        for row in await tx.all(SPOT, {"into": into, "bases": foreign}):
            days, values = by_base.setdefault(row["base_currency"], ([], []))
            days.append(row["start_date"])
            values.append(row["rate"])
    return Rates(into, by_base)
