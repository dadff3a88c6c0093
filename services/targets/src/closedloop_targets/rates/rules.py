"""What a rate must be."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules


class RateRules(Rules):
    """Currencies the company deals in; empty: any three letters."""

    rulebook: ClassVar[str] = "targets.rates"

    currencies: frozenset[str] = Field(
        default=frozenset(
            {"CNY", "USD", "EUR", "HKD", "JPY", "GBP", "AUD", "CAD", "CHF", "SGD", "KRW", "TWD", "THB", "MYR", "INR",
             "VND", "IDR", "PHP", "NZD", "SEK", "NOK", "DKK", "RUB", "BRL", "MXN", "ZAR", "AED", "SAR", "TRY", "PLN",
             "KWD", "BHD", "OMR", "TND", "MOP", "CZK", "HUF", "ILS", "CLP", "EGP"}
        ),
        max_length=200,
    )  # fmt: skip

    def check(self, base: str, quote: str, rate: Decimal) -> None:
        """Raises InvalidArgument RATE_NOT_POSITIVE, SAME_CURRENCY or UNKNOWN_CURRENCY."""
        if rate <= 0:
            raise errors.InvalidArgument("RATE_NOT_POSITIVE", "a rate is more than nothing", {"rate": "not positive"})
        if base == quote:
            raise errors.InvalidArgument("SAME_CURRENCY", f"{base} is worth itself", {"quote_currency": "same"})
        for field, code in (("base_currency", base), ("quote_currency", quote)):
            if self.currencies and code not in self.currencies:
                raise errors.InvalidArgument("UNKNOWN_CURRENCY", f"targets.rates knows no {code}", {field: "unknown"})
