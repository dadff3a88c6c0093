"""Largest-remainder apportionment: parts that sum exactly to the whole, whatever the shares."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from operator import sub


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
        self._nothing = [0] * len(weights)
        # Of the last total.
        self._divided: tuple[int, list[int], list[int], int, list[int]] = (-1, [], [], 0, [])

    def split(self, total: int, step: int = 1, owed: list[int] | None = None) -> list[int]:
        """Hamilton's method, for a `total` that is not negative.

        Parts are multiples of `step` as far as the total is; what is left of it goes to the heaviest. Ties go to the
        heavier, then to the one that stands first. `owed` remembers from total to total, zeros first, what places got
        beyond their share (less than nothing: what they are owed), times the sum of the weights: who lost before comes
        first, so that the parts of many totals together stay close to what their sum alone would get.
        """
        count, rest = divmod(total, step)
        if count != self._divided[0]:
            # Equal totals follow each other where heads share evenly.
            self._divided = (count, *self._divide(count))
        _, quotas, lefts, missing, open_to_more = self._divided
        parts = quotas[:]
        if missing:
            # The least in turn: the greatest claim.
            claims = list(map(sub, owed or self._nothing, lefts))
            for at in sorted(open_to_more, key=claims.__getitem__)[:missing]:
                parts[at] += 1
                claims[at] += self._whole
            if owed is not None:
                owed[:] = claims
        if step != 1:
            parts = [part * step for part in parts]
        if rest:
            parts[self._order[0]] += rest
        return parts

    def _divide(self, count: int) -> tuple[list[int], list[int], int, list[int]]:
        """Whole quotas, what they leave, how many are missing then, and who may get one: nobody whose share is exact."""
        whole = self._whole
        quotas = [count * weight // whole for weight in self._weights]
        lefts = [count * weight % whole for weight in self._weights]
        return quotas, lefts, count - sum(quotas), [at for at in self._order if lefts[at]]


def apportion(total: int, weights: Sequence[int], step: int = 1) -> list[int]:
    """One total among weights that nobody else shares: see Proportions."""
    return Proportions(weights).split(total, step)
