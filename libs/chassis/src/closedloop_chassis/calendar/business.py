"""Arithmetic with working time: pure functions over a calendar that is rulebook data.

Mainland China's public holidays and make-up workdays come from the `chinesecalendar` package, year by year as the State
Council announces them. A year it does not know is an error, not a guess, unless the rulebook names that year's days.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import ClassVar
from zoneinfo import ZoneInfo

import chinese_calendar
from pydantic import Field, field_validator

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules, TimeZone

PLAIN = "plain"
DAY = timedelta(days=1)
# Days whose working hours a calendar remembers; the next one begins anew.
MOST_DAYS = 4096
Stretch = tuple[datetime, datetime]


class Hours(Part):
    """One stretch of working time of a day."""

    start: time
    end: time

    def model_post_init(self, context: object, /) -> None:
        if self.start >= self.end:
            raise ValueError("a stretch of working time ends after it starts")


class AnnouncedYear(Part):
    """A year as it was announced, for years the holiday package does not know yet: Saturdays and Sundays are free besides."""

    holidays: frozenset[date] = frozenset()
    # Weekend days that are worked (调休).
    makeup_workdays: frozenset[date] = frozenset()


class BusinessCalendar(Part):
    """When people work. `country` CN takes the official table; an empty one knows weekends only."""

    country: str = Field(default="CN", pattern="^(CN)?$")
    time_zone: TimeZone = "Asia/Shanghai"
    hours: tuple[Hours, ...] = Field(
        default=(Hours(start=time(9), end=time(12)), Hours(start=time(13), end=time(18))), min_length=1, max_length=6
    )
    years: dict[int, AnnouncedYear] = {}
    # The company's own: free days and worked days that override everything else.
    days_off: frozenset[date] = frozenset()
    days_on: frozenset[date] = frozenset()

    @field_validator("hours")
    @classmethod
    def _in_order(cls, value: tuple[Hours, ...]) -> tuple[Hours, ...]:
        if any(a.end > b.start for a, b in pairwise(value)):
            raise ValueError("stretches of working time follow each other")
        return value

    @cached_property
    def day_length(self) -> timedelta:
        return sum((_length(hours) for hours in self.hours), timedelta())

    @cached_property
    def worked(self) -> dict[date, list[Stretch]]:
        """Working time by day, as far as somebody has asked: every clock that starts walks over the same few days."""
        return {}


class CalendarRules(Rules):
    """Calendars by name. An org unit names the one it works by; "business" is for all that name none."""

    rulebook: ClassVar[str] = "platform.calendars"

    calendars: dict[str, BusinessCalendar] = {"business": BusinessCalendar()}

    def model_post_init(self, context: object, /) -> None:
        if "business" not in self.calendars or PLAIN in self.calendars:
            raise ValueError('a calendar "business" must be there, and "plain" is taken')


def _length(hours: Hours) -> timedelta:
    return datetime.combine(date.min, hours.end) - datetime.combine(date.min, hours.start)


@lru_cache(maxsize=4096)
def _official(day: date) -> bool:
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError as error:
        raise errors.FailedPrecondition(
            "CALENDAR_YEAR_UNKNOWN",
            f"the holidays of {day.year} are not known; publish them in platform.calendars under years.{day.year}",
            year=day.year,
        ) from error


def is_workday(calendar: BusinessCalendar, day: date) -> bool:
    """Raises FailedPrecondition CALENDAR_YEAR_UNKNOWN for a year nobody has announced."""
    if day in calendar.days_off:
        return False
    if day in calendar.days_on:
        return True
    if day.year in calendar.years:
        year = calendar.years[day.year]
        return day in year.makeup_workdays or (day.weekday() < 5 and day not in year.holidays)
    return _official(day) if calendar.country == "CN" else day.weekday() < 5


def known_until(calendar: BusinessCalendar, day: date) -> date | None:
    """The last day of the years, from that day's on, that somebody has announced; None where none need be. In the past where
    that day's own is not."""
    if calendar.country != "CN":
        return None
    year = day.year
    while year in calendar.years or _is_official(year):
        year += 1
    return date(year - 1, 12, 31)


def _is_official(year: int) -> bool:
    try:
        _official(date(year, 1, 1))
    except errors.FailedPrecondition:
        return False
    return True


def _stretches(calendar: BusinessCalendar, day: date) -> list[Stretch]:
    known = calendar.worked
    if day not in known:
        if len(known) >= MOST_DAYS:
            known.clear()
        known[day] = _worked(calendar, day)
    return known[day]


def _worked(calendar: BusinessCalendar, day: date) -> list[Stretch]:
    if not is_workday(calendar, day):
        return []
    zone = ZoneInfo(calendar.time_zone)
    return [
        (
            datetime.combine(day, hours.start, zone).astimezone(UTC),
            datetime.combine(day, hours.end, zone).astimezone(UTC),
        )
        for hours in calendar.hours
    ]


def add(calendar: BusinessCalendar, start: datetime, span: timedelta) -> datetime:
    """The moment at which `span` of working time has passed since `start`; zero span gives the next working moment."""
    day = start.astimezone(ZoneInfo(calendar.time_zone)).date()
    left = span
    while True:
        for begins, ends in _stretches(calendar, day):
            begins = max(begins, start)
            if begins < ends and left <= ends - begins:
                return begins + left
            left -= max(ends - begins, timedelta())
        day += DAY


def between(calendar: BusinessCalendar, start: datetime, end: datetime) -> timedelta:
    """Working time from `start` to `end`; zero when `end` is not after `start`."""
    zone = ZoneInfo(calendar.time_zone)
    day, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    total = timedelta()
    while day <= last:
        for begins, ends in _stretches(calendar, day):
            total += max(min(ends, end) - max(begins, start), timedelta())
        day += DAY
    return total


def rest_of(calendar: BusinessCalendar, day: date, since: datetime) -> timedelta:
    """Working time of the day from `since` on."""
    return sum((ends - max(begins, since) for begins, ends in _stretches(calendar, day) if ends > since), timedelta())


class Calendars:
    """The calendars in force, resolved for an org unit."""

    def __init__(self, rules: CalendarRules, org: OrgSnapshot) -> None:
        self._rules = rules
        self._org = org

    def named(self, name: str, unit_id: str = "") -> BusinessCalendar:
        """For "business" the calendar the unit works by. Raises FailedPrecondition CALENDAR_UNKNOWN."""
        unit = self._org.unit(unit_id)
        if name == "business" and unit is not None and unit.calendar:
            name = unit.calendar
        if name not in self._rules.calendars:
            raise errors.FailedPrecondition("CALENDAR_UNKNOWN", f"platform.calendars has no calendar {name}")
        return self._rules.calendars[name]

    def add(self, start: datetime, span: timedelta, calendar: str, unit_id: str = "") -> datetime:
        return start + span if calendar == PLAIN else add(self.named(calendar, unit_id), start, span)

    def between(self, start: datetime, end: datetime, calendar: str, unit_id: str = "") -> timedelta:
        if calendar == PLAIN:
            return max(end - start, timedelta())
        return between(self.named(calendar, unit_id), start, end)

    def is_workday(self, day: date, calendar: str, unit_id: str = "") -> bool:
        return calendar == PLAIN or is_workday(self.named(calendar, unit_id), day)

    def ahead(self, now: datetime) -> dict[str, timedelta]:
        """By calendar that ends somewhere, for how long from now on its working time is known; less than nothing where it is
        over."""
        left: dict[str, timedelta] = {}
        for name, calendar in self._rules.calendars.items():
            zone = ZoneInfo(calendar.time_zone)
            last = known_until(calendar, now.astimezone(zone).date())
            if last is not None:
                left[name] = datetime.combine(last + DAY, time.min, zone) - now
        return left

    def due(self, setting: ClockSetting, start: datetime, unit_id: str = "") -> datetime:
        """When a clock of the setting that starts then runs out."""
        return self.add(start, self.budget(setting, unit_id), setting.calendar, unit_id)

    def budget(self, setting: ClockSetting, unit_id: str = "") -> timedelta:
        """The setting's hours and days as time of its calendar."""
        if setting.calendar == PLAIN:
            return setting.budget(DAY)
        return setting.budget(self.named(setting.calendar, unit_id).day_length)
