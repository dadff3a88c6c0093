"""Scores out of dimensions: the same arithmetic in Python, where a score is explained, and in SQL, where all are computed.

points = 100 x (value - zero_at) / (full_at - zero_at), held between 0 and 100; score = sum of points x weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import NormalDist
from typing import Any

from pydantic import Field, model_validator

from closedloop.common.v1.common_pb2 import Evidence
from closedloop.customers.v1 import potential_pb2 as pb
from closedloop_chassis.rulebook.rules import Part


class Dimension(Part):
    """One part of a score. `zero_at` lies above `full_at` where less is better."""

    title: str
    weight: float = Field(ge=0, le=1)
    zero_at: float = 0.0
    full_at: float
    # Points where there is no data.
    missing_points: float = Field(default=50, ge=0, le=100)
    unit: str = Field(default="1", max_length=20)

    @model_validator(mode="after")
    def _spans(self) -> Dimension:
        if self.zero_at == self.full_at:
            raise ValueError("zero_at and full_at differ")
        return self


def check_weights(dimensions: Mapping[Any, Dimension]) -> None:
    """Raises ValueError unless the weights sum to 1."""
    if not math.isclose(sum(dimension.weight for dimension in dimensions.values()), 1.0, abs_tol=1e-9):
        raise ValueError("the weights sum to 1")


def points(value: float | None, dimension: Dimension) -> float:
    if value is None:
        return dimension.missing_points
    share = (value - dimension.zero_at) / (dimension.full_at - dimension.zero_at)
    return 100 * min(max(share, 0.0), 1.0)


# Over the arrays `values`, %(zeros)s, %(fulls)s, %(weights)s and %(missing)s of one length.
SCORE_SQL = """(
SELECT sum(weight * CASE WHEN value IS NULL THEN missing
                         ELSE 100 * least(greatest((value - zero) / (full_ - zero), 0), 1) END)
  FROM unnest(values, %(zeros)s::float8[], %(fulls)s::float8[], %(weights)s::float8[], %(missing)s::float8[])
       AS d (value, zero, full_, weight, missing))"""


def params(dimensions: Mapping[Any, Dimension]) -> dict[str, list[float]]:
    """For SCORE_SQL, in the order of `dimensions`."""
    each = list(dimensions.values())
    return {
        "zeros": [dimension.zero_at for dimension in each],
        "fulls": [dimension.full_at for dimension in each],
        "weights": [dimension.weight for dimension in each],
        "missing": [dimension.missing_points for dimension in each],
    }


def parts(measures: Mapping[str, float | None], dimensions: Mapping[Any, Dimension]) -> list[pb.ScoreDimension]:
    """The largest contribution first."""
    shown = []
    for key, dimension in dimensions.items():
        value = measures.get(key)
        earned = points(value, dimension)
        said = "没有数据" if value is None else f"{value:g} {dimension.unit}".removesuffix(" 1")
        text = f"{dimension.title}：{said}"
        shown.append(
            pb.ScoreDimension(
                key=key,
                title=dimension.title,
                input=Evidence(name=key, value=value or 0.0, unit=dimension.unit, text=text),
                points=earned,
                weight_ratio=dimension.weight,
                contribution=earned * dimension.weight,
                explanation=f"{text}，{earned:.0f} 分，权重 {dimension.weight:g}",
                missing=value is None,
            )
        )
    return sorted(shown, key=lambda part: (-part.contribution, part.key))


@dataclass(frozen=True, slots=True)
class Foretold:
    """One verdict held against what happened: `score` orders (the likeliest highest), `said` and `happened` are yes or
    no."""

    score: float
    said: bool
    happened: bool


def accuracy(verdicts: Sequence[Foretold], least: int, *, ordered: bool = True) -> pb.ScoreAccuracy:
    """Precision and recall with their 95 % intervals, and the lift of the best-scored tenth; of fewer than `least` that it
    happened to, or did not, the counts and why they say nothing."""
    right = sum(one.said and one.happened for one in verdicts)
    wrong = sum(one.said and not one.happened for one in verdicts)
    missed = sum(one.happened and not one.said for one in verdicts)
    happened, spared = right + missed, len(verdicts) - right - missed
    counted = pb.ScoreAccuracy(
        true_positives=right,
        false_positives=wrong,
        false_negatives=missed,
        true_negatives=spared - wrong,
        sample_size=len(verdicts),
    )
    if min(happened, spared) < least:
        counted.explanation = (
            f"说不准：共 {len(verdicts)} 个，发生 {happened} 个、未发生 {spared} 个，各需至少 {least} 个"
        )
        return counted
    low, high = wilson(right, right + wrong)
    recall_low, recall_high = wilson(right, happened)
    rates = pb.ScoreAccuracy(
        precision_ratio=right / (right + wrong) if right + wrong else 0.0,
        precision_low_ratio=low,
        precision_high_ratio=high,
        recall_ratio=right / happened if happened else 0.0,
        recall_low_ratio=recall_low,
        recall_high_ratio=recall_high,
        top_decile_lift=lift(verdicts) if ordered else 0.0,
        enough_data=True,
        method="wilson",
        explanation=f"判为是的 {right + wrong} 个中发生 {right} 个；发生的 {happened} 个中判为是 {right} 个；共 {len(verdicts)} 个",
    )
    counted.MergeFrom(rates)
    return counted


def wilson(hits: int, tries: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); nothing is known of none. Written out, because the library the funnel has it
    from is twice as large as this whole service; tests hold the two to the same figures."""
    if not tries:
        return 0.0, 0.0
    z = NormalDist().inv_cdf(0.975)
    share, square = hits / tries, z * z / tries
    middle = (share + square / 2) / (1 + square)
    width = z / (1 + square) * math.sqrt(share * (1 - share) / tries + square / (4 * tries))
    return max(middle - width, 0.0), min(middle + width, 1.0)


def lift(verdicts: Iterable[Foretold]) -> float:
    """Rate of what happened in the best-scored tenth over the rate in all; 0 without any. Of equal scores, each counts
    for as much as fits into the tenth: no order is made up."""
    ordered = sorted(verdicts, key=lambda one: -one.score)
    happened = sum(one.happened for one in ordered)
    if not happened:
        return 0.0
    size = left = max(len(ordered) // 10, 1)
    hits = 0.0
    for _, equals in groupby(ordered, key=lambda one: one.score):
        tied = list(equals)
        taken = min(len(tied), left)
        hits += taken * sum(one.happened for one in tied) / len(tied)
        left -= taken
        if not left:
            break
    return (hits / size) / (happened / len(ordered))
