"""MetricService: the catalogue with its lineage."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop.targets.v1 import metrics_pb2 as pb
from closedloop_chassis import pages
from closedloop_chassis.figures.rules import holder
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_targets import amounts
from closedloop_targets.figures.rules import TargetFigureRules
from closedloop_targets.metrics.rules import Metric, MetricRules

rpcs = Rpcs("closedloop.targets.v1.MetricService")


@rpcs.method
async def list_metrics(request: pb.ListMetricsRequest, call: Call) -> pb.ListMetricsResponse:
    (after,) = pages.after(request, -1)
    track = pb.Track.Name(request.track).removeprefix("TRACK_").lower() if request.track else ""
    rows = [
        (position, metric)
        for position, metric in enumerate(call.rules(MetricRules).metrics)
        if position > after and track in ("", metric.track) and (not request.codes or metric.code in request.codes)
    ]
    page, token = pages.split(rows[: pages.size(request) + 1], request, lambda row: (row[0],))
    version = call.process.rulebooks.version(MetricRules, call.now)
    money, answers = call.home.currency, call.rules(TargetFigureRules)
    return pb.ListMetricsResponse(
        metrics=[
            _to_proto(metric, money, version, holder(call.org, answers.owner_of(f"targets.{metric.code}")))
            for _, metric in page
        ],
        next_page_token=token,
    )


def _to_proto(metric: Metric, money: str, version: int, owner: str) -> pb.Metric:
    return pb.Metric(
        code=metric.code,
        name=metric.name,
        description=metric.description,
        track=pb.Track.Value(f"TRACK_{metric.track.upper()}"),
        kind=pb.MetricKind.Value(f"METRIC_KIND_{metric.kind.upper()}"),
        unit=money if metric.kind == "money" else metric.unit,
        aggregation=pb.Aggregation.Value(f"AGGREGATION_{metric.aggregation.upper()}"),
        lower_is_better=metric.lower_is_better,
        weight_ratio=metric.weight_ratio,
        benchmark=None if metric.benchmark is None else amounts.decimal(metric.benchmark),
        healthy=None if metric.healthy is None else amounts.decimal(metric.healthy),
        lineage=pb.MetricLineage(
            source=metric.source,
            system=metric.system,
            fed_by=metric.fed_by,
            refresh=metric.refresh,
            owner_id=metric.owner_id or owner,
        ),
        rule=RuleReference(rulebook=MetricRules.rulebook, version=version, rule=f"metrics.{metric.code}"),
    )
