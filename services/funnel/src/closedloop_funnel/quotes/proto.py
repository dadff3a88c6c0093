"""Quotes between the contract and Python."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from google.type.money_pb2 import Money

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import quotes_pb2 as pb
from closedloop_chassis import etags, protos
from closedloop_chassis.structs import struct
from closedloop_funnel.clearance import telling
from closedloop_funnel.quotes import rules
from closedloop_funnel.quotes.record import Line, Quote, Seen
from closedloop_funnel.words import number


def lines(given: Iterable[pb.QuoteLine]) -> tuple[list[Line], set[str]]:
    """Lines without their amounts, and the currencies they name."""
    read = [
        {
            "product_id": line.product_id,
            "description": line.description,
            "quantity": line.quantity,
            "list_price_minor": protos.minor_units(line.list_price, f"lines.{i}.list_price"),
            "discount_ratio": line.discount_ratio,
        }
        for i, line in enumerate(given)
    ]
    return read, {line.list_price.currency_code for line in given}


def write(quote: Seen, today: date, *, margin_shown: bool) -> pb.Quote:
    return pb.Quote(
        id=quote.id,
        etag=etags.of(quote.revision),
        opportunity_id=quote.opportunity_id,
        account_id=quote.deal["account_id"] or "",
        ownership=common_pb2.Ownership(owner_id=quote.deal["owner_id"], unit_id=quote.deal["unit_id"]),
        number=quote.number,
        version=quote.version,
        state=number(pb.QuoteState, rules.state(quote, today)),
        lines=[_line(line, quote.currency) for line in quote.lines],
        list_total=_money(quote.list_minor, quote),
        total=_money(quote.total_minor, quote),
        discount_ratio=quote.discount_ratio,
        margin_ratio=quote.margin_ratio if margin_shown else None,
        valid_until_date=protos.date_proto(quote.valid_until),
        terms=quote.terms,
        justification=quote.justification,
        attachment_ids=quote.attachment_ids,
        approval=telling.status(quote),
        submit_time=protos.timestamp(quote.submitted_at),
        issue_time=protos.timestamp(quote.issued_at),
        answer_time=protos.timestamp(quote.answered_at),
        answer_comment=quote.answer_comment,
        custom_fields=struct(quote.custom_fields),
        create_time=protos.timestamp(quote.created_at),
        update_time=protos.timestamp(quote.updated_at),
    )


def _line(line: Line, currency: str) -> pb.QuoteLine:
    return pb.QuoteLine(
        product_id=line["product_id"],
        description=line["description"],
        quantity=line["quantity"],
        list_price=protos.money(line["list_price_minor"], currency),
        discount_ratio=line["discount_ratio"],
        amount=protos.money(line["amount_minor"], currency),
    )


def _money(minor: int, quote: Quote) -> Money | None:
    return protos.money(minor, quote.currency) if quote.currency else None


def in_words(minor: int, currency: str) -> str:
    """As people read it: "12,500.00 CNY"."""
    amount = protos.money(minor, currency)
    return f"{amount.units + amount.nanos / protos.NANOS:,.2f} {currency}"
