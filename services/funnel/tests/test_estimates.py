"""Every figure with an interval, held against SciPy and statsmodels, which a developer has and the image has not."""

from __future__ import annotations

import random
import warnings
from itertools import product
from math import ceil
from statistics import stdev

import numpy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportion_effectsize

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_funnel import estimates, student
from closedloop_funnel.certifications import rules as certifications
from closedloop_funnel.experiments import power

CLOSE = 1e-7
shares = st.integers(1, 5000).flatmap(lambda tries: st.tuples(st.integers(0, tries), st.just(tries)))
samples = st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=2, max_size=30)


@given(one=shares, other=shares)
def test_shares_and_their_differences(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert estimates.wilson(*one) == pytest.approx(proportion_confint(*one, method="wilson"), abs=CLOSE)
    told = estimates.difference(*one, *other)
    expected = confint_proportions_2indep(*one, *other, method="newcomb", compare="diff")
    assert (told.low, told.high) == pytest.approx(expected, abs=CLOSE)


@given(ones=samples, others=samples)
def test_means_and_their_differences(ones: list[float], others: list[float]) -> None:
    width = max(map(abs, (*ones, *others))) or 1
    told = estimates.spread(ones, "1")
    if min(ones) == max(ones):
        assert told.low == told.high == ones[0]
    else:
        expected = stats.ttest_1samp(ones, 0.0).confidence_interval(0.95)
        assert (told.low, told.high) == pytest.approx(tuple(expected), abs=CLOSE * width)
    if min(ones) == max(ones) and min(others) == max(others):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.ttest_ind(ones, others, equal_var=False)
    told = estimates.welch(ones, others, "1", 0.99)
    assert (told.low, told.high) == pytest.approx(tuple(found.confidence_interval(0.99)), rel=CLOSE, abs=CLOSE * width)
    assert told.p_value == pytest.approx(float(found.pvalue), rel=1e-6, abs=1e-9)


@given(xs=samples, chance=st.randoms(use_true_random=False))
def test_what_goes_together(xs: list[float], chance: random.Random) -> None:
    ys = [x * 0.7 + chance.uniform(-1e5, 1e5) for x in xs]
    told = estimates.correlation(xs, ys)
    if len(xs) < 4 or min(xs) == max(xs):
        assert told.verdict == pb.ESTIMATE_VERDICT_CANNOT_SAY
        return
    found = stats.pearsonr(xs, ys)
    interval = found.confidence_interval(0.95)
    assert (told.value, told.low, told.high) == pytest.approx((found.statistic, interval.low, interval.high), abs=1e-5)
    assert estimates.correlation(xs, xs).low == pytest.approx(1, abs=1e-6)


def test_a_change_of_many_is_as_wide_as_by_drawing() -> None:
    chance = numpy.random.default_rng(2000)
    before, after = (list(chance.gamma(2, scale, 2000)) for scale in (10, 13))
    drawn = stats.bootstrap(
        (before, after),
        lambda one, other, axis: other.mean(axis=axis) / one.mean(axis=axis) - 1,
        n_resamples=10_000, batch=500, method="percentile", rng=1,
    ).confidence_interval  # fmt: skip
    told = estimates.relative(before, after)
    assert (told.low, told.high) == pytest.approx((drawn.low, drawn.high), abs=0.05 * (drawn.high - drawn.low))


def test_a_change_of_few_holds_as_often_as_it_says() -> None:
    """Percentiles of samples drawn anew held 86 of 100 of five against five."""
    chance = numpy.random.default_rng(5)
    means = [estimates.relative(*(list(chance.normal(middle, 20, 5)) for middle in (90, 60))) for _ in range(500)]
    assert 0.94 <= sum(one.low <= 60 / 90 - 1 <= one.high for one in means) / 500 <= 0.995
    drawn = [(int(chance.binomial(8, 0.4)), int(chance.binomial(10, 0.5))) for _ in range(1000)]
    told = [estimates.relative_share(hits, 8, before, 10) for hits, before in drawn if before]
    assert 0.92 <= sum(one.low <= 0.4 / 0.5 - 1 <= one.high for one in told) / len(told) <= 0.985
    never = estimates.relative_share(0, 5, 5, 5)
    assert (never.low, never.high) == (-1, pytest.approx(-0.5176, abs=1e-4)), "nobody of five is not nobody ever"
    assert estimates.relative_share(3, 5, 0, 5).verdict == pb.ESTIMATE_VERDICT_CANNOT_SAY
    # Of what may as well have been nothing there is no part.
    assert estimates.relative([1.0, 0, 0, 0, 0], [1.0] * 5).verdict == pb.ESTIMATE_VERDICT_CANNOT_SAY


def test_students_t_from_one_degree_of_freedom_to_millions() -> None:
    for freedom in (1, 1.3, 2, 3.7, 10, 57.3, 500, 5000, 1e5, 9e5, 4e6):
        for probability in (0.5, 0.6, 0.9, 0.975, 0.995, 0.9995):
            expected = stats.t.ppf(probability, freedom)
            assert student.quantile(probability, freedom) == pytest.approx(expected, rel=2e-6, abs=1e-12)
        for t in (0.0, 0.3, -2.0, 8.0):
            assert student.beyond(t, freedom) == pytest.approx(stats.t.sf(abs(t), freedom), abs=1e-6)


def test_power_and_what_it_takes() -> None:
    """Where statsmodels gives up, it says that it is no number; ours are numbers."""
    known = TTestIndPower()
    for (one, other), effect, error in product(
        ((2, 2), (10, 11), (64, 64), (700, 650), (600_000, 700_000)), (0.0, 0.01, 0.5, 2, 10), (0.05, 0.001)
    ):
        expected, found = (
            float(known.power(effect, one, error, ratio=other / one)),
            student.power(effect, one, other, error),
        )
        assert found == pytest.approx(expected, abs=1e-6) or (numpy.isnan(expected) and 0.4 < found <= 1)
    for effect, wanted in product((0.01, 0.1, 0.5, 2), (0.5, 0.8, 0.95)):
        needed = power.plan([-1.0, 1.0] * 20, effect * stdev([-1.0, 1.0] * 20), wanted, 0.05)
        assert needed is not None
        assert needed.needed == ceil(float(known.solve_power(effect_size=effect, power=wanted, alpha=0.05)))
    for (one, other), wanted in product(((20, 20), (150, 151)), (0.5, 0.95)):
        expected = numpy.ravel(known.solve_power(nobs1=one, power=wanted, alpha=0.05, ratio=other / one))[0]
        assert student.detectable(one, other, wanted, 0.05) == pytest.approx(expected, rel=1e-5)
    assert student.detectable(20, 20, 0.05, 0.05) is None, "what chance alone finds as often"


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.5), st.floats(0.2, 0.99))
def test_as_many_deals_as_the_tables_say(base: float, effect: float, wanted: float) -> None:
    other = base + effect if base + effect <= 1 else base - effect
    if other < 0:
        return
    with warnings.catch_warnings():
        # It says so where it finds none.
        warnings.simplefilter("ignore")
        expected = NormalIndPower().solve_power(proportion_effectsize(other, base), power=wanted, alpha=0.05)
    assume(numpy.isfinite(expected))
    assert certifications.sample_size(base, effect, wanted, 0.05) == pytest.approx(ceil(expected), abs=1)
