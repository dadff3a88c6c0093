"""Largest-remainder apportionment: parts that sum exactly to the whole, whatever the shares."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf, lcm


def integers(weights: Sequence[Fraction]) -> list[int]:
    """The same proportions in whole numbers."""
    scale = lcm(*(weight.denominator for weight in weights)) if weights else 1
    return [int(weight * scale) for weight in weights]


class Proportions:
    """Non-negative weights, their sum positive, ready to split many totals: a year's weeks are weighed once for
    everybody who is cut alike."""

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._whole = sum(weights)
        # The heavier before the lighter, then as they stand.
        self._order = sorted(range(len(weights)), key=lambda at: (-weights[at], at))
        ranks = {at: rank for rank, at in enumerate(self._order)}
        self._ranks = [ranks[at] for at in range(len(weights))]
        # The last total, its whole quotas and what they leave.
        self._divided: tuple[int, list[int], list[int]] = (-1, [], [])

    def split(self, total: int, step: int = 1, owed: list[int] | None = None) -> list[int]:
        """Hamilton's method, for a `total` that is not negative.

        Parts are multiples of `step` as far as the total is; what is left of it goes to the heaviest. Ties go to the
        heavier, then to the one that stands first. `owed` remembers from total to total what places were rounded out
        of, in parts of a step by the sum of the weights: who lost before comes first, so that the parts of many totals
        together stay close to what their sum alone would get.
        """
        whole, many = self._whole, len(self._weights)
        count, rest = divmod(total, step)
        if count != self._divided[0]:
            # Equal totals follow each other where heads share evenly.
            quotas = [divmod(count * weight, whole) for weight in self._weights]
            self._divided = count, [quota for quota, _ in quotas], [left for _, left in quotas]
        _, parts, lefts = self._divided
        parts = parts[:]
        if missing := count - sum(parts):
            claims = lefts if owed is None else [left + due for left, due in zip(lefts, owed, strict=True)]
            # One number each, all different, the least first in turn: the greater claim, then the rank. Who is given
            # an exact share gets no more, whatever it is owed.
            turns = [
                rank - claim * many if left else inf
                for left, claim, rank in zip(lefts, claims, self._ranks, strict=True)
            ]
            last = sorted(turns)[missing - 1]
            parts = [part + (turn <= last) for part, turn in zip(parts, turns, strict=True)]
            if owed is not None:
                owed[:] = [claim - whole * (turn <= last) for claim, turn in zip(claims, turns, strict=True)]
        if step != 1:
            parts = [part * step for part in parts]
        if rest:
            parts[self._order[0]] += rest
        return parts


def apportion(total: int, weights: Sequence[int], step: int = 1) -> list[int]:
    """One total among weights that nobody else shares: see Proportions."""
    return Proportions(weights).split(total, step)
