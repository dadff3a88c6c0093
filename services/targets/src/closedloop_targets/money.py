"""Money shown in another currency than the books', at the rate of the day on which it is looked at (U16)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from closedloop.targets.v1.metrics_pb2 import Amount
from closedloop_chassis import protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import amounts
from closedloop_targets.book import rates
from closedloop_targets.book.rates import Rates


@dataclass(frozen=True, slots=True)
class Shown:
    """`currency` empty: as it is kept."""

    currency: str
    day: date
    rates: Rates

    def amount(self, minor: int, currency: str) -> Amount:
        if not self.currency or not currency:
            return amounts.amount(minor, currency)
        return amounts.amount(self.rates.convert(minor, currency, self.currency, self.day), self.currency)

    def turn(self, given: Amount) -> None:
        """In place; plain numbers stay."""
        if given.HasField("money"):
            minor = protos.minor_units(given.money)
            given.CopyFrom(self.amount(minor, given.money.currency_code))


async def shown(work: Work, reader: Reader | Transaction, currency: str) -> Shown:
    """Raises FailedPrecondition RATE_NOT_FOUND where no rate leads from the books' currency there; a round trip at most."""
    base, today = work.home.currency, work.home.today()
    if currency in ("", base):
        return Shown("", today, Rates([], base))
    known = await rates.held(reader, base, [today])
    known.convert(0, base, currency, today)
    return Shown(currency, today, known)
