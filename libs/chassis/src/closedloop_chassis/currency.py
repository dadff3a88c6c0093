"""How many of its smallest coins a unit of a currency is."""

from __future__ import annotations

# Digits after the decimal point, ISO 4217, where they are not two.
_EXPONENTS = {"JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3, "OMR": 3, "TND": 3}


def coins(currency: str) -> int:
    """100 fen to the yuan, one yen to the yen."""
    return int(10 ** _EXPONENTS.get(currency, 2))
