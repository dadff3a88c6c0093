"""Two tracks scored side by side: finance, rigid, and process, elastic (S3, S17)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_targets.aggregation import manner
from closedloop_targets.metrics.rules import Metric

Track = Literal["finance", "process"]
TRACKS: tuple[Track, ...] = ("finance", "process")


class TrackRule(Part):
    """Its part of the whole, and between which scores a single metric moves."""

    weight: float = Field(ge=0, le=1)
    floor: float = Field(default=0, ge=0, le=100)
    cap: float = Field(default=150, ge=100, le=1000)

    def model_post_init(self, context: object, /) -> None:
        if self.floor > self.cap:
            raise ValueError("a floor lies below its cap")


class AppraisalRules(Rules):
    """How a score comes about; 100 is on target."""

    rulebook: ClassVar[str] = "targets.appraisals"

    # Rigid: nothing is given away below, a little above. Elastic: a process never ruins and never makes a score alone.
    finance: TrackRule = TrackRule(weight=0.7, floor=0, cap=150)
    process: TrackRule = TrackRule(weight=0.3, floor=40, cap=120)
    # Whether money counts with the life-cycle weight of its product (S16).
    stage_weighted: bool = False
    # Whether a process metric nobody measured scores the floor; otherwise the others share its weight.
    missing_scores_floor: bool = False

    def model_post_init(self, context: object, /) -> None:
        if abs(self.finance.weight + self.process.weight - 1) > 1e-9:
            raise ValueError("the two tracks share one whole")

    def track(self, name: Track) -> TrackRule:
        return self.finance if name == "finance" else self.process


@dataclass(frozen=True, slots=True)
class Figure:
    """What is known of one metric of one holder. Amounts in minor units or millionths; None: not known."""

    metric: Metric
    target: int | None
    actual: int | None
    stage_weighted: int | None
    currency: str
    plan_versions: tuple[int, ...] = ()
    product_id: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """`weight` is its part of the track, 0 where it says nothing."""

    figure: Figure
    completion: float | None
    weight: float
    score: float
    note: str


@dataclass(frozen=True, slots=True)
class TrackScore:
    track: Track
    weight: float
    score: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Score:
    tracks: tuple[TrackScore, ...]
    score: float


def score(figures: Sequence[Figure], rules: AppraisalRules) -> Score:
    """Weighted over metrics within a track, and over tracks; a track without a figure leaves its weight to the other."""
    tracks = [_track(name, [one for one in figures if one.metric.track == name], rules) for name in TRACKS]
    said = [one for one in tracks if any(line.weight for line in one.lines)]
    total = sum(one.weight for one in said)
    whole = sum(one.score * one.weight for one in said) / total if total else 0.0
    shared = tuple(
        TrackScore(one.track, one.weight / total if one in said and total else 0.0, one.score, one.lines)
        for one in tracks
    )
    return Score(shared, whole)


def _track(name: Track, figures: Sequence[Figure], rules: AppraisalRules) -> TrackScore:
    rule = rules.track(name)
    judged = [(one, *completion(one, rules)) for one in figures]
    lacking = rule.floor if name == "process" and rules.missing_scores_floor else None
    weights = [one.metric.weight_ratio if done is not None or lacking is not None else 0.0 for one, done, _ in judged]
    total = sum(weights)
    lines = []
    for (one, done, note), weight in zip(judged, weights, strict=True):
        points = lacking or 0.0 if done is None else min(max(done * 100, rule.floor), rule.cap)
        lines.append(Line(one, done, weight / total if total else 0.0, points, note))
    return TrackScore(name, rule.weight, sum(line.score * line.weight for line in lines), tuple(lines))


def completion(figure: Figure, rules: AppraisalRules) -> tuple[float | None, str]:
    """Held against the target, else against the healthy value, else the benchmark; and what a reader must know."""
    metric, actual = figure.metric, figure.actual
    if rules.stage_weighted and figure.stage_weighted is not None:
        actual = figure.stage_weighted
    against, note = figure.target, ""
    if against is None:
        value = metric.healthy if metric.healthy is not None else metric.benchmark
        if metric.track == "finance" or value is None:
            return (
                None,
                "no target in force and no healthy value" if metric.track == "process" else "no target in force",
            )
        against = int(value * 1_000_000)
        note = f"against the {'healthy value' if metric.healthy is not None else 'benchmark'} of {value}"
    if actual is None:
        if metric.track == "finance":
            return 0.0, "nothing was recorded"
        return None, "was not measured"
    if not against:
        return None, "the target is nothing"
    return manner(metric).attained(actual, against), note
