"""The base of every rulebook: a pydantic model with a name."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from closedloop_chassis.org.snapshot import OrgSnapshot


class Rules(BaseModel):
    """A rulebook. Its defaults are version 0; `rulebook` is its name, "<service>.<topic>"."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    rulebook: ClassVar[str]

    def faults(self) -> dict[str, str]:
        """What is not published any more, by field; where it was once, it holds."""
        return {}

    def misfits(self, org: OrgSnapshot) -> dict[str, str]:
        """What these rules ask of the organisation that it does not have, by field; such rules are not published."""
        return {}


class Part(BaseModel):
    """A typed part of a rulebook."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


# A clock of more than ten years is a slip of the pen; one of nothing is over before it is written down.
LONGEST = timedelta(days=3660)
SHORTEST = timedelta(milliseconds=1)


def _known_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no IANA time zone") from error


TimeZone = Annotated[str, AfterValidator(_known_zone)]


class ClockSetting(Part):
    """How long a clock runs and on which calendar.

    On a business calendar a day is that calendar's working day (eight hours by default); on "plain" it is 24 hours.
    """

    hours: float = Field(default=0, ge=0, le=24 * 366)
    days: float = Field(default=0, ge=0, le=LONGEST.days)
    calendar: str = Field(default="plain", max_length=64)
    # Share of the budget after which it warns; null: it does not.
    warn_at: float | None = Field(default=None, gt=0, lt=1)

    def model_post_init(self, context: Any, /) -> None:
        if self.hours == 0 and self.days == 0:
            raise ValueError("a clock needs hours or days")

    @classmethod
    def timer(cls, span: timedelta) -> ClockSetting:
        """So long on the plain clock, a moment at the least. Raises ValueError beyond LONGEST."""
        return cls(days=max(span, SHORTEST) / timedelta(days=1))

    def shortened(self, left: timedelta) -> ClockSetting:
        """The same clock with only so much of its calendar's time left, a moment at the least."""
        return self.model_copy(update={"hours": max(left, SHORTEST) / timedelta(hours=1), "days": 0})

    def budget(self, day_length: timedelta) -> timedelta:
        return timedelta(hours=self.hours) + self.days * day_length
