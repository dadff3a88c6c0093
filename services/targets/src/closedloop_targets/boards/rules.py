"""How far a holder is, and which light that is (S10, S11, S13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, Protocol, TypeVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets.aggregation import Manner

Light = Literal["none", "blue", "yellow", "red"]
LIGHTS: tuple[Light, ...] = ("none", "blue", "yellow", "red")


class BoardRules(Rules):
    """Lights by how far done lags behind what the weeks so far asked for, and when snapshots are taken."""

    rulebook: ClassVar[str] = "targets.boards"

    blue_beyond: float = Field(default=0.05, ge=0, le=1)
    yellow_beyond: float = Field(default=0.10, ge=0, le=1)
    red_beyond: float = Field(default=0.20, ge=0, le=1)
    # So many weeks in a row under the weekly target are red, whatever the deviation (S13).
    red_after_weeks: int = Field(default=2, ge=1, le=52)
    # The hour of the company's day at which the boards of the day are taken.
    snapshot_hour: int = Field(default=6, ge=0, le=23)
    # ISO weekday on which teams are ranked: 1 is Monday.
    ranking_weekday: int = Field(default=1, ge=1, le=7)
    # How long a live ranking may stay in Redis while nothing changes; 0: it is always made anew.
    live_seconds: int = Field(default=600, ge=0, le=86400)
    ranked_kinds: tuple[str, ...] = Field(default=("team", "area", "region"), min_length=1)
    # Metrics of which snapshots are kept; the catalogue's main one when empty.
    metrics: tuple[str, ...] = ()
    # Grades that make a key customer, and days without movement after which one is stale (S12).
    key_grades: tuple[str, ...] = Field(default=("A",), min_length=1)
    stale_after_days: int = Field(default=14, ge=1, le=366)
    remind_every_days: int = Field(default=7, ge=1, le=366)
    # Of that reminder.
    stale_light: Light = "yellow"

    def model_post_init(self, context: object, /) -> None:
        if not self.blue_beyond <= self.yellow_beyond <= self.red_beyond:
            raise ValueError("blue comes before yellow, and yellow before red")


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one holder in one period; amounts in minor units or millionths. `expected` is what the weeks so far asked for, of
    a mean what is asked of every one of them; `done` is None where nothing was measured of what does not add up."""

    holder_id: str
    unit_id: str
    target_id: str
    currency: str
    target: int | None
    done: int | None
    expected: int
    weeks_under: int
    lower_is_better: bool = False

    @property
    def seen(self) -> bool:
        """Whether there is anything to show."""
        return self.target is not None or bool(self.done)

    @property
    def completion(self) -> float | None:
        return self._attained(self.target)

    @property
    def reached(self) -> float | None:
        """Of what was asked for by now."""
        return self._attained(self.expected)

    @property
    def deviation(self) -> float:
        """Off what was asked for by now, less than nothing below it, whichever side is the better one."""
        return self.done / self.expected - 1 if self.expected and self.done is not None else 0.0

    def _attained(self, asked: int | None) -> float | None:
        return Manner(lower_is_better=self.lower_is_better).attained(self.done, asked)

    def light(self, rules: BoardRules) -> Light:
        if self.weeks_under >= rules.red_after_weeks:
            return "red"
        if self.done is None:
            return "none"
        # In decimals: five percent behind is exactly five percent.
        steps = (Decimal(str(step)) for step in (rules.blue_beyond, rules.yellow_beyond, rules.red_beyond))
        short = Manner(lower_is_better=self.lower_is_better).short(self.done, self.expected)
        return LIGHTS[sum(short > step * self.expected for step in steps)]


class Completed(Protocol):
    @property
    def completion(self) -> float | None: ...


Row = TypeVar("Row", bound=Completed)


def ranked(rows: Sequence[Row]) -> list[tuple[int, Row]]:
    """By completion, the highest first; equal completion shares a rank, none at all comes last."""
    ordered = sorted(rows, key=lambda row: -1.0 if row.completion is None else row.completion, reverse=True)
    found: list[tuple[int, Row]] = []
    for position, row in enumerate(ordered, 1):
        tied = bool(found) and found[-1][1].completion == row.completion
        found.append((found[-1][0] if tied else position, row))
    return found
