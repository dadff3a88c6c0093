"""Outside systems: how they fare, what was read, what could not be."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.integrations.v1 import sources_pb2 as pb
from closedloop.integrations.v1 import sources_pb2_grpc
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Outside systems.")
Of = Annotated[str, typer.Option(help="of one source")]
Limit = Annotated[int, typer.Option(min=0, help="0: all")]


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Every source with its light, its circuit and the counts of a day."""
    run = session(ctx)
    run.screen.records(_SOURCES, run.pages(_stub(run).ListSources, pb.ListSourcesRequest(), "sources"))


@app.command()
def runs(
    ctx: typer.Context,
    source: Of = "",
    failed: Annotated[bool, typer.Option("--failed", help="only those that failed")] = False,
    limit: Limit = 50,
) -> None:
    """Polls, files and imports with what they read, took in and refused, newest first."""
    run = session(ctx)
    request = pb.ListRunsRequest(source=source, failed_only=failed)
    run.screen.records(_RUNS, run.pages(_stub(run).ListRuns, request, "runs", limit))


@app.command()
def quarantine(
    ctx: typer.Context,
    source: Of = "",
    run_id: Annotated[str, typer.Option("--run", help="of one run")] = "",
    limit: Limit = 50,
) -> None:
    """What came in and could not be read, with the reason."""
    run = session(ctx)
    request = pb.ListQuarantineRequest(source=source, run_id=run_id)
    run.screen.records(_ITEMS, run.pages(_stub(run).ListQuarantine, request, "items", limit))


def _stub(run: Session) -> sources_pb2_grpc.SourceServiceAsyncStub:
    return run.stub("integrations", sources_pb2_grpc.SourceServiceStub)


_SOURCES = [
    Column("light", lambda source: shapes.light(source.light)),
    Column("name", lambda source: source.name),
    Column("state", lambda source: shapes.word(pb.SourceState, source.state)),
    Column("received", lambda source: str(source.received), right=True),
    Column("rejected", lambda source: str(source.rejected + source.quarantined), right=True),
    Column("error", lambda source: source.last_error),
]
_RUNS = [
    Column("id", lambda run: run.id),
    Column("source", lambda run: run.source),
    Column("start_time", lambda run: shapes.when(run.start_time)),
    Column("read", lambda run: str(run.summary.read), right=True),
    Column("created", lambda run: str(run.summary.created), right=True),
    Column("updated", lambda run: str(run.summary.updated), right=True),
    Column("rejected", lambda run: str(run.summary.rejected), right=True),
    Column("file", lambda run: run.file_name or run.poll),
    Column("by", lambda run: run.brought_by),
    Column("error", lambda run: run.error),
]
_ITEMS = [
    Column("id", lambda item: item.id),
    Column("source", lambda item: item.source),
    Column("line", lambda item: str(item.row), right=True),
    Column("reason", lambda item: item.reason),
    Column("message", lambda item: item.message),
    Column("written", lambda item: item.raw[:80]),
]
