"""Invoices as what their goods cost: only the lines whose cost is booked say anything."""

from __future__ import annotations

from decimal import Decimal

from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos
from closedloop_funnel.copies.costs import Goods


def key(invoice: integrations.InvoiceRecorded) -> tuple[str, str]:
    """Source and its id there: what its versions count for."""
    return invoice.provenance.source, invoice.provenance.source_id or invoice.number


def goods(invoice: integrations.InvoiceRecorded) -> list[Goods]:
    """One per product. A credit note that names no invoice says what came back, not of what: it changes no cost."""
    if invoice.credit_note and not invoice.original_number:
        return []
    sums: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for line in invoice.lines:
        if line.product_id and line.HasField("cost_amount"):
            of = (line.product_id, line.cost_amount.currency_code)
            quantity, cost = sums.get(of, (Decimal(0), 0))
            sums[of] = (
                quantity + Decimal(line.quantity.value or 0),
                cost + protos.minor_units(line.cost_amount, "cost_amount"),
            )
    source, source_id = key(invoice)
    return [
        Goods(
            source=source,
            source_id=source_id,
            version=invoice.version,
            product_id=product_id,
            number=invoice.number,
            back_to=invoice.original_number if invoice.credit_note else "",
            date=protos.day(invoice.date, "date"),
            quantity=abs(quantity) if invoice.credit_note else quantity,
            cost_minor=abs(cost) if invoice.credit_note else cost,
            currency=currency,
        )
        for (product_id, currency), (quantity, cost) in sums.items()
    ]
