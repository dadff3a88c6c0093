"""When an agreed date is reminded of, on the owner's wall clock (S26)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules

NoticeKind = Literal["day_before", "that_morning"]


class ReminderRules(Rules):
    """Hours are of the zone of who is reminded, at the time they are."""

    rulebook: ClassVar[str] = "customers.reminders"

    day_before_at: time = time(16)
    that_morning_at: time = time(8, 30)
    # A talk agreed for an earlier hour is told of so long before it.
    ahead_minutes: int = Field(default=60, ge=0, le=1440)
    # Words of integrations.templates.
    template: str = Field(default="reminder", min_length=1, max_length=100)


@dataclass(frozen=True, slots=True)
class Agreed:
    """A day, perhaps an hour, and the zone whose clocks show them, wherever who is reminded of it may be by then."""

    day: date
    hour: time | None
    zone: str

    @property
    def over(self) -> datetime:
        """When the day has gone by."""
        return moment(self.day + timedelta(days=1), time(), ZoneInfo(self.zone))

    @property
    def middle(self) -> datetime:
        """The agreed moment, or the middle of the day: in every zone the day shown then is the one to be reminded of."""
        begins = moment(self.day, time(), ZoneInfo(self.zone))
        return begins + (self.over - begins) / 2 if self.hour is None else self.latest

    @property
    def latest(self) -> datetime:
        """From then on a notice is worth nothing: the agreed moment, or the end of the day."""
        return self.over if self.hour is None else moment(self.day, self.hour, ZoneInfo(self.zone))


@dataclass(frozen=True, slots=True)
class Notice:
    """`skip_reason` is empty unless it will never be sent."""

    kind: str
    plan_at: datetime
    sent_at: datetime | None = None
    skip_reason: str = ""


def moment(day: date, hour: time, zone: ZoneInfo) -> datetime:
    """When the zone's clocks show it, in UTC: the first of two such moments; where the clocks skip it, the first moment
    after the gap."""
    wall = datetime.combine(day, hour, zone)
    at = wall.astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return at
    # Read with the offset that ends and with the one that begins, the wall time lies on either side of the change.
    early = wall.replace(fold=1).astimezone(UTC)
    ending, seconds = wall.utcoffset(), int((at - early).total_seconds())

    def changed(second: int) -> bool:
        return (early + timedelta(seconds=second)).astimezone(zone).utcoffset() != ending

    return early + timedelta(seconds=bisect_left(range(seconds), True, key=changed))


def planned(agreed: Agreed, zone: ZoneInfo, now: datetime, rules: ReminderRules) -> list[Notice]:
    """The notices of an agreed day on the clocks of `zone`, where who is reminded is; what lies behind us already is not
    sent."""
    day = agreed.middle.astimezone(zone).date()
    before = moment(day - timedelta(days=1), rules.day_before_at, zone)
    morning = moment(day, rules.that_morning_at, zone)
    if agreed.hour is not None:
        morning = min(morning, agreed.latest - timedelta(minutes=rules.ahead_minutes))
    plans: dict[NoticeKind, datetime] = {"day_before": min(before, morning), "that_morning": morning}
    return [Notice(kind, at, skip_reason="" if at >= now else "made_too_late") for kind, at in plans.items()]


def timely(kind: str, agreed: Agreed, zone: ZoneInfo, now: datetime, rules: ReminderRules) -> bool:
    """Whether a notice that rings now, perhaps after we were away, still says something that the next one does not."""
    if kind == "day_before":
        return now < planned(agreed, zone, now, rules)[1].plan_at
    return now < agreed.latest


def checked(agreed: Agreed, now: datetime) -> Agreed:
    """Raises InvalidArgument DATE_IN_PAST."""
    if agreed.latest <= now:
        raise errors.InvalidArgument("DATE_IN_PAST", "an agreed talk lies ahead", {"agreed_date": "in the past"})
    return agreed


def zone_of(name: str) -> str:
    """Raises InvalidArgument UNKNOWN_TIME_ZONE."""
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:
        raise errors.InvalidArgument(
            "UNKNOWN_TIME_ZONE", f"{name!r} is no IANA time zone", {"time_zone": "unknown"}
        ) from error
