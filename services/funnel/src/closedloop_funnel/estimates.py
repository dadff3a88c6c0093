"""Figures with what is known of them: shares, differences, means, changes; or the word that it cannot be said.

What is said comes from here, the statistics from statsmodels and SciPy. They are imported by the first figure that needs
them (0.7 s, 155 MB): a process that states none goes without.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from closedloop.funnel.v1 import experiments_pb2 as pb

CONFIDENCE = 0.95
DRAWS = 1000
# So many values are drawn at once, whatever the sample: what a draw takes of memory is bounded.
AT_ONCE = 1_000_000


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
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, tries, alpha=1 - CONFIDENCE, method="wilson")
    return float(low), float(high)


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
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(
        hits, tries, other_hits, other_tries, method="newcomb", compare="diff", alpha=1 - CONFIDENCE
    )
    return pb.Estimate(
        value=hits / tries - other_hits / other_tries,
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
    low, high = _drawn(_change, before, after)
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
    from scipy.stats import ttest_1samp

    low, high = ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def _apart(ones: Sequence[float], others: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Interval of the difference and p-value."""
    if min(ones) == max(ones) and min(others) == max(others):
        return ones[0] - others[0], ones[0] - others[0], float(ones[0] == others[0])
    from scipy.stats import ttest_ind

    with warnings.catch_warnings():
        # That one side alone does not vary is no loss of precision.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ttest_ind(ones, others, equal_var=False)
    low, high = found.confidence_interval(confidence)
    return float(low), float(high), float(found.pvalue)


def _change(before: Any, after: Any) -> Any:
    """Of the means; not a number where a draw of `before` comes to nothing."""
    import numpy

    earlier = before.mean(axis=-1)
    return after.mean(axis=-1) / numpy.where(earlier, earlier, numpy.nan) - 1


def _drawn(statistic: Callable[..., Any], *samples: Sequence[float]) -> tuple[float, float]:
    """Percentiles of the statistic over samples drawn anew, each by itself; the draws are the same at every call."""
    import numpy
    from scipy.stats import bootstrap

    drawn = bootstrap(
        samples,
        lambda *given, axis: statistic(*given),
        n_resamples=DRAWS,
        batch=max(1, AT_ONCE // sum(map(len, samples))),
        vectorized=True,
        method="percentile",
        rng=0,
    )
    edges = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
    low, high = numpy.nanquantile(drawn.bootstrap_distribution, edges)
    return float(low), float(high)


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
    from scipy.stats import pearsonr

    found = pearsonr(xs, ys)
    r, (low, high) = float(found.statistic), found.confidence_interval(CONFIDENCE)
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
