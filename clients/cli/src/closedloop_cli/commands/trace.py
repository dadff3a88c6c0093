"""Where a figure comes from: the raw records that make it, asked of the service that owns it (S79)."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop.platform.v1 import metrics_pb2_grpc
from closedloop_cli import connection, shapes
from closedloop_cli.failures import Usage
from closedloop_cli.screen import Column
from closedloop_cli.session import LARGEST_PAGE, Session, session


def trace(
    ctx: typer.Context,
    metric: Annotated[str, typer.Argument(help="with its service, e.g. integrations.operational_margin")],
    period: Annotated[str, typer.Option(help="2026, 2026-Q1, 2026-01, 2026-01-05 or 2026-01-05..2026-02-04")],
    unit: Annotated[str, typer.Option("--for", help="unit with all below it")] = "",
    person: Annotated[str, typer.Option(help="of one seller")] = "",
    account: Annotated[str, typer.Option(help="of one customer")] = "",
    product: Annotated[str, typer.Option(help="of one product")] = "",
    channel: Annotated[str, typer.Option(help="of one channel")] = "",
    pipeline: Annotated[str, typer.Option(help="of one pipeline")] = "",
    stage: Annotated[str, typer.Option(help="of one stage")] = "",
    kind: Annotated[str, typer.Option(help="of one kind of request or task")] = "",
    at: Annotated[str, typer.Option(help="as it was known then, 2026-01-05T09:00")] = "",
    limit: Annotated[int, typer.Option(min=0, help="rows shown; 0: all")] = 50,
) -> None:
    """A figure with the raw records that make it, each with its document."""
    run = session(ctx)
    service = owner_of(metric)
    begin, end = shapes.parse_period(period, "--period")
    scope = pb.MetricScope(
        unit_id=unit,
        person_id=person,
        account_id=account,
        product_id=product,
        channel=channel,
        pipeline_id=pipeline,
        stage_key=stage,
        kind=kind,
    )
    request = pb.TraceMetricRequest(name=metric, scope=scope, start_date=begin, end_date=end)
    if at:
        request.at.CopyFrom(shapes.parse_time(at, "--at"))
    found = _traced(run, service, request, limit)
    run.screen.record(found, _fields(found))
    if run.screen.as_json:
        return
    run.screen.table(_ROWS, found.rows)
    run.screen.say("traced", shown=len(found.rows), total=found.total_rows, sum=shapes.figure(found.total_contribution))


def owner_of(metric: str) -> str:
    """The service that answers for the figure: the first part of its name. Raises Usage."""
    service = metric.partition(".")[0]
    if service not in connection.SERVICES:
        raise Usage(
            "unknown_word", option="METRIC", word=metric, known=", ".join(f"{s}.…" for s in connection.SERVICES)
        )
    return service


def _traced(run: Session, service: str, request: pb.TraceMetricRequest, limit: int) -> pb.TraceMetricResponse:
    """The answer with the rows of its pages, up to `limit`."""
    stub = run.stub(service, metrics_pb2_grpc.MetricServiceStub)
    request.page_size = min(limit or LARGEST_PAGE, LARGEST_PAGE)
    whole = run.call(stub.TraceMetric, request)
    while whole.next_page_token and (not limit or len(whole.rows) < limit):
        request.page_token = whole.next_page_token
        request.page_size = min(limit - len(whole.rows) if limit else LARGEST_PAGE, LARGEST_PAGE)
        page = run.call(stub.TraceMetric, request)
        whole.rows.extend(page.rows)
        whole.next_page_token = page.next_page_token
    return whole


def _fields(found: pb.TraceMetricResponse) -> list[tuple[str, str]]:
    unit = "" if found.unit == "1" else found.unit
    return [
        ("value", f"{shapes.figure(found.value)} {unit}".rstrip() if found.HasField("value") else ""),
        ("reason", found.reason),
        ("formula", found.explanation),
        ("refreshed", shapes.when(found.refresh_time)),
    ]


def _field(row: pb.TraceRow, name: str) -> str:
    return str(row.fields[name]) if name in row.fields else ""


_ROWS = [
    Column("source", lambda row: row.provenance.source),
    Column("document", lambda row: _field(row, "number")),
    Column("date", lambda row: _field(row, "date")),
    Column("input", lambda row: row.input),
    Column("adds", lambda row: shapes.figure(row.contribution), right=True),
    Column("id", lambda row: row.record_id),
]
