"""Figures of all services: what they mean, whose they are, and how far they can be believed (S79, S80, S83)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import grpc.aio
import typer
from google.protobuf.message import Message
from google.type.date_pb2 import Date

from closedloop.common.v1 import common_pb2
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop.platform.v1 import metrics_pb2_grpc
from closedloop_chassis import client
from closedloop_cli import fleet, shapes
from closedloop_cli.commands.trace import owner_of
from closedloop_cli.screen import Column, Fields, plain
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Metrics: what figures mean, whose they are, how far to believe them.")

Unit = Annotated[str, typer.Option("--for", help="unit with all below it")]


@app.command("list")
def list_(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="part of a name or title")] = "",
    service: fleet.Of = "",
    owner: Annotated[str, typer.Option(help="person who answers for it")] = "",
    board: Annotated[str, typer.Option(help='e.g. "BoardService.GetFunnelBoard"')] = "",
) -> None:
    """Every figure with its source, its owner and where it is shown."""
    run = session(ctx)

    def question(name: str) -> list[pb.Metric]:
        request = pb.ListMetricsRequest(query=query, owner_id=owner, shown_in=board)
        return list(run.pages(_stub(run, name).ListMetrics, request, "metrics"))

    answers = fleet.ask(run, fleet.chosen(run, service), question)
    _shown(run, _METRICS, [metric for _, metrics in answers for metric in metrics])


@app.command()
def show(ctx: typer.Context, metric: Annotated[str, typer.Argument(help="e.g. funnel.won_value")]) -> None:
    """One figure and the way it comes, from where it is entered to where it is shown."""
    run = session(ctx)
    found = run.call(_stub(run, owner_of(metric)).GetMetric, pb.GetMetricRequest(name=metric))
    fields: Fields = [
        ("metric", found.name),
        ("title", found.title),
        ("definition", found.definition),
        ("formula", found.formula),
        ("unit", found.unit),
        ("source", _sources(found)),
        ("owner", _owner(found)),
        ("refreshed", found.refresh_rule),
        ("scopes", ", ".join(found.scopes)),
        ("shown_in", "\n".join(found.shown_in)),
        ("made_of", "\n".join(found.upstream)),
        ("rule", f"{found.rule.rulebook} v{found.rule.version}: {found.rule.rule}"),
    ]
    run.screen.record(found, fields)
    if not run.screen.as_json:
        run.screen.table(_STEPS, found.lineage.edges)


@app.command()
def health(
    ctx: typer.Context,
    metric: Annotated[str, typer.Argument(help="one of them; all when absent")] = "",
    service: fleet.Of = "",
    unit: Unit = "",
    period: Annotated[str, typer.Option(help="2026-01, 2026-01-05..2026-02-04; the latest day when absent")] = "",
    light: Annotated[str, typer.Option(help="at least blue, yellow or red")] = "",
    limit: Annotated[int, typer.Option(min=0, help="per service; 0: all")] = 0,
) -> None:
    """Daily scores: how complete, how much in agreement, how timely."""
    run = session(ctx)
    request = pb.ListMetricHealthRequest(name=metric, unit_id=unit)
    if period:
        begin, end = shapes.parse_period(period, "--period")
        request.start_date.CopyFrom(begin)
        request.end_date.CopyFrom(end)
    if light:
        request.light = shapes.number(common_pb2.Light, light, "--light")

    def question(name: str) -> list[pb.MetricHealth]:
        own = pb.ListMetricHealthRequest()
        own.CopyFrom(request)
        return list(run.pages(_stub(run, name).ListMetricHealth, own, "healths", limit))

    services = [owner_of(metric)] if metric else fleet.chosen(run, service)
    _shown(run, _HEALTHS, [one for _, healths in fleet.ask(run, services, question) for one in healths])


@app.command()
def credibility(
    ctx: typer.Context,
    month: Annotated[str, typer.Argument(help="2026-01; the one that runs when absent")] = "",
    service: fleet.Of = "",
    unit: Unit = "",
    limit: Annotated[int, typer.Option(min=0, help="findings per service; 0: all")] = 20,
) -> None:
    """How far the data can be believed: what is wrong with it, counted, and what to do; the worst first."""
    run = session(ctx)
    days = [shapes.parse_period(month, "MONTH")[0]] if month else _running()

    def question(name: str) -> pb.CredibilityReport | None:
        requests = [pb.GetCredibilityReportRequest(year=day.year, month=day.month, unit_id=unit) for day in days]
        return _report(run, _stub(run, name), requests)

    reports = [one for _, one in fleet.ask(run, fleet.chosen(run, service), question) if one is not None]
    if run.screen.as_json:
        for report in reports:
            run.screen.line(plain(report))
    elif not run.screen.table(_REPORTS, reports) and not run.failed:
        run.screen.say("nothing")
    else:
        shown = [(report, one) for report in reports for one in (report.findings[:limit] if limit else report.findings)]
        run.screen.table(_FINDINGS, sorted(shown, key=lambda row: -row[1].light))
    fleet.ended(run)


def _running() -> list[Date]:
    """The month it is here, or the one before: where the company is it may not have begun."""
    today = datetime.now(UTC).astimezone().date()
    before = today.replace(day=1) - timedelta(days=1)
    return [Date(year=day.year, month=day.month, day=1) for day in (today, before)]


def _report(
    run: Session, stub: metrics_pb2_grpc.MetricServiceAsyncStub, requests: list[pb.GetCredibilityReportRequest]
) -> pb.CredibilityReport | None:
    """Of the first month that has begun; None of a service in which nothing can be looked at yet: that is no failure."""
    for place, request in enumerate(requests, 1):
        try:
            return run.call(stub.GetCredibilityReport, request)
        except grpc.aio.AioRpcError as error:
            reason = client.info(error).reason
            if reason == "NO_DATA":
                return None
            if reason != "MONTH_IN_FUTURE" or place == len(requests):
                raise
    return None


def _shown(run: Session, columns: list[Column], rows: list[Any]) -> None:
    if run.screen.as_json:
        for row in rows:
            run.screen.line(plain(row))
    elif not run.screen.table(columns, rows) and not run.failed:
        run.screen.say("nothing")
    fleet.ended(run)


def _stub(run: Session, service: str) -> metrics_pb2_grpc.MetricServiceAsyncStub:
    return run.stub(service, metrics_pb2_grpc.MetricServiceStub)


def _owner(one: pb.Metric | pb.DataFinding) -> str:
    """The person, or the role nobody holds."""
    return one.owner_id or f"({one.owner_role})"


def _sources(metric: pb.Metric) -> str:
    return ", ".join(shapes.word(pb.MetricSource, source) for source in metric.sources)


def _score(message: Message, name: str) -> str:
    return shapes.ratio(getattr(message, name).score) if message.HasField(name) else ""


_METRICS = [
    Column("metric", lambda one: one.name),
    Column("title", lambda one: one.title),
    Column("unit", lambda one: one.unit),
    Column("source", _sources),
    Column("owner", _owner),
    Column("refreshed", lambda one: one.refresh_rule),
    Column("shown_in", lambda one: ", ".join(one.shown_in)),
]
_STEPS = [
    Column("from", lambda edge: edge.from_id),
    Column("step", lambda edge: edge.transformation),
    Column("to", lambda edge: edge.to_id),
]
_HEALTHS = [
    Column("date", lambda one: shapes.day(one.date)),
    Column("metric", lambda one: one.name),
    Column("light", lambda one: shapes.light(one.light)),
    Column("score", lambda one: shapes.ratio(one.overall), right=True),
    Column("completeness", lambda one: _score(one, "completeness"), right=True),
    Column("consistency", lambda one: _score(one, "consistency"), right=True),
    Column("timeliness", lambda one: _score(one, "timeliness"), right=True),
]
_REPORTS = [
    Column("service", lambda report: report.service),
    Column("month", lambda report: f"{report.year}-{report.month:02}"),
    Column("score", lambda report: f"{report.score:.1f}" if report.HasField("score") else "", right=True),
    Column(
        "before", lambda report: f"{report.previous_score:.1f}" if report.HasField("previous_score") else "", right=True
    ),
    Column("findings", lambda report: str(len(report.findings)), right=True),
    Column("worst", lambda report: report.metrics[0].name if report.metrics else ""),
]
_FINDINGS = [
    Column("light", lambda row: shapes.light(row[1].light)),
    Column("service", lambda row: row[0].service),
    Column("kind", lambda row: row[1].kind),
    Column("field", lambda row: f"{row[1].record_type}.{row[1].field}".rstrip(".")),
    Column("records", lambda row: f"{row[1].count:,} / {row[1].examined:,}", right=True),
    Column("owner", lambda row: _owner(row[1])),
    Column("advice", lambda row: row[1].suggestion),
]
