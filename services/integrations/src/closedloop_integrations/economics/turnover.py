"""How long stock lasts (S78): its value over the cost of sales of a day. Source: days inventory outstanding, on current stock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import fsum

from closedloop_integrations.economics.rules import LightRules

LIGHTS = ("none", "blue", "yellow", "red")


@dataclass(frozen=True, slots=True)
class Stock:
    """Of one product in one warehouse, or of several together; minor units. `daily` is the cost of sales of a day."""

    product_id: str
    warehouse: str
    value: int
    quantity: Decimal
    daily: float = 0.0

    @property
    def days(self) -> float | None:
        """None when nothing was sold."""
        return self.value / self.daily if self.daily > 0 else None


def light(stock: Stock, rules: LightRules) -> str:
    """Healthy below `blue` days; stock that does not sell at all is red, no stock is no worry."""
    if stock.value <= 0:
        return "none"
    if stock.days is None:
        return "red"
    for name, limit in (("red", rules.red), ("yellow", rules.yellow), ("blue", rules.blue)):
        if stock.days >= limit:
            return name
    return "none"


def sentence(stock: Stock) -> str:
    if stock.days is None:
        return "nothing sold in the window"
    return f"lasts {stock.days:.1f} days"


def turnover(held: Iterable[Stock], sold: Mapping[str, int], window_days: int) -> list[Stock]:
    """`sold` is the cost of sales by product in the window. An invoice does not say which warehouse it left: what was sold
    is laid on a product's warehouses by the value they hold, so that they last equally long."""
    held = list(held)
    whole: dict[str, int] = defaultdict(int)
    for stock in held:
        whole[stock.product_id] += max(stock.value, 0)
    return [
        replace(
            stock, daily=sold.get(stock.product_id, 0) / window_days * max(stock.value, 0) / whole[stock.product_id]
        )
        for stock in held
        if whole[stock.product_id]
    ]


def together(stocks: Iterable[Stock], product_id: str = "") -> Stock:
    stocks = list(stocks)
    quantity = sum((stock.quantity for stock in stocks), Decimal(0))
    return Stock(product_id, "", sum(s.value for s in stocks), quantity, fsum(s.daily for s in stocks))


def worst_first(stock: Stock, shown: str) -> tuple[int, float, str, str]:
    days = stock.days
    return -LIGHTS.index(shown), -days if days is not None else float("-inf"), stock.product_id, stock.warehouse
