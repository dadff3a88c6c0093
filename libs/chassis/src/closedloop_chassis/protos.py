"""Between protobuf's common types and Python's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import overload

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.interval_pb2 import Interval
from google.type.money_pb2 import Money

from closedloop_chassis import errors
from closedloop_chassis.currency import CODES, coins

NANOS = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Python's own time ends at the years 1 and 9999; nobody's arithmetic over days and time zones shall fall off its edge.
YEARS = range(1900, 9000)


@overload
def timestamp(instant: datetime) -> Timestamp: ...
@overload
def timestamp(instant: datetime | None) -> Timestamp | None: ...
def timestamp(instant: datetime | None) -> Timestamp | None:
    """None stays None, which leaves the field unset."""
    if instant is None:
        return None
    # What Timestamp.FromDatetime does, at a third of its price; answers carry many of them.
    since = instant - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def instant(message: Timestamp, field: str = "time") -> datetime:
    """Raises InvalidArgument outside the years 1900 to 8999."""
    try:
        found = message.ToDatetime(tzinfo=UTC)
        if found.year not in YEARS:
            raise ValueError(f"year {found.year}")
    except (ValueError, OverflowError) as error:
        raise errors.InvalidArgument(
            "TIME_OUT_OF_RANGE", "not a moment of the years 1900 to 8999", {field: str(error)}
        ) from error
    return found


def bounds(interval: Interval) -> tuple[datetime | None, datetime | None]:
    """Begin and end, None where it is open. Raises what `instant` raises."""
    return (
        instant(interval.start_time) if interval.HasField("start_time") else None,
        instant(interval.end_time) if interval.HasField("end_time") else None,
    )


def date_proto(day: date | None) -> Date | None:
    return None if day is None else Date(year=day.year, month=day.month, day=day.day)


def day(message: Date, field: str = "date") -> date:
    """Raises InvalidArgument for what is no day of the calendar of the years 1900 to 8999."""
    try:
        found = date(message.year, message.month, message.day)
        if found.year not in YEARS:
            raise ValueError(f"year {found.year}")
    except ValueError as error:
        raise errors.InvalidArgument("NOT_A_DAY", "not a day of the calendar", {field: str(error)}) from error
    return found


def instant_of(message: Message, field: str) -> datetime | None:
    """The moment in that field; None where it is not set. Raises what `instant` raises."""
    return instant(getattr(message, field), field) if message.HasField(field) else None


def day_of(message: Message, field: str) -> date | None:
    """The day in that field; None where it is not set. Raises what `day` raises."""
    return day(getattr(message, field), field) if message.HasField(field) else None


def duration(span: timedelta | None) -> Duration | None:
    if span is None:
        return None
    result = Duration()
    result.FromTimedelta(span)
    return result


def span(message: Duration) -> timedelta:
    return message.ToTimedelta()


def money(minor: int, currency: str) -> Money:
    """`minor` units of the currency (fen, cents) as google.type.Money."""
    scale = coins(currency)
    units, rest = divmod(abs(minor), scale)
    sign = -1 if minor < 0 else 1
    return Money(currency_code=currency, units=sign * units, nanos=sign * rest * (NANOS // scale))


def minor_units(message: Money, field: str = "amount") -> int:
    """Raises InvalidArgument for a currency that is no ISO code, fractions below the smallest coin, or mixed signs."""
    code = message.currency_code
    if code not in CODES:
        raise errors.InvalidArgument("NOT_MONEY", "the currency is no ISO 4217 code", {f"{field}.currency_code": code})
    scale = coins(code)
    minor, rest = divmod(message.nanos, NANOS // scale)
    mixed = message.units * message.nanos < 0
    if rest or mixed or not -NANOS < message.nanos < NANOS or abs(message.units) > 10**15:
        raise errors.InvalidArgument(
            "NOT_MONEY", f"not an amount of {code}", {f"{field}.nanos": "no fraction of the smallest coin, one sign"}
        )
    return int(message.units) * scale + int(minor)
