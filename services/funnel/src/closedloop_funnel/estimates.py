"""Figures with what is known of them: shares, differences, means, changes; or the word that it cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from math import atanh, tanh
from random import Random
from statistics import NormalDist, fmean
from statistics import correlation as _pearson

from closedloop.funnel.v1 import experiments_pb2 as pb

CONFIDENCE = 0.95
DRAWS = 1000


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
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (hits + z * z / 2) / (tries + z * z)
    half = z / (tries + z * z) * (hits * (tries - hits) / tries + z * z / 4) ** 0.5
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
    one, other = hits / tries, other_hits / other_tries
    (low, high), (other_low, other_high) = wilson(hits, tries), wilson(other_hits, other_tries)
    bottom = one - other - ((one - low) ** 2 + (other_high - other) ** 2) ** 0.5
    top = one - other + ((high - one) ** 2 + (other - other_low) ** 2) ** 0.5
    verdict = pb.ESTIMATE_VERDICT_NO_DIFFERENCE
    if bottom > 0:
        verdict = pb.ESTIMATE_VERDICT_HIGHER
    elif top < 0:
        verdict = pb.ESTIMATE_VERDICT_LOWER
    return pb.Estimate(
        value=one - other,
        unit="1",
        low=bottom,
        high=top,
        confidence_ratio=CONFIDENCE,
        sample_size=tries + other_tries,
        method="newcombe",
        verdict=verdict,
        explanation=f"{hits} of {tries} against {other_hits} of {other_tries}",
    )


def spread(values: Sequence[float], unit: str, least: int = 2) -> pb.Estimate:
    """A mean with its bootstrap interval (Efron 1979), percentile method; the draws are the same at every call."""
    if len(values) < least:
        return _cannot_say(unit, len(values), f"{len(values)} cases, it takes {least}")
    drawn = sorted(fmean(Random(number).choices(values, k=len(values))) for number in range(DRAWS))
    return pb.Estimate(
        value=fmean(values),
        unit=unit,
        low=drawn[round(DRAWS * (1 - CONFIDENCE) / 2)],
        high=drawn[-1 - round(DRAWS * (1 - CONFIDENCE) / 2)],
        confidence_ratio=CONFIDENCE,
        sample_size=len(values),
        method="bootstrap",
        verdict=pb.ESTIMATE_VERDICT_DESCRIPTIVE,
    )


def relative(before: Sequence[float], after: Sequence[float], least: int = 2) -> pb.Estimate:
    """(after - before) / before of the means: -0.41 for -41 %; higher or lower only when zero lies outside its bootstrap
    interval."""
    if min(len(before), len(after)) < least or not fmean(before):
        return _cannot_say("1", len(before) + len(after), f"{len(before)} before and {len(after)} after")
    drawn = []
    for number in range(DRAWS):
        chance = Random(number)
        earlier = fmean(chance.choices(before, k=len(before)))
        if earlier:
            drawn.append(fmean(chance.choices(after, k=len(after))) / earlier - 1)
    drawn.sort()
    low, high = (drawn[round((len(drawn) - 1) * edge)] for edge in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    verdict = pb.ESTIMATE_VERDICT_NO_DIFFERENCE
    if low > 0:
        verdict = pb.ESTIMATE_VERDICT_HIGHER
    elif high < 0:
        verdict = pb.ESTIMATE_VERDICT_LOWER
    return pb.Estimate(
        value=fmean(after) / fmean(before) - 1,
        unit="1",
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=len(before) + len(after),
        method="bootstrap",
        verdict=verdict,
    )


def _cannot_say(unit: str, cases: int, why: str) -> pb.Estimate:
    return pb.Estimate(unit=unit, sample_size=cases, verdict=pb.ESTIMATE_VERDICT_CANNOT_SAY, explanation=why)


def change_against(changes: Sequence[float], others: Sequence[float], unit: str = "1", least: int = 2) -> pb.Estimate:
    """Difference in differences: mean change of those it was done to less that of the others, each person once, with its
    bootstrap interval (people drawn anew on both sides); higher or lower only when zero lies outside of it."""
    found = means_apart(changes, others, unit, least)
    if found.method:
        found.method = "difference_in_differences, bootstrap"
    return found


def means_apart(ones: Sequence[float], others: Sequence[float], unit: str = "1", least: int = 2) -> pb.Estimate:
    """First mean less the second, with its bootstrap interval; higher or lower only when zero lies outside of it."""
    if min(len(ones), len(others)) < max(least, 2):
        return _cannot_say(
            unit, len(ones) + len(others), f"{len(ones)} against {len(others)} cases, it takes {max(least, 2)} each"
        )
    drawn = []
    for number in range(DRAWS):
        chance = Random(number)
        drawn.append(fmean(chance.choices(ones, k=len(ones))) - fmean(chance.choices(others, k=len(others))))
    drawn.sort()
    low, high = (drawn[round((DRAWS - 1) * edge)] for edge in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return pb.Estimate(
        value=fmean(ones) - fmean(others),
        unit=unit,
        low=low,
        high=high,
        confidence_ratio=CONFIDENCE,
        sample_size=len(ones) + len(others),
        method="bootstrap",
        verdict=_verdict(low, high),
        explanation=f"{fmean(ones):+.3f} of {len(ones)} against {fmean(others):+.3f} of {len(others)} others",
    )


def correlation(xs: Sequence[float], ys: Sequence[float], least: int = 4) -> pb.Estimate:
    """Pearson's r with the interval of Fisher's z transformation (Fisher 1921); one side that does not vary says nothing."""
    if len(xs) < max(least, 4):
        return _cannot_say("1", len(xs), f"{len(xs)} cases, it takes {max(least, 4)}")
    if min(xs) == max(xs) or min(ys) == max(ys):
        return _cannot_say("1", len(xs), "one of the two does not vary")
    r = _pearson(xs, ys)
    # A perfect line has no interval by this method; it is as narrow as can be told apart from one.
    z = atanh(max(min(r, 1 - 1e-12), -1 + 1e-12))
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) / (len(xs) - 3) ** 0.5
    low, high = tanh(z - half), tanh(z + half)
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
