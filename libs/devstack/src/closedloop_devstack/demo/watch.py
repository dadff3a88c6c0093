"""The time of the story, as the simulated outside reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

CHINA = ZoneInfo("Asia/Shanghai")
# A Monday; the platform is started a little before.
START = datetime(2026, 1, 5, 9, 0, tzinfo=CHINA)
OPENING = START - timedelta(minutes=30)


class Watch:
    """Runs like the machine's clock, shifted. Safe to read from any thread."""

    def __init__(self) -> None:
        self._offset = timedelta(0)
        self.set(OPENING)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def set(self, moment: datetime) -> None:
        self._offset = moment - datetime.now(UTC)


WEEKDAYS = {
    "zh": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}


def local(moment: datetime, language: str = "en") -> str:
    """As people of the company read it: "01-05 Mon 09:00", "01-05 周一 09:00"."""
    here = moment.astimezone(CHINA)
    return f"{here:%m-%d} {WEEKDAYS[language][here.weekday()]} {here:%H:%M}"
