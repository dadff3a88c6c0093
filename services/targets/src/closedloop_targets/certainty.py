"""How sure an interval is: the quantile of its rulebook's confidence."""

from __future__ import annotations

from statistics import NormalDist


def quantile(confidence: float) -> float:
    """Two-sided, of the normal distribution: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)
