"""One shape for every quantity: an integer of the smallest unit.

Money is kept in minor units (fen) with its currency; a plain number in millionths with an empty currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from google.type.decimal_pb2 import Decimal as DecimalProto

from closedloop.targets.v1.metrics_pb2 import Amount
from closedloop_chassis import errors, protos

MILLIONTHS = 1_000_000
LARGEST = 9 * 10**18


@dataclass(frozen=True, slots=True)
class Quantity:
    """`minor` units of `currency`; millionths of a plain number where the currency is empty."""

    minor: int
    currency: str = ""


def read(amount: Amount, field: str = "amount") -> Quantity:
    """Raises InvalidArgument NOT_MONEY or NOT_A_NUMBER for what cannot be kept exactly."""
    if amount.HasField("money"):
        return Quantity(protos.minor_units(amount.money, f"{field}.money"), amount.money.currency_code)
    try:
        scaled = Decimal(amount.number.value) * MILLIONTHS
    except InvalidOperation:
        scaled = Decimal("0.5")
    if scaled != scaled.to_integral_value() or abs(scaled) > LARGEST:
        raise errors.InvalidArgument(
            "NOT_A_NUMBER",
            "a number has at most six decimals and twelve digits before them",
            {f"{field}.number.value": "out of range"},
        )
    return Quantity(int(scaled))


def amount(minor: int, currency: str) -> Amount:
    if currency:
        return Amount(money=protos.money(minor, currency))
    return Amount(number=decimal(Decimal(minor) / MILLIONTHS))


def decimal(value: Decimal | float | int) -> DecimalProto:
    """Without exponent and without trailing zeros."""
    plain = format(Decimal(str(value)), "f")
    return DecimalProto(value=plain.rstrip("0").rstrip(".") if "." in plain else plain)


def words(minor: int, currency: str) -> str:
    """For people: "1,234.50 CNY", "12 "."""
    shown = amount(minor, currency)
    if currency:
        return f"{shown.money.units + Decimal(shown.money.nanos) / protos.NANOS:,.2f} {currency}"
    return f"{Decimal(shown.number.value):,}"
