"""What one turn of load measured, and what many turns say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn. Latencies in milliseconds; `busy` is the share of its core the server under load used, `cpu_us` what
    one call cost it in microseconds of CPU; both 0 where nobody looked."""

    calls: int
    seconds: float
    median_ms: float
    p99_ms: float
    busy: float = 0.0
    cpu_us: float = 0.0

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """The middle of some values, and how far they lie apart: (greatest - least) / median."""

    median: float
    least: float
    greatest: float

    @property
    def spread(self) -> float:
        return (self.greatest - self.least) / self.median if self.median else 0.0


def summary(values: Sequence[float]) -> Summary:
    """Raises ValueError for no values."""
    if not values:
        raise ValueError("nothing was measured")
    return Summary(median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the least value that `share` of all do not exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """Turn by turn: what slows the machine for a while slows both of a pair, and leaves their ratio."""
    return summary([our / their for our, their in zip(ours, theirs, strict=True) if their])
