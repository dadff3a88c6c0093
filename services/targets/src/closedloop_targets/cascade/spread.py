"""A target over time: every grain splits the target's own period by itself, and sums to it exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from fractions import Fraction

from closedloop_targets.cascade.apportion import Proportions, integers
from closedloop_targets.periods.rules import FiscalCalendar, Grain, Period, split


class Spreader:
    """`is_workday(day, unit_id)` says which days count; `shape` replaces them by weights of days where it is given."""

    def __init__(
        self,
        calendar: FiscalCalendar,
        is_workday: Callable[[date, str], bool],
        shape: Mapping[date, Fraction] | None = None,
    ) -> None:
        self._calendar = calendar
        self._is_workday = is_workday
        self._shape = shape
        self._weighed: dict[tuple[str, Grain, str], tuple[list[Period], Proportions]] = {}

    def spread(
        self, period: Period, grains: Sequence[Grain], total: int, step: int, business_calendar: str, unit_id: str
    ) -> Iterable[tuple[list[Period], list[int]]]:
        """Grain by grain its parts and their amounts. Units of one business calendar share weights and parts."""
        for grain in grains:
            key = (period.code, grain, business_calendar)
            if key not in self._weighed:
                parts = split(period, grain, self._calendar)
                self._weighed[key] = (parts, Proportions(self._weights(period, parts, unit_id)))
            parts, weights = self._weighed[key]
            yield parts, weights.split(total, step)

    def _weights(self, period: Period, parts: Sequence[Period], unit_id: str) -> list[int]:
        days = self._days(period, unit_id)
        return integers([sum((days[day] for day in part.days()), Fraction(0)) for part in parts])

    def _days(self, period: Period, unit_id: str) -> dict[date, Fraction]:
        if self._shape is not None:
            found = {day: self._shape.get(day, Fraction(0)) for day in period.days()}
        else:
            found = {day: Fraction(self._is_workday(day, unit_id)) for day in period.days()}
        # A span without a single day that counts is shared by all its days.
        return found if any(found.values()) else dict.fromkeys(found, Fraction(1))


def by_period(weights: Iterable[tuple[Period, Fraction]], is_workday: Callable[[date], bool]) -> dict[date, Fraction]:
    """The shape of given weights of periods: inside a period its working days share its weight, or all its days."""
    shape: dict[date, Fraction] = {}
    for period, weight in weights:
        worked = [day for day in period.days() if is_workday(day)] or list(period.days())
        shape |= {day: weight / len(worked) for day in worked}
    return shape
