"""Largest-remainder apportionment: parts that sum exactly to the whole, whatever the shares."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm


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

    def split(self, total: int, step: int = 1) -> list[int]:
        """Hamilton's method, for a `total` that is not negative.

        Parts are multiples of `step` as far as the total is; what is left of it goes to the heaviest. Ties go to the
        heavier, then to the one that stands first.
        """
        whole, many = self._whole, len(self._weights)
        count, rest = divmod(total, step)
        quotas = [divmod(count * weight, whole) for weight in self._weights]
        parts = [quota for quota, _ in quotas]
        if missing := count - sum(parts):
            # One number each, all different, the least first in turn: the greater remainder, then the rank.
            turns = [rank - left * many for (_, left), rank in zip(quotas, self._ranks, strict=True)]
            last = sorted(turns)[missing - 1]
            parts = [part + (turn <= last) for part, turn in zip(parts, turns, strict=True)]
        if step != 1:
            parts = [part * step for part in parts]
        if rest:
            parts[self._order[0]] += rest
        return parts


def apportion(total: int, weights: Sequence[int], step: int = 1) -> list[int]:
    """One total among weights that nobody else shares: see Proportions."""
    return Proportions(weights).split(total, step)
