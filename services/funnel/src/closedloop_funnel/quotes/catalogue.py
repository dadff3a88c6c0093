"""List prices are the catalogue's: what a customer pays less is a discount, and a discount wants its signature (S63)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Transaction
from closedloop_funnel.copies import rates as rates_told
from closedloop_funnel.quotes import proto
from closedloop_funnel.quotes.record import Line
from closedloop_funnel.quotes.store import Price


async def hold(tx: Transaction, lines: Sequence[Line], currency: str, prices: dict[str, Price], day: date) -> None:
    """Raises InvalidArgument PRODUCT_UNKNOWN and LIST_PRICE_BELOW_CATALOGUE, FailedPrecondition RATE_UNKNOWN.

    A price in another currency is the catalogue's at the spot rate of the day; a product without a price has none to hold
    to.
    """
    if unknown := sorted({line["product_id"] for line in lines} - prices.keys()):
        raise errors.InvalidArgument(
            "PRODUCT_UNKNOWN", f"no product {', '.join(unknown)}", {"lines": "unknown product"}
        )
    rates = await rates_told.spot(tx, currency, {prices[line["product_id"]]["currency"] for line in lines})
    below: dict[str, str] = {}
    for i, line in enumerate(lines):
        price = prices[line["product_id"]]
        if price["minor"] is None:
            continue
        ours = rates.convert(price["minor"], price["currency"], day)
        if ours is None:
            raise errors.FailedPrecondition(
                "RATE_UNKNOWN",
                f"{line['product_id']} is priced in {price['currency']}, and no rate into {currency} is known for {day}",
                base_currency=price["currency"],
                quote_currency=currency,
            )
        # Whoever converts may round the last coin the other way.
        if line["list_price_minor"] < ours - (price["currency"] != currency):
            below[f"lines.{i}.list_price"] = f"the catalogue says {proto.in_words(ours, currency)}"
    if below:
        raise errors.InvalidArgument(
            "LIST_PRICE_BELOW_CATALOGUE",
            "a price below the catalogue's is a discount: give the list price, and the discount in discount_ratio",
            below,
        )
