"""Figures with what is known of them: shares, differences, means, changes; or the word that it cannot be said.

What is said comes from here, Student's t from `student`; tests hold every interval against SciPy and statsmodels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import atanh, sqrt, tanh
from statistics import NormalDist, fmean, pstdev, quantiles, variance
from statistics import correlation as pearson

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_funnel import student

CONFIDENCE = 0.95
DRAWS = 1000
# Of more values the mean of a draw is drawn itself, from the normal distribution it has: a figure must not hold up others.
DRAWN_ONE_BY_ONE = 500


def share(hits: int, tries: int, least: int = 1) -> pb.Estimate:
    """hits / tries; with fewer than `least` tries it says that it cannot say."""
    if tries < max(least, 1):
        return pb.Estimate(
            unit="1",
            sample_size=tries,
            verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY,
            explanation=f"{tries} cases, it takes {max(least, 1)}",
        )
    low, high = wilson(hits, tries)
    return pb.Estimate(
        value=hits / tries,
        unit="1",
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=tries,
        method="wilson",
        verdict=pb.ESTIMATE_VERDICT_DESCRIPTIVE,
        explanation=f"{hits} of {tries}",
    )


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """Wilson 1927."""
    ratio, squared = hits / tries, NormalDist().inv_cdf((1 + CONFIDENCE) / 2) ** 2
    middle = (ratio + squared / (2 * tries)) / (1 + squared / tries)
    half = sqrt(squared * (ratio * (1 - ratio) + squared / (4 * tries)) / tries) / (1 + squared / tries)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def mean(total: float, count: int) -> pb.Estimate:
    """A mean with nothing said of its spread; without cases it says that it cannot say."""
    if not count:
        return pb.Estimate(unit="1", sample_size=0, verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY, explanation="no cases")
    return pb.Estimate(
        value=total / count, unit="1", sample_size=count, method="mean", verdict=pb.ESTIMATE_VERDICT_DESCRIPTIVE
    )


def difference(hits: int, tries: int, other_hits: int, other_tries: int, least: int = 1) -> pb.Estimate:
    """First share less the second, with Newcombe's interval (Newcombe 1998, method 10); higher or lower only when zero
    lies outside of it."""
    if min(tries, other_tries) < max(least, 1):
        return pb.Estimate(
            unit="1",
            sample_size=tries + other_tries,
            verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY,
            explanation=f"{tries} against {other_tries} cases, it takes {max(least, 1)} each",
        )
    ratio, other = hits / tries, other_hits / other_tries
    (lowest, highest), (other_lowest, other_highest) = wilson(hits, tries), wilson(other_hits, other_tries)
    low = ratio - other - sqrt((ratio - lowest) ** 2 + (other_highest - other) ** 2)
    high = ratio - other + sqrt((highest - ratio) ** 2 + (other - other_lowest) ** 2)
    return pb.Estimate(
        value=ratio - other,
        unit="1",
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=tries + other_tries,
        method="newcombe",
        verdict=_verdict(low, high),
        explanation=f"{hits} of {tries} against {other_hits} of {other_tries}",
    )


def spread(values: Sequence[float], unit: str, least: int = 2) -> pb.Estimate:
    """A mean with Student's interval (Student 1908): that of percentiles of samples drawn anew holds 81 of 100 where there
    are five values, this one 95."""
    if len(values) < max(least, 2):
        return cannot_say(unit, len(values), f"{len(values)} cases, it takes {max(least, 2)}")
    low, high = _around(values)
    return pb.Estimate(
        value=fmean(values),
        unit=unit,
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=len(values),
        method="student_t",
        verdict=pb.ESTIMATE_VERDICT_DESCRIPTIVE,
    )


def relative(before: Sequence[float], after: Sequence[float], least: int = 2) -> pb.Estimate:
    """(after - before) / before of the means: -0.41 for -41 %; higher or lower only when zero lies outside its bootstrap
    interval (Efron 1979), percentile method; the draws are the same at every call."""
    if min(len(before), len(after)) < max(least, 2) or not fmean(before):
        return cannot_say("1", len(before) + len(after), f"{len(before)} before and {len(after)} after")
    low, high = _drawn_changes(before, after)
    return pb.Estimate(
        value=fmean(after) / fmean(before) - 1,
        unit="1",
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=len(before) + len(after),
        method="bootstrap",
        verdict=_verdict(low, high),
    )


def _around(values: Sequence[float]) -> tuple[float, float]:
    """What does not vary is as wide as it is."""
    if min(values) == max(values):
        return values[0], values[0]
    count, middle = len(values), fmean(values)
    half = student.quantile((1 + CONFIDENCE) / 2, count - 1) * sqrt(variance(values) / count)
    return middle - half, middle + half


def _apart(ones: Sequence[float], others: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Interval of the difference and p-value."""
    if min(ones) == max(ones) and min(others) == max(others):
        return ones[0] - others[0], ones[0] - others[0], float(ones[0] == others[0])
    parts = [variance(values) / len(values) for values in (ones, others)]
    error, between = sqrt(sum(parts)), fmean(ones) - fmean(others)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (ones, others), strict=True)
    )
    half = student.quantile((1 + confidence) / 2, freedom) * error
    return between - half, between + half, min(2 * student.beyond(between / error, freedom), 1.0)


def _drawn_changes(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """Percentiles of the change over samples drawn anew, each by itself; the draws are the same at every call. A draw of
    `before` that comes to nothing has no change and is not counted."""
    chance = random.Random(0)
    changes = [
        later / earlier - 1
        for earlier, later in zip(_drawn_means(before, chance), _drawn_means(after, chance), strict=True)
        if earlier
    ]
    # Of 40 parts, the first and the last edge: 2.5 % and 97.5 %.
    edges = quantiles(changes, n=round(2 / (1 - CONFIDENCE)), method="inclusive")
    return edges[0], edges[-1]


def _drawn_means(values: Sequence[float], chance: random.Random) -> list[float]:
    count = len(values)
    if count > DRAWN_ONE_BY_ONE:
        middle, deviation = fmean(values), pstdev(values) / sqrt(count)
        return [chance.gauss(middle, deviation) for _ in range(DRAWS)]
    return [sum(chance.choices(values, k=count)) / count for _ in range(DRAWS)]


def cannot_say(unit: str, cases: int, why: str) -> pb.Estimate:
    return pb.Estimate(unit=unit, sample_size=cases, verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY, explanation=why)


def change_against(changes: Sequence[float], others: Sequence[float], unit: str = "1", least: int = 2) -> pb.Estimate:
    """Difference in differences: mean change of those it was done to less that of the others, each person once, with
    Welch's interval; higher or lower only when zero lies outside of it."""
    found = means_apart(changes, others, unit, least)
    if found.method:
        found.method = "difference_in_differences, welch_t"
    return found


def change_alone(changes: Sequence[float], unit: str = "1", least: int = 2) -> pb.Estimate:
    """Mean change of those it was done to, held against nobody: what changed for everybody is in it, too."""
    found = spread(changes, unit, max(least, 2))
    if found.method:
        found.method, found.verdict = "before_after, student_t", _verdict(found.low, found.high)
    return found


def means_apart(ones: Sequence[float], others: Sequence[float], unit: str = "1", least: int = 2) -> pb.Estimate:
    """First mean less the second, with Welch's interval (Welch 1947); higher or lower only when zero lies outside of it."""
    if min(len(ones), len(others)) < max(least, 2):
        return cannot_say(
            unit, len(ones) + len(others), f"{len(ones)} against {len(others)} cases, it takes {max(least, 2)} each"
        )
    low, high, _ = _apart(ones, others, CONFIDENCE)
    return pb.Estimate(
        value=fmean(ones) - fmean(others),
        unit=unit,
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=len(ones) + len(others),
        method="welch_t",
        verdict=_verdict(low, high),
        explanation=f"{fmean(ones):+.3f} of {len(ones)} against {fmean(others):+.3f} of {len(others)} others",
    )


def welch(ones: Sequence[float], others: Sequence[float], unit: str, confidence: float, least: int = 2) -> pb.Estimate:
    """The same for a test that was planned: at its own confidence, with the p-value, and nothing said of what does not vary."""
    cases = len(ones) + len(others)
    if min(len(ones), len(others)) < max(least, 2):
        return cannot_say(unit, cases, f"{len(ones)} against {len(others)}, it takes {max(least, 2)} each")
    if min(ones) == max(ones) and min(others) == max(others):
        return cannot_say(unit, cases, "neither side varies")
    low, high, p_value = _apart(ones, others, confidence)
    return pb.Estimate(
        value=fmean(ones) - fmean(others),
        unit=unit,
        low=low,
        high=high,
        confidence_ratio=confidence,
        sample_size=cases,
        method="welch_t",
        p_value=p_value,
        verdict=_verdict(low, high),
        explanation=f"{fmean(ones):.4g} of {len(ones)} against {fmean(others):.4g} of {len(others)}",
    )


def correlation(xs: Sequence[float], ys: Sequence[float], least: int = 4) -> pb.Estimate:
    """Pearson's r with the interval of Fisher's z transformation (Fisher 1921); one side that does not vary says nothing."""
    if len(xs) < max(least, 4):
        return cannot_say("1", len(xs), f"{len(xs)} cases, it takes {max(least, 4)}")
    if min(xs) == max(xs) or min(ys) == max(ys):
        return cannot_say("1", len(xs), "one of the two does not vary")
    r = max(-1.0, min(pearson(xs, ys), 1.0))
    low = high = r
    if abs(r) < 1:
        half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) / sqrt(len(xs) - 3)
        low, high = tanh(atanh(r) - half), tanh(atanh(r) + half)
    return pb.Estimate(
        value=r,
        unit="1",
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=len(xs),
        method="pearson, fisher_z",
        verdict=_verdict(low, high),
        explanation=f"r = {r:.2f} over {len(xs)}; together, not necessarily one because of the other",
    )


def _verdict(low: float, high: float) -> pb.EstimateVerdict.ValueType:
    if low > 0:
        return pb.ESTIMATE_VERDICT_HIGHER
    return pb.ESTIMATE_VERDICT_LOWER if high < 0 else pb.ESTIMATE_VERDICT_NO_DIFFERENCE
