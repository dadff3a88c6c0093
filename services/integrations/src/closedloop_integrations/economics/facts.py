"""A raw transaction as figures: what it says of revenue, goods, costs, stock and the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from google.type.money_pb2 import Money

from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop_chassis import protos
from closedloop_integrations.economics.rules import COST, GOODS, LEDGER, MOVED, ORDER_PRODUCTS, ORDERS, REVENUE, STOCK

# Movements that cost of sales is made of; purchases and transfers are none.
SOLD = (pb.MOVEMENT_TYPE_SALE, pb.MOVEMENT_TYPE_RETURN)


@dataclass(frozen=True, slots=True)
class Fact:
    """The fields are the columns; amounts in minor units."""

    transaction_id: str
    source: str
    source_id: str
    number: str
    order_number: str
    day: date
    month: date
    booked_month: date
    code: str
    product_id: str
    unit_id: str
    channel: str
    person_id: str
    account_id: str | None
    opportunity_id: str | None
    contract_id: str | None
    warehouse: str
    amount_minor: int
    quantity: Decimal
    currency: str
    known_from: datetime


def facts(row: pb.Transaction, known_from: datetime) -> list[Fact]:
    """`row` with our ids; what it says of the same code, product and warehouse is one fact. What is withdrawn says nothing."""
    if row.withdrawn:
        return []
    day = protos.day(row.date)
    booked = protos.day(row.accounting_month).replace(day=1) if row.HasField("accounting_month") else day.replace(day=1)
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for code, product_id, warehouse, amount, quantity in _said(row):
        entry = sums[(code, product_id, warehouse)]
        entry[0] += amount
        entry[1] += quantity
    return [
        Fact(
            transaction_id=row.id,
            source=row.provenance.source,
            source_id=row.provenance.source_id,
            number=row.number,
            order_number=row.order_number,
            day=day,
            month=day.replace(day=1),
            booked_month=booked,
            code=code,
            product_id=product_id,
            unit_id=row.unit_id,
            channel=row.channel,
            person_id=row.person_id,
            account_id=row.account_id or None,
            opportunity_id=row.opportunity_id or None,
            contract_id=row.contract_id or None,
            warehouse=warehouse,
            amount_minor=int(amount),
            quantity=quantity,
            currency=row.currency,
            known_from=known_from,
        )
        for (code, product_id, warehouse), (amount, quantity) in sums.items()
    ]


def _said(row: pb.Transaction) -> Iterator[tuple[str, str, str, int, Decimal]]:
    """Code, product, warehouse, amount, quantity."""
    nothing = Decimal(0)
    match row.WhichOneof("document"):
        case "order" if not row.order.cancelled:
            yield ORDERS, "", "", 0, nothing
            for product in sorted({_product(line) for line in row.order.lines}):
                yield ORDER_PRODUCTS, product, "", 0, nothing
        case "invoice":
            for line in row.invoice.lines:
                yield REVENUE, _product(line), "", _minor(line.net_amount), _number(line.quantity.value)
                if line.HasField("cost_amount"):
                    yield GOODS, _product(line), "", _minor(line.cost_amount), nothing
        case "cost":
            yield COST + row.cost.cost_code, _product(row.cost), "", _minor(row.cost.amount), nothing
        case "voucher":
            for entry in row.voucher.entries:
                yield LEDGER + entry.ledger_account, "", "", _minor(entry.credit) - _minor(entry.debit), nothing
        case "stock_movement" if row.stock_movement.type in SOLD:
            moved = row.stock_movement
            # Goods that went out stand with a minus; as a cost they are a plus.
            yield MOVED, _product(moved), moved.warehouse, -_minor(moved.value), -_number(moved.quantity.value)
        case "stock_balance":
            held = row.stock_balance
            yield STOCK, _product(held), held.warehouse, _minor(held.value), _number(held.quantity.value)


def _product(part: pb.OrderLine | pb.InvoiceLine | pb.CostEntry | pb.StockMovement | pb.StockBalance) -> str:
    """Goods nobody has mapped are still goods: they keep the ERP's name."""
    return part.product_id or part.product_code


def _minor(amount: Money) -> int:
    return protos.minor_units(amount) if amount.currency_code else 0


def _number(text: str) -> Decimal:
    return Decimal(text or 0)
