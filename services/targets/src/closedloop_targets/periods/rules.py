"""Codes and bounds of periods.

"2026", "2026-H1", "2026-Q1", "2026-M03", "2026-F07", "2026-W05", a day "2026-03-15", any span "2026-03-15/2026-04-20".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules

Grain = Literal["year", "half", "quarter", "month", "fortnight", "week", "day", "custom"]

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
MONTHS: dict[str, int] = {"half": 6, "quarter": 3, "month": 1}
LETTERS: dict[str, Grain] = {"H": "half", "Q": "quarter", "M": "month", "F": "fortnight", "W": "week"}
CODE = re.compile(r"(\d{4})(?:-([HQMFW])(\d{1,2}))?")
SPAN = re.compile(r"(\d{4}-\d{2}-\d{2})(?:/(\d{4}-\d{2}-\d{2}))?")


class FiscalCalendar(Rules):
    """When the year begins and how its weeks are counted.

    Week 1 of a year is the one that holds the year's fourth day (ISO 8601 for a calendar year of Monday weeks), and a
    week belongs to one year alone; fortnights are pairs of weeks, the 53rd is one by itself.
    """

    rulebook: ClassVar[str] = "targets.fiscal_calendar"

    first_month: int = Field(default=1, ge=1, le=12)
    # A year that does not begin in January is named after the calendar year of its first or last day.
    named_after: Literal["first_day", "last_day"] = "last_day"
    # 1 Monday … 7 Sunday.
    week_start: int = Field(default=1, ge=1, le=7)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both included."""

    code: str
    grain: Grain
    start: date
    end: date

    def covers(self, other: Period) -> bool:
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: Period) -> bool:
        return self.start <= other.end and other.start <= self.end

    def days(self) -> Iterator[date]:
        return (self.start + DAY * offset for offset in range((self.end - self.start).days + 1))


def parse(code: str, calendar: FiscalCalendar) -> Period:
    """Raises InvalidArgument UNKNOWN_PERIOD."""
    found = _coded(code, calendar) or _spanned(code)
    if found is None:
        raise errors.InvalidArgument(
            "UNKNOWN_PERIOD", f"{code!r} names no period", {"period": 'say "2026-Q1" or "2026-03-15"'}
        )
    return found


@lru_cache(maxsize=4096)
def containing(day: date, grain: Grain, calendar: FiscalCalendar) -> Period:
    """The period of the grain that holds the day."""
    if grain in ("day", "custom"):
        return Period(day.isoformat(), "day", day, day)
    if grain in ("fortnight", "week"):
        year = next(y for y in (day.year + 1, day.year, day.year - 1) if _first_week(y, calendar) <= day)
        number = (day - _first_week(year, calendar)) // WEEK + 1
        return (
            _numbered(year, "W", number, calendar)
            if grain == "week"
            else _numbered(year, "F", (number + 1) // 2, calendar)
        )
    year = next(y for y in (day.year + 1, day.year, day.year - 1) if _year_start(y, calendar) <= day)
    if grain == "year":
        return _year(year, calendar)
    start = _year_start(year, calendar)
    months = (day.year - start.year) * 12 + day.month - start.month
    return _numbered(year, grain[0].upper(), months // MONTHS[grain] + 1, calendar)


def split(period: Period, grain: Grain, calendar: FiscalCalendar) -> list[Period]:
    """The periods of the grain inside, in order, without gap or overlap, cut at the edges."""
    if grain == "custom":
        return [period]
    parts: list[Period] = []
    day = period.start
    while day <= period.end:
        whole = containing(day, grain, calendar)
        parts.append(Period(whole.code, whole.grain, day, min(whole.end, period.end)))
        day = parts[-1].end + DAY
    return parts


def year_before(period: Period, calendar: FiscalCalendar) -> Period:
    """The same period one year earlier; week 53 has week 52 before it."""
    match = CODE.fullmatch(period.code)
    if match is None:
        return _span(_back(period.start), _back(period.end))
    year, letter, number = int(match[1]) - 1, match[2], int(match[3] or 0)
    if not letter:
        return _year(year, calendar)
    while True:
        try:
            return _numbered(year, letter, number, calendar)
        except errors.InvalidArgument:
            number -= 1


def trailing_year(period: Period) -> Period:
    """The twelve months that end the day before."""
    return _span(_back(period.start), period.start - DAY)


def _coded(code: str, calendar: FiscalCalendar) -> Period | None:
    match = CODE.fullmatch(code)
    if match is None or not 1901 <= int(match[1]) <= 2999:
        return None
    if match[2] is None:
        return _year(int(match[1]), calendar)
    if len(match[3]) != (1 if match[2] in "HQ" else 2):
        return None
    return _numbered(int(match[1]), match[2], int(match[3]), calendar)


def _spanned(code: str) -> Period | None:
    match = SPAN.fullmatch(code)
    try:
        start, end = (date.fromisoformat(part) for part in (match[1], match[2] or match[1])) if match else (None, None)
    except ValueError:
        return None
    if start is None or end is None or end < start:
        return None
    return _span(start, end)


def _span(start: date, end: date) -> Period:
    if start == end:
        return Period(start.isoformat(), "day", start, end)
    return Period(f"{start}/{end}", "custom", start, end)


def _year(year: int, calendar: FiscalCalendar) -> Period:
    return Period(str(year), "year", _year_start(year, calendar), _year_start(year + 1, calendar) - DAY)


def _numbered(year: int, letter: str, number: int, calendar: FiscalCalendar) -> Period:
    grain = LETTERS[letter]
    if grain in ("week", "fortnight"):
        length = WEEK if grain == "week" else 2 * WEEK
        start, following = _first_week(year, calendar) + (number - 1) * length, _first_week(year + 1, calendar)
        end = min(start + length, following) - DAY
        inside = number >= 1 and start < following
        code = f"{year}-{letter}{number:02}"
    else:
        months = MONTHS[grain]
        inside = 1 <= number <= 12 // months
        first = _year_start(year, calendar)
        start, end = _plus_months(first, (number - 1) * months), _plus_months(first, number * months) - DAY
        code = f"{year}-{letter}{number:02}" if grain == "month" else f"{year}-{letter}{number}"
    if not inside:
        raise errors.InvalidArgument("UNKNOWN_PERIOD", f"{year} has no {code}", {"period": "out of range"})
    return Period(code, grain, start, end)


def _year_start(year: int, calendar: FiscalCalendar) -> date:
    earlier = calendar.first_month > 1 and calendar.named_after == "last_day"
    return date(year - 1 if earlier else year, calendar.first_month, 1)


@lru_cache(maxsize=512)
def _first_week(year: int, calendar: FiscalCalendar) -> date:
    fourth = _year_start(year, calendar) + 3 * DAY
    return fourth - (fourth.isoweekday() - calendar.week_start) % 7 * DAY


def _plus_months(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return date(day.year + years, month + 1, 1)


def _back(day: date) -> date:
    leap = day.month == 2 and day.day == 29
    return date(day.year - 1, day.month, 28 if leap else day.day)
