"""How sure a score is: the intervals of its parts, taken together (S89).

Shares have Wilson's interval, means of several grades Student's, and one grade alone may be anything. Of a weighted sum the
interval follows from those of its parts (MOVER: Zou and Donner 2008, of which Newcombe's difference is the simplest case).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from statistics import fmean, stdev

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_funnel import estimates
from closedloop_funnel.abilities import rules
from closedloop_funnel.abilities.rules import FULL, AbilityRules, PartWord
from closedloop_funnel.standard_errors import reach

METHOD = "mover, wilson, student_t"
# A point of the scale; parts that are told as shares.
UNIT = "point"
SHARES = frozenset[PartWord]({"talk", "win_rate", "lesson"})


def of_score(judged_by: AbilityRules, parts: Sequence[rules.Piece]) -> pb.Estimate:
    """0..100 with its interval; too little behind it says that it cannot say."""
    counted = rules.counted(judged_by, parts)
    cases = sum(one.cases for one in counted)
    value = rules.score(judged_by, parts)
    if value is None:
        had = ", ".join(f"{one.part} {one.cases}" for one in parts) or "nothing"
        return estimates.cannot_say(UNIT, sum(one.cases for one in parts), f"too little behind it: {had}")
    weight = sum(judged_by.weights[one.part] for one in counted)
    below = above = 0.0
    for one in counted:
        share, (low, high) = judged_by.weights[one.part] / weight, _around(one)
        below += (share * (one.value - low)) ** 2
        above += (share * (high - one.value)) ** 2
    return pb.Estimate(
        value=value,
        unit=UNIT,
        low=max(0.0, value - sqrt(below)),
        high=min(FULL, value + sqrt(above)),
        confidence_ratio=estimates.CONFIDENCE,
        sample_size=cases,
        method=METHOD,
        verdict=pb.ESTIMATE_VERDICT_DESCRIPTIVE,
        explanation=", ".join(f"{one.part} {one.value:.0f} of {one.cases}" for one in counted),
    )


def of_change(before: pb.Estimate, after: pb.Estimate) -> pb.Estimate:
    """Higher or lower only when zero lies outside the interval."""
    cases = before.sample_size + after.sample_size
    if not (before.HasField("value") and after.HasField("value")):
        return estimates.cannot_say(UNIT, cases, "it takes two months with a score")
    change = after.value - before.value
    low = change - sqrt((after.value - after.low) ** 2 + (before.high - before.value) ** 2)
    high = change + sqrt((after.high - after.value) ** 2 + (before.value - before.low) ** 2)
    verdict = pb.ESTIMATE_VERDICT_NO_DIFFERENCE
    if low > 0 or high < 0:
        verdict = pb.ESTIMATE_VERDICT_HIGHER if low > 0 else pb.ESTIMATE_VERDICT_LOWER
    return pb.Estimate(
        value=change,
        unit=UNIT,
        low=low,
        high=high,
        confidence_ratio=estimates.CONFIDENCE,
        sample_size=cases,
        method=METHOD,
        verdict=verdict,
        explanation=f"{before.value:.0f} of {before.sample_size} before, {after.value:.0f} of {after.sample_size} after",
    )


def _around(one: rules.Piece) -> tuple[float, float]:
    if one.part in SHARES:
        low, high = _wilson(round(one.value * one.cases / FULL), one.cases)
        return FULL * low, FULL * high
    if len(one.grades) < 2:
        return 0.0, FULL
    count, middle = len(one.grades), fmean(one.grades)
    half = reach(count) * stdev(one.grades) / sqrt(count)
    return max(0.0, middle - half), min(FULL, middle + half)


# A heat map asks for the same few shares a thousand times.
_wilson = lru_cache(maxsize=10_000)(estimates.wilson)
