"""What one currency is worth in another on a day: direct, inverse or across a third (U16). Amounts never float."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.currency import coins
from closedloop_chassis.data.transaction import Reader, Transaction

# Every rate of a kind that held on some day of a span: the one before it and those that began within.
HELD = """
SELECT base, quote, kind, start_date, rate, provenance FROM rate
 WHERE kind = %(kind)s AND start_date <= %(until)s
   AND (start_date > %(since)s OR start_date = (
        SELECT max(r.start_date) FROM rate r
         WHERE (r.base, r.quote, r.kind) = (rate.base, rate.quote, rate.kind) AND r.start_date <= %(since)s))
 ORDER BY base, quote, start_date
"""


@dataclass(frozen=True, slots=True)
class Rate:
    base: str
    quote: str
    kind: str
    start_date: date
    rate: Decimal
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One rate used, `inverse` where it was turned round."""

    rate: Rate
    inverse: bool

    @property
    def factor(self) -> Fraction:
        return 1 / Fraction(self.rate.rate) if self.inverse else Fraction(self.rate.rate)


class Rates:
    """The rates of one kind over a span of days. `hub` is the currency a cross rate goes through first, the company's."""

    def __init__(self, rates: Sequence[Rate], hub: str) -> None:
        self._by_pair: dict[tuple[str, str], list[Rate]] = {}
        for one in rates:
            self._by_pair.setdefault((one.base, one.quote), []).append(one)
        currencies = sorted({code for pair in self._by_pair for code in pair})
        self._hubs = [hub, *(code for code in currencies if code != hub)]

    def way(self, source: str, target: str, day: date) -> list[Step] | None:
        """None where no rate leads there."""
        if source == target:
            return []
        if (direct := self._step(source, target, day)) is not None:
            return [direct]
        for hub in self._hubs:
            first, second = self._step(source, hub, day), self._step(hub, target, day)
            if first is not None and second is not None:
                return [first, second]
        return None

    def convert(self, minor: int, source: str, target: str, day: date) -> int:
        """In the target's smallest coin, halves away from zero. Raises FailedPrecondition RATE_NOT_FOUND."""
        factor = self.factor(source, target, day)
        if factor is None:
            raise errors.FailedPrecondition("RATE_NOT_FOUND", f"no rate is known from {source} to {target} on {day}")
        return rounded(minor * factor)

    def factor(self, source: str, target: str, day: date) -> Fraction | None:
        """What one smallest coin of the source is in the target's; None where no rate leads there."""
        way = self.way(source, target, day)
        if way is None:
            return None
        exact = Fraction(coins(target), coins(source))
        for step in way:
            exact *= step.factor
        return exact

    def _step(self, source: str, target: str, day: date) -> Step | None:
        """The newer of the direct and the turned one; direct on the same day."""
        direct, turned = self._on(source, target, day), self._on(target, source, day)
        if direct is not None and (turned is None or direct.start_date >= turned.start_date):
            return Step(direct, inverse=False)
        return Step(turned, inverse=True) if turned is not None else None

    def _on(self, base: str, quote: str, day: date) -> Rate | None:
        held = [one for one in self._by_pair.get((base, quote), ()) if one.start_date <= day]
        return held[-1] if held else None


def rounded(exact: Fraction) -> int:
    sign = -1 if exact < 0 else 1
    return sign * int(abs(exact) + Fraction(1, 2))


async def held(reader: Reader | Transaction, hub: str, days: Collection[date], kind: str = "spot") -> Rates:
    """Rates that held on these days; one round trip, none without a day."""
    if not days:
        return Rates([], hub)
    params = {"kind": kind, "since": min(days), "until": max(days)}
    return Rates(await reader.all(HELD, params, into=Rate), hub)
