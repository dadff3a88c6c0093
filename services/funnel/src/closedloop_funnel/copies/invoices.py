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
    back_to = _back_to(invoice)
    if invoice.credit_note and not back_to:
        return []
    sums: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for line in invoice.lines:
        booked = protos.minor_units(line.cost_amount, "cost_amount") if line.HasField("cost_amount") else 0
        # An ERP shows a zero until the cost is carried over: nothing costs nothing.
        if line.product_id and booked:
            of = (line.product_id, line.cost_amount.currency_code)
            quantity, cost = sums.get(of, (Decimal(0), 0))
            sums[of] = (quantity + Decimal(line.quantity.value or 0), cost + booked)
    source, source_id = key(invoice)
    return [
        Goods(
            source=source,
            source_id=source_id,
            version=invoice.version,
            product_id=product_id,
            number=invoice.number,
            back_to=back_to,
            date=protos.day(invoice.date, "date"),
            quantity=abs(quantity) if back_to else quantity,
            cost_minor=abs(cost) if back_to else cost,
            currency=currency,
        )
        for (product_id, currency), (quantity, cost) in sums.items()
    ]


def _back_to(invoice: integrations.InvoiceRecorded) -> str:
    """As `invoiced_cost.back_to` has it. An invoice may name an earlier one for other reasons than taking it back."""
    if invoice.reverses_source_id:
        return f"id:{invoice.reverses_source_id}"
    return f"number:{invoice.original_number}" if invoice.credit_note and invoice.original_number else ""
