"""Amounts in another currency, exact to the smallest coin (U16)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from closedloop_chassis import errors
from closedloop_chassis.currency import coins

# Sums of many deals still have to fit.
LARGEST = 10**17


def counted(minor: Decimal) -> int:
    """Rounded half up to the smallest coin. Raises InvalidArgument AMOUNT_TOO_LARGE beyond what a bigint holds."""
    if abs(minor) > LARGEST:
        raise errors.InvalidArgument("AMOUNT_TOO_LARGE", "no deal is worth that much", {"amount": "too large"})
    return int(minor.quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Rates:
    """Spot rates into one currency: by base currency the days from which they hold, and the rates."""

    into: str
    by_base: Mapping[str, tuple[list[date], list[Decimal]]]

    def convert(self, minor: int | None, currency: str, day: date) -> int | None:
        """None where no rate is known for the day."""
        if minor is None or not currency:
            return None
        if currency == self.into:
            return minor
        rate = self.rate(currency, day)
        return None if rate is None else counted(Decimal(minor) / coins(currency) * rate * coins(self.into))

    def rate(self, currency: str, day: date) -> Decimal | None:
        """What one unit of the currency is worth; None where no rate is known for the day."""
        if currency == self.into:
            return Decimal(1)
        days, rates = self.by_base.get(currency, ([], []))
        position = bisect_right(days, day)
        return rates[position - 1] if position else None
