"""Student's t and what it says of two samples: probabilities, quantiles, power (Student 1908; Cohen 1988).

Its special function comes from mpmath, imported by the first figure that needs it (2 MB; SciPy would be 130). Tests hold
every figure against SciPy and statsmodels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from math import erfc, exp, inf, lgamma, log, pi, sqrt
from statistics import NormalDist
from typing import Any

NORMAL = NormalDist()
# With more degrees of freedom its distribution is the normal one, to the sixth digit and beyond.
NORMAL_FROM = 1e6
# So many deviations of the scale take all its weight that a float can tell from nothing.
REACH = 12
HALVINGS = 60


@cache
def _exact() -> Any:
    # Floats overflow in its gamma functions from 340 degrees of freedom on; these numbers do not.
    from mpmath import MPContext

    context = MPContext()
    context.dps = 17
    return context


def beyond(t: float, freedom: float) -> float:
    """Probability of more than |t| on one side, of `freedom` degrees."""
    if freedom > NORMAL_FROM:
        return erfc(abs(t) / sqrt(2)) / 2
    exact = _exact()
    part = exact.mpf(freedom) / (exact.mpf(freedom) + exact.mpf(t) ** 2)
    return float(exact.betainc(freedom / 2, 0.5, 0, part, regularized=True)) / 2


@lru_cache(maxsize=4096)
def quantile(probability: float, freedom: float) -> float:
    """That t below which so much lies; `probability` is at least a half and below one."""
    t = NORMAL.inv_cdf(probability)
    if freedom > NORMAL_FROM or probability == 0.5:
        return t
    scale = lgamma((freedom + 1) / 2) - lgamma(freedom / 2) - log(freedom * pi) / 2
    # Newton's steps: the normal quantile is below, and from below a curve that bends down is never overshot.
    for _ in range(HALVINGS):
        density = exp(scale - (freedom + 1) / 2 * log(1 + t * t / freedom))
        step = (beyond(t, freedom) - (1 - probability)) / density
        t += step
        if abs(step) <= 1e-11 * t:
            break
    return t


def power(effect: float, ones: float, others: float, error: float) -> float:
    """Of a two-sided t-test of two independent means, `effect` in deviations: how often it finds what is there.

    P(|T| > t) of the noncentral T: the normal probability at each scale, weighed by the chi of the scale."""
    freedom = ones + others - 2
    shift, edge = abs(effect) * sqrt(ones * others / (ones + others)), quantile(1 - error / 2, freedom)
    if freedom > NORMAL_FROM:
        return (erfc((edge - shift) / sqrt(2)) + erfc((edge + shift) / sqrt(2))) / 2
    scale = freedom / 2 * log(freedom / 2) - lgamma(freedom / 2) + log(2)

    def weighed(s: float) -> float:
        if s <= 0:
            return 0.0
        weight = exp(scale + (freedom - 1) * log(s) - freedom * s * s / 2)
        return weight * (erfc((edge * s - shift) / sqrt(2)) + erfc((edge * s + shift) / sqrt(2))) / 2

    from mpmath import fp

    width = REACH / sqrt(2 * freedom)
    bounds = [max(0.0, 1 - width), 1.0, 1 + width]
    return min(float(fp.quad(weighed, bounds)), 1.0)


def normal_power(effect: float, each: float, error: float) -> float:
    """The same where the deviation is known, with as many on either side: shares by their arcsines (Cohen 1988, 6)."""
    shift, edge = abs(effect) * sqrt(each / 2), NORMAL.inv_cdf(1 - error / 2)
    return (erfc((edge - shift) / sqrt(2)) + erfc((edge + shift) / sqrt(2))) / 2


def fewest(found: Callable[[int], float], wanted: float, effect: float, error: float, least: int) -> int:
    """The smallest number on each side with which `found` is as much as `wanted`, looked for around the normal answer."""
    about = 2 * ((NORMAL.inv_cdf(wanted) + NORMAL.inv_cdf(1 - error / 2)) / effect) ** 2
    low, high = least - 1, max(int(about), least)
    step = 1
    while found(high) < wanted:
        low, high, step = high, high + step, step * 2
    if low < least:
        # Not from the beginning: the answer is near.
        step = 1
        while high - step >= least and found(high - step) >= wanted:
            high, step = high - step, step * 2
        low = max(high - step, least - 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) >= wanted else (middle, high)
    return high


def detectable(ones: int, others: int, wanted: float, error: float) -> float | None:
    """The least effect, in deviations, that is found as often as wanted; None where none is needed."""
    if wanted <= error:
        return None
    low, high = 0.0, 1.0
    while power(high, ones, others, error) < wanted:
        low, high = high, high * 2
        if high == inf:
            return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if high - low <= 1e-9 * high:
            break
        low, high = (low, middle) if power(middle, ones, others, error) >= wanted else (middle, high)
    return high
