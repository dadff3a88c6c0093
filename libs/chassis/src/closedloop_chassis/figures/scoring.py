"""Counts as the three scores of a figure (S80)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from closedloop.common.v1 import common_pb2
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.enums import number
from closedloop_chassis.figures import collected, rules
from closedloop_chassis.figures.collected import Collected
from closedloop_chassis.figures.rules import Count, Score
from closedloop_chassis.work import Call


def health(
    name: str, day: date, counts: Sequence[Count], known: Collected, made: datetime, call: Call
) -> pb.MetricHealth | None:
    """By the rules that were in force when it was made; None where nothing of what makes the figure could be looked at."""
    by = collected.rules_of(known, call, made)
    found = {score.dimension: score for score in rules.scores(known.of_figure(name, counts))}
    whole = rules.overall(by.weights, {dimension: score.together.score for dimension, score in found.items()})
    if whole is None:
        return None
    light, line = by.light(whole)
    said = ", ".join(f"{dimension} {score.together.score:.1%}" for dimension, score in found.items())
    return pb.MetricHealth(
        name=name,
        date=protos.date_proto(day),
        **{dimension: _score(score) for dimension, score in found.items()},
        overall=whole,
        light=number(common_pb2.Light, light),
        rule=collected.reference(call, known.model, line, f"{said}: {whole:.1%}, {line} {getattr(by, line):.0%}", made),
    )


def _score(score: Score) -> pb.HealthScore:
    return pb.HealthScore(
        score=score.together.score,
        examined=score.together.examined,
        failed=score.together.failed,
        evidence=[
            common_pb2.Evidence(
                name=f"{count.record}.{count.aspect}",
                value=count.score,
                unit="1",
                text=f"{count.failed} of {count.examined} fail",
            )
            for count in score.counts
        ],
    )
