"""Deviation before and after, so that a user sees whether it shrank, and how sure that is (S14, S20)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median, variance

from closedloop_targets.certainty import quantile


@dataclass(frozen=True, slots=True)
class Span:
    """Holder-weeks of a span; ratios as fractions, times in seconds, None without a single answer."""

    widest: float
    mean_absolute: float
    sample: int
    mean_response: float | None
    median_response: float | None
    answered: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class Change:
    """Of the mean absolute deviation, relative; None where the sample is too small to say."""

    ratio: float | None
    lower: float | None
    upper: float | None
    verdict: str


def span(deviations: Sequence[float], responses: Sequence[float], unanswered: int) -> Span:
    return Span(
        widest=max(map(abs, deviations), default=0.0),
        mean_absolute=fmean(map(abs, deviations)) if deviations else 0.0,
        sample=len(deviations),
        mean_response=fmean(responses) if responses else None,
        median_response=median(responses) if responses else None,
        answered=len(responses),
        unanswered=unanswered,
    )


def change(before: Sequence[float], after: Sequence[float], least: int, confidence: float) -> Change:
    """After over before, less 1, with the delta method's interval of a ratio of two independent means.

    Source: G. Casella, R. Berger, Statistical Inference, 2nd ed., 5.5.4 (delta method for a ratio of means).
    """
    if min(len(before), len(after)) < max(least, 2):
        return Change(None, None, None, f"cannot say: {len(before)} and {len(after)} holder-weeks, {least} are needed")
    absolute_before, absolute_after = [abs(one) for one in before], [abs(one) for one in after]
    mean_before, mean_after = fmean(absolute_before), fmean(absolute_after)
    if not mean_before:
        return Change(None, None, None, "cannot say: there was no deviation before")
    ratio = mean_after / mean_before
    spread = variance(absolute_after) / len(after) / mean_before**2
    spread += mean_after**2 * variance(absolute_before) / len(before) / mean_before**4
    half = quantile(confidence) * sqrt(spread)
    lower, upper = ratio - 1 - half, ratio - 1 + half
    said = f"{ratio - 1:+.0%} ({lower:+.0%} to {upper:+.0%}, {len(before)} and {len(after)} holder-weeks)"
    verdict = "shrank" if upper < 0 else "grew" if lower > 0 else "no change that can be told from chance"
    return Change(ratio - 1, lower, upper, f"{verdict}: {said}")
