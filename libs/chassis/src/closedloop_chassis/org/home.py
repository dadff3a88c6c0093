"""Where the company is at home: the day it is there, the hour, the money it reports in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from closedloop_chassis.org.snapshot import OrgSnapshot, Unit
from closedloop_chassis.rulebook.rules import Rules, TimeZone


class HomeRules(Rules):
    """What holds where neither a unit nor the root of the tree says anything."""

    rulebook: ClassVar[str] = "platform.home"

    calendar: str = Field(default="business", min_length=1, max_length=64)
    time_zone: TimeZone = "Asia/Shanghai"
    currency_code: str = Field(default="CNY", pattern="^[A-Z]{3}$")
    language: str = "zh-CN"
    # When the day begins for what is agreed for a day and no hour.
    morning: time = time(9)


@dataclass(frozen=True, slots=True)
class Home:
    """The org tree and the rulebook, asked at one instant. An empty or unknown unit is the company as a whole."""

    org: OrgSnapshot
    rules: HomeRules
    now: datetime

    @property
    def root(self) -> Unit | None:
        """The company, the top of the tree; None while there is no tree."""
        return next((unit for unit in self.org.children("") if unit.active), None)

    @property
    def currency(self) -> str:
        """What the company reports in."""
        root = self.root
        return (root.currency_code if root is not None else "") or self.rules.currency_code

    def zone(self, unit_id: str = "") -> ZoneInfo:
        unit = self.org.unit(unit_id) or self.root
        return ZoneInfo((unit.time_zone if unit is not None else "") or self.rules.time_zone)

    def day(self, at: datetime, unit_id: str = "") -> date:
        """The calendar day it is there at that instant."""
        return at.astimezone(self.zone(unit_id)).date()

    def today(self, unit_id: str = "") -> date:
        return self.day(self.now, unit_id)

    def moment(self, day: date, hour: time = time(), unit_id: str = "") -> datetime:
        """The instant, in UTC, at which that day's clocks there show `hour`; the day's first one by default."""
        return datetime.combine(day, hour, self.zone(unit_id)).astimezone(UTC)

    def morning(self, day: date, unit_id: str = "") -> datetime:
        """When that day begins to be worked on."""
        return self.moment(day, self.rules.morning, unit_id)
