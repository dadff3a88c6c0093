"""Stock days are looked at: for a reader, at every change of stock, and once a day for all (S78, S5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from google.type.decimal_pb2 import Decimal as DecimalText

from closedloop.common.v1 import common_pb2
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors, protos
from closedloop_chassis.enums import number
from closedloop_chassis.work import Work
from closedloop_integrations.economics import stock_warnings, store, turnover
from closedloop_integrations.economics.reference import reference
from closedloop_integrations.economics.rules import GOODS, MOVED, EconomicsRules, converted
from closedloop_integrations.economics.turnover import Stock


@dataclass(frozen=True, slots=True)
class Known:
    """The stock of a day, in minor units of the company's money: balances, and by product what was `sold` in the window, by how
    many facts (`entries`)."""

    held: list[Stock]
    sold: dict[str, int]
    entries: dict[str, int]


def window(rules: EconomicsRules, day: date, products: Sequence[str], home: str) -> dict[str, Any]:
    """Parameters of the queries: the days whose sales count, and what counts as sold."""
    return {
        "day": day,
        "since": day - timedelta(days=rules.stock.window_days - 1),
        "goods": GOODS if rules.goods == "invoices" else MOVED,
        "products": list(products),
        "currency": home,
    }


async def look(
    work: Work, source: Any, day: date, products: Sequence[str] = (), *, valued_only: bool = False
) -> list[Stock]:
    """Every product and warehouse with stock at the end of `day`, in the company's money. `source` is a reader or transaction.

    Raises FailedPrecondition RATE_MISSING; with `valued_only` products in money nobody has given a rate for are left out."""
    known = await read(work, source, day, products, valued_only=valued_only)
    return turnover.turnover(known.held, known.sold, work.rules(EconomicsRules).stock.window_days)


async def read(
    work: Work,
    source: Any,
    day: date,
    products: Sequence[str] = (),
    *,
    at: datetime | None = None,
    valued_only: bool = False,
) -> Known:
    """As `look`, before sales are laid on warehouses; as it was known `at` a moment."""
    rules, home = work.rules(EconomicsRules), work.home.currency
    params = {**window(rules, day, products, home), "at": at}
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
        for row in await source.all(store.HELD.format(known=store.known(at)), params)
    ]
    sold: dict[str, int] = {}
    entries: dict[str, int] = {}
    for row in await source.all(store.SOLD.format(known=store.known(at)), params):
        product_id = row["product_id"]
        sold[product_id] = sold.get(product_id, 0) + home_value(row)
        entries[product_id] = entries.get(product_id, 0) + row["entries"]
    return Known([stock for stock in held if stock.product_id not in unvalued], sold, entries)


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
            rule=reference(work, "stock.lights", turnover.sentence(whole)),
        )
        work.tell(message, product_id)
        stock_warnings.follow(work, whole, light, previous)
    store.put_lights(work.tx, told)
