"""What costs are called, which of them a seller can act on, and what money was worth (S74-S78)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis import errors
from closedloop_chassis.currency import coins
from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules

# Codes of facts that are no cost entries.
REVENUE, GOODS, MOVED, STOCK, ORDERS, ORDER_PRODUCTS = "revenue", "goods", "moved", "stock", "orders", "order_products"
COST, LEDGER = "cost:", "ledger:"
COUNTED = {ORDERS, ORDER_PRODUCTS}


class CostItem(Part):
    """One kind of cost, and the ledger accounts or cost codes of the ERP it is booked under (longest prefix wins)."""

    name: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    title: str = Field(min_length=1, max_length=100)
    codes: tuple[str, ...] = Field(min_length=1)
    # A seller can act on it.
    controllable: bool = True
    # Accounting standards make it a part of the cost of sales; others stand below the gross margin.
    statutory: bool = False


class Rate(Part):
    """What one unit of the currency is worth in the company's, from this day on."""

    currency: str = Field(pattern="^[A-Z]{3}$")
    from_day: date
    rate: Decimal = Field(gt=0, max_digits=18)


def _item(name: str, title: str, code: str) -> CostItem:
    return CostItem(name=name, title=title, codes=(code, name))


# The documents name the first three; the rest is what sellers of goods and equipment are charged besides.
ITEMS = (
    _item("platform_commission", "平台佣金", "660101"),
    _item("logistics_compensation", "物流异常赔付", "660102"),
    _item("return_refurbishing", "退货翻新", "660103"),
    _item("return_freight", "退货运费", "660104"),
    _item("last_mile_delivery", "尾程配送", "660105"),
    _item("overdue_storage", "超期仓储", "660106"),
    _item("packaging", "包装", "660107"),
    _item("payment_fee", "支付手续费", "660108"),
    _item("advertising", "广告投放", "660109"),
    _item("promotion_subsidy", "促销补贴", "660110"),
    _item("channel_rebate", "渠道返利", "660111"),
    _item("price_protection", "价保补差", "660112"),
    _item("sales_commission", "销售提成", "660113"),
    _item("samples_and_demos", "样品与演示", "660114"),
    _item("installation", "安装调试", "660115"),
    _item("warranty_service", "质保服务", "660116"),
    _item("bad_debt", "坏账", "660117"),
    CostItem(
        name="inbound_freight",
        title="进货运费",
        codes=("640102", "inbound_freight"),
        controllable=False,
        statutory=True,
    ),
    CostItem(
        name="production_variance",
        title="生产成本差异",
        codes=("640103", "production_variance"),
        controllable=False,
        statutory=True,
    ),
    CostItem(
        name="headquarters_overhead", title="总部分摊", codes=("6602", "headquarters_overhead"), controllable=False
    ),
    CostItem(name="exchange_loss", title="汇兑损益", codes=("660301", "exchange_loss"), controllable=False),
)


class LightRules(Part):
    """Days a stock may last before each light; nothing sold at all is red."""

    blue: float = Field(default=45, gt=0)
    yellow: float = Field(default=60, gt=0)
    red: float = Field(default=75, gt=0)

    @model_validator(mode="after")
    def _rising(self) -> LightRules:
        if not self.blue <= self.yellow <= self.red:
            raise ValueError("blue, yellow and red rise")
        return self


class StockRules(Part):
    # Cost of sales is averaged over so many days before the day looked at.
    window_days: int = Field(default=90, ge=1, le=366)
    lights: LightRules = LightRules()
    # How often all stock is looked at and told, beside every change of a light.
    look_every: ClockSetting = ClockSetting(days=1)
    # Who is asked to do something from which light on, in a task's words.
    warn_from: Literal["blue", "yellow", "red"] = "yellow"
    assignee: str = Field(default="role:operations|owner", min_length=1, max_length=100)
    task_kind: str = Field(default="intervention", min_length=1, max_length=64)


class LifetimeRules(Part):
    """Expected margin over `horizon_months`: the mean of the last months, of customers of whom `retention` stay each month."""

    horizon_months: int = Field(default=24, ge=1, le=120)
    history_months: int = Field(default=12, ge=1, le=60)
    least_months: int = Field(default=3, ge=2, le=60)
    least_orders: int = Field(default=2, ge=1, le=1000)
    retention: float = Field(default=0.97, gt=0, le=1)
    # A month's, not a year's.
    discount: float = Field(default=0.006, ge=0, lt=1)
    # Standard deviations to either side; 1.28 holds four of five.
    interval: float = Field(default=1.28, gt=0, le=5)


class MetricOwner(Part):
    """Who answers for what a figure means, and for its quality."""

    metric: str = Field(pattern="^integrations\\.[a-z][a-z0-9_.]{0,80}$")
    owner_id: str = Field(pattern="^[A-Za-z0-9._-]{1,64}$")


class EconomicsRules(Rules):
    """Cost items, rates, stock lights."""

    rulebook: ClassVar[str] = "integrations.economics"

    items: tuple[CostItem, ...] = ITEMS
    # Whether the cost of goods stands on invoices, or is taken from goods that left the warehouse.
    goods: Literal["invoices", "movements"] = "invoices"
    # Ledger accounts whose vouchers make the gross margin, by prefix.
    ledger_accounts: tuple[str, ...] = ("6001", "6051", "6401", "6402")
    rates: tuple[Rate, ...] = ()
    # A rate older than this says nothing about a day.
    rate_holds_days: int = Field(default=31, ge=0, le=366)
    # Nobody asks for more at once.
    longest_days: int = Field(default=3660, ge=31, le=36600)
    stock: StockRules = StockRules()
    lifetime: LifetimeRules = LifetimeRules()
    # Of single figures; whoever leads the company answers for the others.
    metric_owners: tuple[MetricOwner, ...] = ()

    @model_validator(mode="after")
    def _one_meaning(self) -> EconomicsRules:
        codes = [code for item in self.items for code in item.codes]
        if doubled := {code for code in codes if codes.count(code) > 1}:
            raise ValueError(f"{min(doubled)} is the code of two items")
        if len({item.name for item in self.items}) < len(self.items):
            raise ValueError("two items have one name")
        if len({each.metric for each in self.metric_owners}) < len(self.metric_owners):
            raise ValueError("a metric has two owners")
        return self

    @cached_property
    def _by_code(self) -> dict[str, CostItem]:
        return {code: item for item in self.items for code in item.codes}

    def item(self, code: str) -> CostItem:
        """What a cost code of the ERP is; a code nobody has placed is an item of its own and not lost."""
        for length in range(len(code), 0, -1):
            if found := self._by_code.get(code[:length]):
                return found
        return UNPLACED

    def worth(self, currency: str, day: date, home: str) -> Decimal:
        """Of one unit in the company's currency `home`. Raises FailedPrecondition RATE_MISSING."""
        if currency == home:
            return Decimal(1)
        oldest = day - timedelta(days=self.rate_holds_days)
        known = [rate for rate in self.rates if rate.currency == currency and oldest <= rate.from_day <= day]
        if not known:
            raise errors.FailedPrecondition("RATE_MISSING", f"no rate of {currency} for {day}")
        return max(known, key=lambda rate: rate.from_day).rate


UNPLACED = CostItem(name="unplaced", title="未归类", codes=("unplaced",), controllable=False)


def converted(minor: int, currency: str, to: str, rate: Decimal) -> int:
    """Minor units of `currency` in those of `to`; `rate` is worth over worth. Halves go up."""
    exact = Decimal(minor) / coins(currency) * rate * coins(to)
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Total:
    """What the facts of one code add up to, in minor units of one currency."""

    amount: int = 0
    entries: int = 0

    def __add__(self, other: Total) -> Total:
        return Total(self.amount + other.amount, self.entries + other.entries)


# By code.
Totals = Mapping[str, Total]
NOTHING = Total()


@dataclass(frozen=True, slots=True)
class Cost:
    """One item's part in a margin."""

    item: CostItem
    amount: int
    transactions: int


@dataclass(frozen=True, slots=True)
class Margin:
    """Revenue less goods less costs; minor units."""

    revenue: int
    goods: int
    costs: Mapping[str, Cost] = field(default_factory=dict)
    orders: int = 0
    # Taken out as uncontrollable; not among the costs.
    removed: Mapping[str, Cost] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        return sum(cost.amount for cost in self.costs.values())

    @property
    def margin(self) -> int:
        return self.revenue - self.goods - self.cost

    @property
    def empty(self) -> bool:
        return not (self.revenue or self.goods or self.costs or self.orders or self.removed)

    @property
    def ratio(self) -> float | None:
        """Margin / revenue; None without revenue."""
        return self.margin / self.revenue if self.revenue else None


def goods(totals: Totals, rules: EconomicsRules) -> int:
    return totals.get(GOODS if rules.goods == "invoices" else MOVED, NOTHING).amount
