"""What a plan's money is in the books', by the plan rate of its first day (U16)."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets.book import rates
from closedloop_targets.book.model import Plan

# Far beyond the last coin of any company.
DIGITS = Context(prec=40)
SET = "UPDATE plan SET book_rate = %(rate)s, book_currency = %(currency)s WHERE id = %(id)s"


async def rate(work: Work, reader: Reader | Transaction, plan: Plan) -> Fraction | None:
    """One of its smallest coins in the books'; the spot rate where no plan rate is kept, None where neither is. Two round
    trips at most, none for a plan in the company's money."""
    base = work.home.currency
    if plan.currency == base:
        return Fraction(1)
    for kind in ("plan", "spot"):
        held = await rates.held(reader, base, [plan.start_date], kind)
        if (factor := held.factor(plan.currency, base, plan.start_date)) is not None:
            return factor
    return None


async def book(work: Work, plan: Plan) -> None:
    """Fixes the rate for a version that is published: a rate brought later counts with the next one."""
    factor = await rate(work, work.tx, plan)
    if factor is not None:
        exact = DIGITS.divide(Decimal(factor.numerator), Decimal(factor.denominator))
        currency = "" if factor == 1 and plan.currency == work.home.currency else work.home.currency
        work.tx.do(SET, {"id": plan.id, "rate": exact, "currency": currency})
