"""Largest-remainder apportionment: parts that sum exactly to the whole, whatever the shares."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm


def integers(weights: Sequence[Fraction]) -> list[int]:
    """The same proportions in whole numbers."""
    scale = lcm(*(weight.denominator for weight in weights)) if weights else 1
    return [int(weight * scale) for weight in weights]


def apportion(total: int, weights: Sequence[int], step: int = 1) -> list[int]:
    """Splits a non-negative `total` in proportion to non-negative `weights`, their sum positive (Hamilton's method).

    Parts are multiples of `step` as far as the total is; what is left of it goes to the heaviest. Ties go to the
    heavier, then to the one that stands first.
    """
    whole = sum(weights)
    count, rest = divmod(total, step)
    quotas = [divmod(count * weight, whole) for weight in weights]
    parts = [quota for quota, _ in quotas]
    order = sorted(range(len(weights)), key=lambda at: (-quotas[at][1], -weights[at], at))
    for at in order[: count - sum(parts)]:
        parts[at] += 1
    parts = [part * step for part in parts]
    if rest:
        parts[max(range(len(weights)), key=lambda at: (weights[at], -at))] += rest
    return parts
