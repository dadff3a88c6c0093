"""Transactions of the contract as figures and codes, whatever their kind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation

from google.type.decimal_pb2 import Decimal as DecimalText
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors, protos
from closedloop_integrations.erp.rules import Codes, Sums

Line = pb.OrderLine | pb.InvoiceLine
KINDS = {
    "order": "order",
    "cost": "cost",
    "voucher": "voucher",
    "stock_movement": "stock_movement",
    "stock_balance": "stock_balance",
}


def kind_of(row: pb.Transaction) -> str:
    document = row.WhichOneof("document") or ""
    if document == "invoice":
        return "credit_note" if row.invoice.credit_note else "invoice"
    return KINDS[document]


def lines(row: pb.Transaction) -> Sequence[Line]:
    return row.order.lines if row.HasField("order") else row.invoice.lines


def sums(row: pb.Transaction) -> Sums:
    """Raises InvalidArgument NOT_MONEY."""
    amounts = [(field, money) for field, money in _amounts(row) if money.currency_code or money.units or money.nanos]
    by_field: dict[str, int] = {}
    for field, money in amounts:
        by_field[field] = by_field.get(field, 0) + protos.minor_units(money, field)
    stated = protos.minor_units(row.amount, "amount") if row.HasField("amount") else None
    currencies = frozenset(money.currency_code for _, money in amounts)
    if row.HasField("voucher"):
        debit, credit = by_field.get("voucher.entries.debit", 0), by_field.get("voucher.entries.credit", 0)
        return Sums(row.currency, currencies, debit, stated, debit, credit)
    counted = [figure for field, figure in by_field.items() if not field.endswith((".tax_amount", ".cost_amount"))]
    return Sums(row.currency, currencies, sum(counted), stated)


def codes(row: pb.Transaction, name_key: str) -> Codes:
    products = list(_products(row))
    return Codes(
        source=row.provenance.source,
        account_code=row.account_code,
        account_name_key=name_key,
        account_id=row.account_id or None,
        person_code=row.person_code,
        person_id=row.person_id,
        unit_code=row.unit_code,
        unit_id=row.unit_id,
        channel=row.channel,
        product_codes=tuple(code for code, _ in products),
        product_ids=tuple(id for _, id in products),
    )


def check_numbers(row: pb.Transaction) -> None:
    """Raises InvalidArgument NOT_A_NUMBER for a quantity that is none."""
    for field, quantity in _quantities(row):
        try:
            fine = not quantity.value or Decimal(quantity.value).is_finite()
        except InvalidOperation:
            fine = False
        if not fine:
            raise errors.InvalidArgument("NOT_A_NUMBER", f"{quantity.value[:40]} is no number", {field: "a decimal"})


def month_of(row: pb.Transaction, day: date) -> date:
    given = row.accounting_month
    return (
        protos.day(given, "accounting_month").replace(day=1) if row.HasField("accounting_month") else day.replace(day=1)
    )


def as_it_came(row: pb.Transaction) -> pb.Transaction:
    """Without what is ours to say."""
    kept = pb.Transaction()
    kept.CopyFrom(row)
    for field in ("id", "kind", "amount", "version", "create_time"):
        kept.ClearField(field)
    return kept


def digest(kept: pb.Transaction) -> str:
    """Of the content alone: who brought it and when does not make another document."""
    content = pb.Transaction()
    content.CopyFrom(kept)
    content.provenance.CopyFrom(Provenance(source=kept.provenance.source, source_id=kept.provenance.source_id))
    return hashlib.sha256(content.SerializeToString(deterministic=True)).hexdigest()


def with_products(row: pb.Transaction, product_ids: Sequence[str]) -> pb.Transaction:
    """Our product ids put beside the codes, in the order of `codes`."""
    ids = iter(product_ids)
    document = row.WhichOneof("document")
    if document in ("order", "invoice"):
        for line in lines(row):
            line.product_id = next(ids, "")
    elif document in ("cost", "stock_movement", "stock_balance") and (product_id := next(ids, "")):
        getattr(row, document).product_id = product_id
    return row


def recorded(row: pb.Transaction) -> list[events.RecordedLine]:
    """The lines as other services need them."""
    told = []
    for line in lines(row):
        recorded = events.RecordedLine(
            line=line.line, product_id=line.product_id, quantity=line.quantity, net_amount=line.net_amount
        )
        # Not booked yet is not nothing.
        if isinstance(line, pb.InvoiceLine) and line.cost_amount.currency_code:
            recorded.cost_amount.CopyFrom(line.cost_amount)
        told.append(recorded)
    return told


def _amounts(row: pb.Transaction) -> Iterator[tuple[str, Money]]:
    match row.WhichOneof("document"):
        case "order":
            for line in row.order.lines:
                yield from (("order.lines.net_amount", line.net_amount), ("order.lines.tax_amount", line.tax_amount))
        case "invoice":
            for each in row.invoice.lines:
                yield from (
                    ("invoice.lines.net_amount", each.net_amount),
                    ("invoice.lines.tax_amount", each.tax_amount),
                )
                yield "invoice.lines.cost_amount", each.cost_amount
        case "cost":
            yield "cost.amount", row.cost.amount
        case "voucher":
            for entry in row.voucher.entries:
                yield from (("voucher.entries.debit", entry.debit), ("voucher.entries.credit", entry.credit))
        case "stock_movement":
            yield "stock_movement.value", row.stock_movement.value
        case "stock_balance":
            yield "stock_balance.value", row.stock_balance.value


def _quantities(row: pb.Transaction) -> Iterator[tuple[str, DecimalText]]:
    match row.WhichOneof("document"):
        case "order" | "invoice" as name:
            for line in lines(row):
                yield f"{name}.lines.quantity", line.quantity
        case "stock_movement":
            yield "stock_movement.quantity", row.stock_movement.quantity
        case "stock_balance":
            yield "stock_balance.quantity", row.stock_balance.quantity


def _products(row: pb.Transaction) -> Iterator[tuple[str, str]]:
    match row.WhichOneof("document"):
        case "order" | "invoice":
            for line in lines(row):
                yield line.product_code, line.product_id
        case "cost":
            if row.cost.product_code:
                yield row.cost.product_code, row.cost.product_id
        case "stock_movement":
            yield row.stock_movement.product_code, row.stock_movement.product_id
        case "stock_balance":
            yield row.stock_balance.product_code, row.stock_balance.product_id
