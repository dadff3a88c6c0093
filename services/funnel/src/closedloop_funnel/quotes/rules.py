"""What a quote comes to, and what it needs before it leaves the house (S63-S66)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, ClassVar

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules
from closedloop_funnel.clearance import rules as clearance
from closedloop_funnel.quotes.record import Line, Quote, Seen

# Sums of many lines still have to fit a bigint.
LARGEST = 10**15


class QuoteRules(Rules):
    """`major_project_minor`: from this amount on (in the company's currency) several departments sign (S64)."""

    rulebook: ClassVar[str] = "funnel.quotes"

    number_format: str = Field(default="Q{year}-{sequence:06d}", max_length=100)
    major_project_minor: int = Field(default=100_000_000, ge=0)
    # Template of integrations by which an issued quote is mailed.
    issue_template: str = Field(default="quote_issued", min_length=1, max_length=100)

    def model_post_init(self, context: object, /) -> None:
        clearance.check_number_format(self.number_format)


def line_amount(quantity: float, list_price_minor: int, discount_ratio: float) -> int:
    """Quantity x list price x (1 - discount), rounded half up. Raises InvalidArgument AMOUNT_TOO_LARGE."""
    exact = Decimal(str(quantity)) * list_price_minor * (1 - Decimal(str(discount_ratio)))
    if abs(exact) > LARGEST:
        raise errors.InvalidArgument("AMOUNT_TOO_LARGE", "no quote is worth that much", {"lines": "too large"})
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def priced(quote: Seen, lines: list[Line], currencies: Iterable[str]) -> Seen:
    """The quote with these lines and what they come to. Raises InvalidArgument CURRENCY_MIXED."""
    found = sorted(set(currencies))
    if len(found) > 1:
        raise errors.InvalidArgument(
            "CURRENCY_MIXED", f"one quote, one currency; here are {', '.join(found)}", {"lines": "mixed currencies"}
        )
    done = [
        {**line, "amount_minor": line_amount(line["quantity"], line["list_price_minor"], line["discount_ratio"])}
        for line in lines
    ]
    whole = sum(line_amount(line["quantity"], line["list_price_minor"], 0) for line in lines)
    total = sum(line["amount_minor"] for line in done)
    return replace(
        quote,
        lines=done,
        currency=found[0] if found else "",
        list_minor=whole,
        total_minor=total,
        discount_ratio=max(1 - total / whole, 0.0) if whole else 0.0,
    )


def content(quote: Quote) -> dict[str, Any]:
    """What a decision binds: everything the customer would read, and who that is."""
    names = (
        "account_id",
        "number",
        "version",
        "lines",
        "currency",
        "list_minor",
        "total_minor",
        "valid_until",
        "terms",
    )
    return {name: getattr(quote, name) for name in (*names, "attachment_ids", "custom_fields")}


def expired(quote: Quote, today: date) -> bool:
    return quote.valid_until is not None and quote.valid_until < today


def state(quote: Quote, today: date) -> str:
    """EXPIRED is what approved and issued ones become by themselves."""
    return "expired" if quote.state in ("approved", "issued") and expired(quote, today) else quote.state


def is_major(rules: QuoteRules, quote: Seen, company_currency: str) -> bool:
    """In foreign currency by the deal's own rate; where none is known, the bare figure decides."""
    worth = quote.total_minor
    amount, reporting = quote.deal["amount_minor"], quote.deal["reporting_minor"]
    if quote.currency != company_currency and amount and reporting is not None:
        worth = round(worth * reporting / amount)
    return worth >= rules.major_project_minor
