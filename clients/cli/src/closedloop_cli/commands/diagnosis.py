"""Diagnosis: where deals stick, and why; the funnel's own, or a process log brought in."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from google.type.interval_pb2 import Interval

from closedloop.funnel.v1 import diagnosis_pb2 as pb
from closedloop.funnel.v1 import diagnosis_pb2_grpc, pipelines_pb2
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Diagnosis: the stage where deals stick is found and named.")

_STAGES = [
    Column("stage", lambda stage: stage.stage_name),
    Column("entered", lambda stage: f"{stage.entered_count:,}", right=True),
    Column("parked_deals", lambda stage: f"{stage.parked_count:,}", right=True),
    Column("mean_days", lambda stage: _days(stage, "mean_dwell_days"), right=True),
    Column("median_days", lambda stage: _days(stage, "median_dwell_days"), right=True),
    Column("p90_days", lambda stage: _days(stage, "p90_dwell_days"), right=True),
    Column("total_days", lambda stage: f"{stage.total_dwell.ToTimedelta().total_seconds() / 86400:,.1f}", right=True),
]


@app.command()
def run(
    ctx: typer.Context,
    begins: Annotated[str, typer.Option("--from", help="first day, or moment")],
    ends: Annotated[str, typer.Option("--to", help="the day after the last, or moment")],
    log: Annotated[
        str, typer.Option(help="a log brought in with `closedloop import process`; our funnel when absent")
    ] = "",
    calendar: Annotated[str, typer.Option(help="of a log: plain, or a business calendar")] = "",
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    pipeline: str = "",
) -> None:
    """Where deals stuck in a period, held against the same period of the year before."""
    here = session(ctx)
    request = pb.DiagnoseFunnelRequest(
        request_id=new_id(),
        scope=pipelines_pb2.FunnelScope(unit_id=unit, pipeline_id=pipeline),
        period=Interval(start_time=shapes.parse_time(begins, "--from"), end_time=shapes.parse_time(ends, "--to")),
        process_log=log,
        calendar=calendar,
    )
    _show(here, here.call(_stub(here).DiagnoseFunnel, request))


@app.command()
def show(ctx: typer.Context, diagnosis_id: str) -> None:
    """One made before."""
    here = session(ctx)
    _show(here, here.call(_stub(here).GetDiagnosis, pb.GetDiagnosisRequest(diagnosis_id=diagnosis_id)))


def _show(here: Session, found: pb.Diagnosis) -> None:
    here.screen.record(found, [("id", found.id), ("summary", found.summary)])
    here.screen.table(_STAGES, found.stages)


def _days(stage: Any, field: str) -> str:
    return f"{getattr(stage, field):.2f}" if stage.HasField(field) else ""


def _stub(here: Session) -> diagnosis_pb2_grpc.DiagnosisServiceAsyncStub:
    return here.stub("funnel", diagnosis_pb2_grpc.DiagnosisServiceStub)
