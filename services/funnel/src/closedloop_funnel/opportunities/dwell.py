"""How long deals stand in their stages, for one deal or ten thousand."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from closedloop_chassis.calendar.business import PLAIN, BusinessCalendar, Calendars, is_workday

DAY = timedelta(days=1)


class Dwell:
    """Days by a stage's calendar, up to `now` at the latest; no day is looked up twice."""

    def __init__(self, calendars: Calendars, now: datetime) -> None:
        self._calendars = calendars
        self._now = now
        # By calendar: working days among the last 0, 1, 2... days before today.
        self._workdays: dict[int, list[int]] = {}

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
        parts = self._calendars.between(since, datetime.combine(first + DAY, time(), zone), calendar, unit_id)
        parts += self._calendars.between(datetime.combine(last, time(), zone), until, calendar, unit_id)
        today = self._now.astimezone(zone).date()
        since_first = self._before(business, today, (today - first).days - 1)
        return parts / business.day_length + since_first - self._before(business, today, (today - last).days)

    def _before(self, calendar: BusinessCalendar, today: date, count: int) -> int:
        """Working days among the `count` days before today."""
        counted = self._workdays.setdefault(id(calendar), [0])
        while len(counted) <= count:
            counted.append(counted[-1] + is_workday(calendar, today - len(counted) * DAY))
        return counted[count]
