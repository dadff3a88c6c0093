"""How long deals stand in their stages, for one deal or ten thousand."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from closedloop_chassis.calendar.business import PLAIN, BusinessCalendar, Calendars, between, is_workday, rest_of

DAY = timedelta(days=1)


class Dwell:
    """Days by a stage's calendar, up to `now` at the latest; no day is looked up twice."""

    def __init__(self, calendars: Calendars, now: datetime) -> None:
        self._calendars = calendars
        self._now = now
        # By calendar: working days among the last 0, 1, 2... days before today, and how far today is worked.
        self._workdays: dict[int, list[int]] = {}
        self._worked: dict[int, timedelta] = {}

    def days(self, since: datetime, calendar: str, unit_id: str, until: datetime | None = None) -> float:
        """Working days of the unit's calendar; 24-hour days on "plain". Zero when `since` is not before `until`."""
        until = min(until or self._now, self._now)
        if since >= until:
            return 0.0
        if calendar == PLAIN:
            return (until - since) / DAY
        business = self._calendars.named(calendar, unit_id)
        zone = ZoneInfo(business.time_zone)
        first, last = since.astimezone(zone).date(), until.astimezone(zone).date()
        if first == last:
            return self._calendars.between(since, until, calendar, unit_id) / business.day_length
        parts = rest_of(business, first, since) + self._last_part(business, last, until)
        today = self._now.astimezone(zone).date()
        since_first = self._before(business, today, (today - first).days - 1)
        return parts / business.day_length + since_first - self._before(business, today, (today - last).days)

    def _last_part(self, calendar: BusinessCalendar, last: date, until: datetime) -> timedelta:
        """What is worked of the last day; of open deals that is today until now."""
        known = self._worked.get(id(calendar)) if until == self._now else None
        if known is None:
            begins = datetime.combine(last, time(), ZoneInfo(calendar.time_zone))
            known = between(calendar, begins, until)
            if until == self._now:
                self._worked[id(calendar)] = known
        return known

    def _before(self, calendar: BusinessCalendar, today: date, count: int) -> int:
        """Working days among the `count` days before today."""
        counted = self._workdays.setdefault(id(calendar), [0])
        while len(counted) <= count:
            counted.append(counted[-1] + is_workday(calendar, today - len(counted) * DAY))
        return counted[count]
