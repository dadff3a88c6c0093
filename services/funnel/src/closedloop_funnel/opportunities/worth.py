"""What a deal is worth: lines, their sum, and the same in the company's currency (U16)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from google.type.money_pb2 import Money

from closedloop_chassis import errors, protos
from closedloop_funnel.opportunities.record import Line

# Sums of many deals still have to fit.
LARGEST = 10**17


def counted(minor: Decimal) -> int:
    """Rounded half up to the smallest coin. Raises InvalidArgument AMOUNT_TOO_LARGE beyond what a bigint holds."""
    if abs(minor) > LARGEST:
        raise errors.InvalidArgument("AMOUNT_TOO_LARGE", "no deal is worth that much", {"amount": "too large"})
    return int(minor.quantize(Decimal(1), ROUND_HALF_UP))


def line_amount(line: Line) -> int | None:
    """Quantity x unit price where the line does not say its amount; None if neither is known."""
    if line["amount_minor"] is not None:
        return int(line["amount_minor"])
    if line["unit_price_minor"] is None:
        return None
    return counted(Decimal(str(line["quantity"])) * line["unit_price_minor"])


def total(lines: list[Line]) -> tuple[int | None, str]:
    """Sum and currency of the lines; None as long as one of them has no amount."""
    amounts = [line_amount(line) for line in lines]
    if not amounts or any(amount is None for amount in amounts):
        return None, one_currency(lines)
    return counted(Decimal(sum(amount for amount in amounts if amount is not None))), one_currency(lines)


def one_currency(lines: list[Line], amount_currency: str = "") -> str:
    """The currency all lines (and the amount) are in. Raises InvalidArgument CURRENCY_MIXED."""
    found = {line["currency"] for line in lines if line["currency"]} | ({amount_currency} - {""})
    if len(found) > 1:
        raise errors.InvalidArgument(
            "CURRENCY_MIXED",
            f"one deal, one currency; here are {', '.join(sorted(found))}",
            {"lines": "mixed currencies"},
        )
    return next(iter(found), "")


def apportion(lines: list[Line], amount: int) -> list[Line]:
    """The lines with amounts that sum exactly to what the deal was closed for, in proportion to what they said."""
    if not lines:
        return []
    weights = [line_amount(line) or 0 for line in lines]
    whole = sum(weights)
    if whole == amount and all(line_amount(line) is not None for line in lines):
        return [{**line, "amount_minor": weight} for line, weight in zip(lines, weights, strict=True)]
    if whole <= 0:
        weights, whole = [1] * len(lines), len(lines)
    shares, given, cumulated = [], 0, 0
    for weight in weights:
        # Rounded cumulatively, so that nothing is lost and no line is off by more than a coin.
        cumulated += weight
        reached = amount * cumulated // whole
        shares.append(reached - given)
        given = reached
    return [{**line, "amount_minor": share} for line, share in zip(lines, shares, strict=True)]


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
        days, rates = self.by_base.get(currency, ([], []))
        position = bisect_right(days, day)
        if not position:
            return None
        return counted(Decimal(minor) / _coins(currency) * rates[position - 1] * _coins(self.into))


def _coins(currency: str) -> int:
    """Smallest coins in one unit of the currency."""
    return protos.minor_units(Money(currency_code=currency, units=1))
