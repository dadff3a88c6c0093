"""Values of the contracts as people read them, and what people type as values of the contracts."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from rich.text import Text

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1.experiments_pb2 import Estimate
from closedloop_chassis import protos
from closedloop_cli.failures import Usage

LARGEST = Decimal(10**15)
LIGHT = "●"
# An enum of a generated module; its stubs and its runtime disagree about what that is.
Enum = Any

_COLOURS: dict[int, str] = {
    common_pb2.LIGHT_NONE: "green",
    common_pb2.LIGHT_BLUE: "blue",
    common_pb2.LIGHT_YELLOW: "yellow",
    common_pb2.LIGHT_RED: "red",
}
_PERIOD = re.compile(r"(?P<year>\d{4})(-(Q(?P<quarter>[1-4])|(?P<month>\d\d)))?", re.ASCII)
_MONEY = re.compile(r"(?P<number>-?[\d,]*\.?\d+)\s*(?P<currency>[A-Za-z]{3})?")


def when(time: Timestamp) -> str:
    """To the minute, in the zone of this machine; empty for an absent one."""
    if not time.seconds and not time.nanos:
        return ""
    return f"{time.ToDatetime(tzinfo=UTC).astimezone():%Y-%m-%d %H:%M}"


def day(value: Date) -> str:
    return f"{value.year:04}-{value.month:02}-{value.day:02}" if value.year else ""


def money(value: Money) -> str:
    """1,234.50 CNY; empty for an absent one."""
    if not value.currency_code:
        return ""
    number = Decimal(value.units) + Decimal(value.nanos) / protos.NANOS
    return f"{number:,.2f} {value.currency_code}".replace(".00 ", " ")


def amount(value: Any) -> str:
    """Amount of targets: money, or a number."""
    if value.WhichOneof("kind") == "number":
        return f"{Decimal(value.number.value or 0):,}"
    return money(value.money)


def hours(value: Duration) -> str:
    """2.5 h; empty for an absent one."""
    seconds = value.seconds + value.nanos / protos.NANOS
    return f"{seconds / 3600:.1f} h" if seconds else ""


def ratio(value: float) -> str:
    return f"{value:.1%}"


def figure(value: float) -> str:
    """Two digits after the point; of what is less than one, four that say something: a deal of 647 adds 0.001546."""
    return f"{value:,.2f}" if not value or abs(value) >= 1 else f"{value:.4g}"


def estimate(value: Estimate) -> str:
    """0.83 (0.72 .. 0.9 at 95 %, n = 72, wilson); or a question mark, and why it cannot be said."""
    if not value.HasField("value"):
        return f"? ({value.explanation})" if value.explanation else "?"
    unit = "" if value.unit in ("", "1") else f" {value.unit}"
    known = [f"n = {value.sample_size}", value.method]
    if value.HasField("low"):
        known.insert(0, f"{value.low:.3g} .. {value.high:.3g} at {value.confidence_ratio * 100:.4g} %")
    return f"{value.value:.3g}{unit} ({', '.join(known)})"


def light(value: int) -> Text:
    return Text(LIGHT, style=_COLOURS[value]) if value in _COLOURS else Text(" ")


def colour(value: int) -> str:
    """The colour of a bar."""
    return _COLOURS.get(value, "cyan")


def word(enum: Enum, number: int) -> str:
    """OPPORTUNITY_STATE_WON is "won"; empty for UNSPECIFIED."""
    name: str = enum.Name(number)
    return name.removeprefix(_prefix(enum)).lower() if number else ""


def number(enum: Enum, name: str, option: str) -> Any:
    """The enum's value for a word people type. Raises Usage naming the words there are."""
    known = {word(enum, value): value for value in enum.values() if value}
    if name.lower() not in known:
        raise Usage("unknown_word", option=option, word=name, known=", ".join(known))
    return known[name.lower()]


def parse_day(text: str, option: str) -> Date:
    try:
        read = date.fromisoformat(text)
    except ValueError:
        raise Usage("not_a_day", option=option, text=text) from None
    return Date(year=read.year, month=read.month, day=read.day)


def parse_period(text: str, option: str) -> tuple[Date, Date]:
    """First and last day of "2026", "2026-Q1", "2026-01", "2026-01-05" or "2026-01-05..2026-02-04". Raises Usage."""
    first, dots, last = text.partition("..")
    if dots:
        return parse_day(first, option), parse_day(last, option)
    found = _PERIOD.fullmatch(text)
    if found is None:
        return parse_day(text, option), parse_day(text, option)
    year, begin, months = int(found["year"]), 1, 12
    if found["quarter"]:
        begin, months = 3 * int(found["quarter"]) - 2, 3
    elif found["month"]:
        begin, months = int(found["month"]), 1
    if not year or not 1 <= begin <= 12:
        raise Usage("not_a_day", option=option, text=text)
    end = begin + months - 1
    return Date(year=year, month=begin, day=1), Date(year=year, month=end, day=monthrange(year, end)[1])


def parse_time(text: str, option: str) -> Timestamp:
    """ISO 8601; without an offset in the zone of this machine."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Usage("not_a_time", option=option, text=text) from None
    result = Timestamp()
    result.FromDatetime(read.astimezone(UTC))
    return result


def parse_money(text: str, option: str, currency: str = "") -> Money:
    """ "12,500.50 CNY"; `currency` where the text names none. Raises Usage."""
    found = _MONEY.fullmatch(text.strip())
    named = ((found and found["currency"]) or currency).upper()
    if found is None or not named:
        raise Usage("not_money", option=option, text=text)
    try:
        return to_money(Decimal(found["number"].replace(",", "")), named)
    except ValueError:
        raise Usage("not_money", option=option, text=text) from None


def to_money(value: Decimal, currency: str) -> Money:
    """Raises ValueError for what no ledger could hold."""
    if value.copy_abs() >= LARGEST:
        raise ValueError(f"{value} is more money than there is")
    units = int(value)
    return Money(currency_code=currency, units=units, nanos=int((value - units) * protos.NANOS))


def decimal_of(value: Money) -> Decimal:
    return Decimal(value.units) + Decimal(value.nanos) / protos.NANOS


def parse_decimal(text: str) -> Decimal | None:
    """None for what is no number, or one no ledger could hold."""
    try:
        read = Decimal(text.replace(",", ""))
    except InvalidOperation:
        return None
    return read if read.is_finite() and read.copy_abs() < LARGEST else None


def whole(value: Any) -> Any:
    """What came out of a Struct, which knows floating numbers only; 5.0 was written 5."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _prefix(enum: Enum) -> str:
    first: str = enum.Name(0)
    return first.removesuffix("UNSPECIFIED")
