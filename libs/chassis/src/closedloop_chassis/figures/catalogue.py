"""MetricService.ListMetrics and GetMetric: what each figure means, whose it is, and the way it comes (S79)."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import pages, protos
from closedloop_chassis.enums import number, word
from closedloop_chassis.figures import collected
from closedloop_chassis.figures.collected import Collected
from closedloop_chassis.figures.declared import Figure
from closedloop_chassis.figures.rules import holder
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.platform.v1.MetricService")


@rpcs.method
async def list_metrics(request: pb.ListMetricsRequest, call: Call) -> pb.ListMetricsResponse:
    (after,) = pages.after(request, -1)
    known = collected.of(call)
    wanted, source = request.query.casefold(), word(pb.MetricSource, request.source)
    rows = [
        (place, figure)
        for place, figure in enumerate(known.figures.values())
        if place > after
        and (wanted in figure.name.casefold() or wanted in figure.title.casefold())
        and (not source or source in figure.sources)
        and (not request.shown_in or request.shown_in in figure.shown_in)
        and request.owner_id in ("", owner(figure, known, call))
    ]
    page, token = pages.split(rows[: pages.size(request) + 1], request, lambda row: (row[0],))
    refreshed = await as_of(known, call)
    return pb.ListMetricsResponse(
        metrics=[to_proto(figure, known, call, refreshed[figure.name]) for _, figure in page], next_page_token=token
    )


@rpcs.method
async def get_metric(request: pb.GetMetricRequest, call: Call) -> pb.Metric:
    known = collected.of(call)
    figure = known.figure(request.name)
    refreshed = (await as_of(known, call))[figure.name]
    metric = to_proto(figure, known, call, refreshed)
    metric.lineage.CopyFrom(lineage(figure, known, call.process.service.name, refreshed))
    return metric


async def as_of(known: Collected, call: Call) -> dict[str, Timestamp | None]:
    """When the newest row behind each figure came: now, of what is read where it is written."""
    live = protos.timestamp(call.now)
    told = {
        id(part): protos.timestamp(await part.as_of(call)) if part.as_of else live
        for part in {id(part): part for part in known.by_figure.values()}.values()
    }
    return {name: told[id(part)] for name, part in known.by_figure.items()}


def owner(figure: Figure, known: Collected, call: Call) -> str:
    """The person who answers for it; empty while nobody holds the role that does."""
    return figure.owner_id or holder(call.org, collected.rules_of(known, call).owner_of(figure.name))


def unit(figure: Figure, call: Call) -> str:
    return call.home.currency + figure.unit if figure.unit in ("", "/d") else figure.unit


def to_proto(figure: Figure, known: Collected, call: Call, refreshed: Timestamp | None) -> pb.Metric:
    return pb.Metric(
        name=figure.name,
        title=figure.title,
        definition=figure.definition,
        formula=figure.formula,
        unit=unit(figure, call),
        sources=[number(pb.MetricSource, source) for source in figure.sources],
        refresh=Duration(),
        refresh_rule=figure.refresh_rule,
        owner_id=owner(figure, known, call),
        owner_role=collected.rules_of(known, call).owner_of(figure.name).role,
        service=call.process.service.name,
        scopes=figure.scopes,
        shown_in=figure.shown_in,
        upstream=figure.upstream,
        rule=collected.reference(call, *figure.rule, explanation=figure.formula),
        last_refresh_time=refreshed,
    )


def lineage(figure: Figure, known: Collected, service: str, refreshed: Timestamp | None) -> pb.Lineage:
    """From where it is entered to where it is shown, with everything it is made of; nodes before what is made of them."""
    made = known.made_of(figure.name)
    records = [known.records[name] for name in known.records_of(figure.name)]
    foreign = list(dict.fromkeys(part for one in made for part in one.upstream if part not in known.figures))

    def node(id: str, kind: pb.LineageNodeType.ValueType, title: str, at: str = service) -> pb.LineageNode:
        fresh = refreshed if at == service else None
        return pb.LineageNode(id=id, type=kind, title=title, service=at, last_refresh_time=fresh)

    nodes = [
        *(node(s, pb.LINEAGE_NODE_TYPE_SOURCE, s.upper()) for s in dict.fromkeys(record.source for record in records)),
        *(node(f"{service}.{one.name}", pb.LINEAGE_NODE_TYPE_RECORD, one.title) for one in records),
        *(node(name, pb.LINEAGE_NODE_TYPE_METRIC, name, name.partition(".")[0]) for name in foreign),
        *(node(one.name, pb.LINEAGE_NODE_TYPE_METRIC, one.title) for one in made),
        *(node(board, pb.LINEAGE_NODE_TYPE_BOARD, board, at=_shown_by(board, service)) for board in figure.shown_in),
    ]
    edges = [
        pb.LineageEdge(from_id=record.source, to_id=f"{service}.{record.name}", transformation=record.arrival)
        for record in records
    ]
    for one in made:
        edges += [
            pb.LineageEdge(from_id=f"{service}.{record}", to_id=one.name, transformation=one.step)
            for record in one.records
        ]
        edges += [pb.LineageEdge(from_id=part, to_id=one.name, transformation=one.formula) for part in one.upstream]
    edges += [pb.LineageEdge(from_id=figure.name, to_id=board, transformation="shown") for board in figure.shown_in]
    return pb.Lineage(nodes=nodes, edges=edges)


def _shown_by(board: str, service: str) -> str:
    """A board of another service names it: "targets.ActualService.SummarizeActuals"."""
    return board.partition(".")[0] if board.count(".") > 1 else service
