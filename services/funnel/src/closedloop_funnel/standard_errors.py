"""How many standard errors of a mean its interval reaches to either side, by Student's t."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from statistics import stdev

from closedloop_funnel import estimates


@lru_cache(maxsize=1000)
def reach(count: int) -> float:
    """Of `count` values: the interval of any sample of that size tells."""
    sample = [float(one) for one in range(count)]
    found = estimates.spread(sample, "1")
    return (found.high - found.low) / 2 / (stdev(sample) / sqrt(count))
