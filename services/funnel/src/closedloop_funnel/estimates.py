"""Figures with what is known of them: shares, differences, means, changes; or the word that it cannot be said.

What is said comes from here, Student's t from `student`; tests hold every interval against SciPy and statsmodels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atanh, sqrt, tanh
from statistics import NormalDist, fmean, variance
from statistics import correlation as pearson

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_funnel import student

CONFIDENCE = 0.95


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
    """(after - before) / before of the means: -0.41 for -41 %; higher or lower only when zero lies outside of its interval,
    which follows from Student's of the two means."""
    count = len(before) + len(after)
    if min(len(before), len(after)) < max(least, 2):
        return cannot_say("1", count, f"{len(before)} before and {len(after)} after, it takes {max(least, 2)} each")
    sides = [(fmean(values), *_around(values)) for values in (before, after)]
    return _change(sides[0], sides[1], count, "mover, student_t")


def relative_share(hits: int, tries: int, other_hits: int, other_tries: int, least: int = 1) -> pb.Estimate:
    """First share by the second, less one; its interval follows from Wilson's of the two."""
    count = tries + other_tries
    if min(tries, other_tries) < max(least, 1):
        return cannot_say("1", count, f"{tries} against {other_tries} cases, it takes {max(least, 1)} each")
    share_, other = (hits / tries, *wilson(hits, tries)), (other_hits / other_tries, *wilson(other_hits, other_tries))
    found = _change(other, share_, count, "mover, wilson") if other_hits else _of_nothing(count)
    found.explanation = found.explanation or f"{hits} of {tries} against {other_hits} of {other_tries}"
    return found


Around = tuple[float, float, float]


def _change(before: Around, after: Around, count: int, method: str) -> pb.Estimate:
    """Of two values with their intervals: the ratio's interval follows from theirs (MOVER-R: Donner and Zou 2012), less one.
    Percentiles of samples drawn anew, which stood here, were far too narrow for a few cases, and had no width where no
    case varies."""
    if before[2] < 0:
        before, after = ((-value, -high, -low) for value, low, high in (before, after))
    below, below_low, below_high = before
    if below_low <= 0:
        return _of_nothing(count)
    above, above_low, above_high = after
    both, bottom = above * below, below_low * (2 * below - below_low)
    # The lower edge multiplied out: as it is written, it divides by what may be nothing.
    lower = above_low * (2 * above - above_low)
    root = sqrt(max(both**2 - lower * below_high * (2 * below - below_high), 0.0))
    low = lower / (both + root) if both + root > 0 else _lower(both, root, below, below_high)
    high = (both + sqrt(max(both**2 - above_high * (2 * above - above_high) * bottom, 0.0))) / bottom
    return pb.Estimate(
        value=above / below - 1,
        unit="1",
        low=low - 1,
        high=high - 1,
        confidence_ratio=CONFIDENCE,
        sample_size=count,
        method=method,
        verdict=_verdict(low - 1, high - 1),
    )


def _lower(both: float, root: float, below: float, below_high: float) -> float:
    """Of something that is not above nothing."""
    divisor = below_high * (2 * below - below_high)
    return (both - root) / divisor if divisor else 0.0


def _of_nothing(count: int) -> pb.Estimate:
    return cannot_say("1", count, "what it is a part of before is not surely more than nothing")


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
