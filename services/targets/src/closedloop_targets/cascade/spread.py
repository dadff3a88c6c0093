"""Targets over time: every grain splits a target's own period and sums to it exactly, and who has children gets what they
come to, so that cells add up both ways."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from closedloop_targets.cascade.apportion import Proportions, integers
from closedloop_targets.periods.rules import FiscalCalendar, Grain, Period, split


@dataclass(frozen=True, slots=True)
class Piece:
    """One target: `total` in minor units or millionths, `business_calendar` of its unit, `profile` the name of the shape
    it follows where several are known. What does not add up is asked of every part of its period as it is."""

    id: str
    parent_id: str | None
    period: Period
    total: int
    step: int
    business_calendar: str
    unit_id: str
    profile: str = ""
    adds_up: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """What one child brings to its parent in one grain: first and last days of its cells, and their amounts."""

    starts: Sequence[date]
    end: date
    minors: Sequence[int]


class Spreader:
    """`is_workday(day, unit_id)` says which days count; `shape` replaces them by weights of days where it is given, `shapes`
    for pieces of their profile. A span in which such days weigh nothing goes by its working days."""

    def __init__(
        self,
        calendar: FiscalCalendar,
        is_workday: Callable[[date, str], bool],
        shape: Mapping[date, Fraction] | None = None,
        shapes: Mapping[str, Mapping[date, Fraction]] | None = None,
    ) -> None:
        self._calendar = calendar
        self._is_workday = is_workday
        self._shapes = {"": shape or {}, **(shapes or {})}
        self._parts: dict[tuple[str, Grain], tuple[list[Period], list[date]]] = {}
        # With what places are owed by all that was spread so far.
        self._weighed: dict[tuple[str, Grain, str, str], tuple[Proportions, list[int]]] = {}

    def spread(
        self, period: Period, grains: Sequence[Grain], total: int, step: int, business_calendar: str, unit_id: str
    ) -> Iterable[tuple[list[Period], list[int]]]:
        """Grain by grain its parts and their amounts. Units of one business calendar share weights and parts."""
        for grain in grains:
            parts, _ = self._cut(period, grain)
            yield parts, self._own(Piece("", None, period, total, step, business_calendar, unit_id), grain, total)

    def tree(
        self, pieces: Sequence[Piece], grains: Sequence[Grain], known: Mapping[tuple[str, Grain], Sequence[Part]]
    ) -> Iterator[tuple[str, list[Period], list[int]]]:
        """(id, parts, amounts) of every piece and grain. Pieces come parents before children, in an order that does not
        change; `known` are cells, by parent, of children that have theirs.

        A parent's cell is the sum of its children's, and what it has beyond them is spread by itself. Who has less
        than its children together (they are padded) is spread by itself alone.
        """
        parents = {piece.parent_id for piece in pieces} | {parent for parent, _ in known}
        leaves = [piece for piece in pieces if piece.id not in parents]
        # Leaves as they stand, then upwards: children are ready before their parent.
        ordered = [*leaves, *(piece for piece in reversed(pieces) if piece.id in parents)]
        for grain in grains:
            below = {parent: list(parts) for (parent, of), parts in known.items() if of == grain}
            for piece in ordered:
                parts, starts = self._cut(piece.period, grain)
                brought = below.pop(piece.id, None)
                if not piece.adds_up:
                    yield piece.id, parts, [piece.total] * len(parts)
                    continue
                minors = (
                    self._own(piece, grain, piece.total)
                    if brought is None
                    else self._with_children(piece, grain, starts, brought)
                )
                if piece.parent_id is not None:
                    below.setdefault(piece.parent_id, []).append(Part(starts, piece.period.end, minors))
                yield piece.id, parts, minors

    def _with_children(self, piece: Piece, grain: Grain, starts: list[date], brought: Sequence[Part]) -> list[int]:
        inside = [one for one in brought if piece.period.start <= one.starts[0] and one.end <= piece.period.end]
        rest = piece.total - sum(sum(one.minors) for one in inside)
        if not inside or rest < 0:
            return self._own(piece, grain, piece.total)
        columns = [_placed(one, starts) for one in inside]
        if rest:
            columns.append(self._own(piece, grain, rest))
        return [sum(column) for column in zip(*columns, strict=True)]

    def _own(self, piece: Piece, grain: Grain, total: int) -> list[int]:
        """By the weights of its own days."""
        key = (piece.period.code, grain, piece.business_calendar, piece.profile)
        if key not in self._weighed:
            parts, _ = self._cut(piece.period, grain)
            self._weighed[key] = (Proportions(self._weights(piece, parts)), [0] * len(parts))
        weights, owed = self._weighed[key]
        return weights.split(total, piece.step, owed)

    def _cut(self, period: Period, grain: Grain) -> tuple[list[Period], list[date]]:
        key = (period.code, grain)
        if key not in self._parts:
            parts = split(period, grain, self._calendar)
            self._parts[key] = (parts, [part.start for part in parts])
        return self._parts[key]

    def _weights(self, piece: Piece, parts: Sequence[Period]) -> list[int]:
        days = self._days(piece)
        return integers([sum((days[day] for day in part.days()), Fraction(0)) for part in parts])

    def _days(self, piece: Piece) -> dict[date, Fraction]:
        shape = self._shapes[piece.profile]
        found = {day: shape.get(day, Fraction(0)) for day in piece.period.days()}
        if not any(found.values()):
            found = {day: Fraction(self._is_workday(day, piece.unit_id)) for day in found}
        # A span without a single day that counts is shared by all its days.
        return found if any(found.values()) else dict.fromkeys(found, Fraction(1))


def _placed(part: Part, starts: Sequence[date]) -> Sequence[int]:
    """Its amounts at the places of the parent's cells: a week cut at a child's edge lies in one of the parent's."""
    if part.starts is starts or list(part.starts) == starts:
        return part.minors
    placed = [0] * len(starts)
    for start, minor in zip(part.starts, part.minors, strict=True):
        placed[bisect_right(starts, start) - 1] += minor
    return placed


def by_period(weights: Iterable[tuple[Period, Fraction]], is_workday: Callable[[date], bool]) -> dict[date, Fraction]:
    """The shape of given weights of periods: inside a period its working days share its weight, or all its days."""
    shape: dict[date, Fraction] = {}
    for period, weight in weights:
        worked = [day for day in period.days() if is_workday(day)] or list(period.days())
        shape |= {day: weight / len(worked) for day in worked}
    return shape
