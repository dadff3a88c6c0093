"""What a deal is worth: lines, their sum, and the same in the company's currency (U16)."""

from __future__ import annotations

from decimal import Decimal

from closedloop_chassis import errors
from closedloop_funnel.copies.conversion import counted
from closedloop_funnel.opportunities.record import Line


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
