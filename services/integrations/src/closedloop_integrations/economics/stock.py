"""Stock days are looked at: for a reader, at every change of stock, and once a day for all (S78, S5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from google.type.decimal_pb2 import Decimal as DecimalText

from closedloop.common.v1 import common_pb2
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors, protos
from closedloop_chassis.enums import number
from closedloop_chassis.work import Work
from closedloop_integrations.economics import store, turnover
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import GOODS, MOVED, EconomicsRules, converted
from closedloop_integrations.economics.turnover import Stock


async def look(
    work: Work, source: Any, day: date, products: Sequence[str] = (), *, valued_only: bool = False
) -> list[Stock]:
    """Every product and warehouse with stock at the end of `day`, in the company's money. `source` is a reader or transaction.

    Raises FailedPrecondition RATE_MISSING; with `valued_only` products in money nobody has given a rate for are left out."""
    rules, home = work.rules(EconomicsRules), work.home.currency
    window = rules.stock.window_days
    params = {
        "day": day,
        "since": day - timedelta(days=window - 1),
        "goods": GOODS if rules.goods == "invoices" else MOVED,
        "products": list(products),
        "currency": home,
    }
    unvalued: set[str] = set()

    def home_value(row: dict[str, Any]) -> int:
        try:
            rate = rules.worth(row["currency"], row["day"], home)
        except errors.FailedPrecondition:
            if not valued_only:
                raise
            unvalued.add(row["product_id"])
            return 0
        return converted(row["amount"], row["currency"], home, rate)

    held = [
        Stock(row["product_id"], row["warehouse"], home_value(row), row["quantity"])
        for row in await source.all(store.HELD, params)
    ]
    sold: dict[str, int] = {}
    for row in await source.all(store.SOLD, params):
        sold[row["product_id"]] = sold.get(row["product_id"], 0) + home_value(row)
    held = [stock for stock in held if stock.product_id not in unvalued]
    return turnover.turnover(held, sold, window)


async def tell(work: Work, products: Sequence[str] = (), *, all_of_them: bool = False) -> None:
    """Tells each product whose light has changed, or every one."""
    rules, day, home = work.rules(EconomicsRules), work.home.today(), work.home.currency
    by_product: dict[str, list[Stock]] = {}
    for stock in await look(work, work.tx, day, products, valued_only=True):
        by_product.setdefault(stock.product_id, []).append(stock)
    before = await store.lights(work.tx, list(by_product))
    told: dict[str, str] = {}
    for product_id, parts in by_product.items():
        whole = turnover.together(parts, product_id)
        light, previous = turnover.light(whole, rules.stock.lights), before.get(product_id, "none")
        if not all_of_them and light == previous:
            continue
        told[product_id] = light
        message = events.StockDaysChanged(
            product_id=product_id,
            date=protos.date_proto(day),
            quantity=DecimalText(value=f"{whole.quantity:f}"),
            stock_value=protos.money(whole.value, home),
            days=whole.days,
            light=number(common_pb2.Light, light),
            previous_light=number(common_pb2.Light, previous),
            rule=reference(work, "stock.lights", sentence(whole)),
        )
        work.tell(message, product_id)
    store.put_lights(work.tx, told)


def sentence(stock: Stock) -> str:
    if stock.days is None:
        return "nothing sold in the window"
    return f"lasts {stock.days:.1f} days"
