"""Events that could not be applied, and how far each service is behind."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop.platform.v1 import platform_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import fleet, shapes
from closedloop_cli.failures import Usage
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Events: parked, redriven, on their way.")


@app.command()
def parked(
    ctx: typer.Context,
    service: fleet.Of = "",
    event_type: Annotated[str, typer.Option("--type", help="only of this CloudEvents type")] = "",
    limit: Annotated[int, typer.Option(min=0, help="per service; 0: all")] = 50,
) -> None:
    """Parked events with the error that parked them."""
    run = session(ctx)

    def question(name: str) -> list[pb.ParkedEvent]:
        request = pb.ListParkedEventsRequest(type=event_type)
        return list(run.pages(_stub(run, name).ListParkedEvents, request, "events", limit))

    answers = fleet.ask(run, fleet.chosen(run, service), question)
    rows = [(name, event) for name, events in answers for event in events]
    if run.screen.as_json:
        for name, event in rows:
            run.screen.line({"service": name, **plain(event)})
    elif not run.screen.table(_PARKED, rows) and not run.failed:
        run.screen.say("parked_none")
    fleet.ended(run)


@app.command()
def redrive(
    ctx: typer.Context,
    event_ids: Annotated[list[str] | None, typer.Argument(help="these; with --all every parked event")] = None,
    service: fleet.Of = "",
    event_type: Annotated[str, typer.Option("--type", help="all of this type")] = "",
    everything: Annotated[bool, typer.Option("--all", help="every parked event")] = False,
) -> None:
    """Gives parked events back to the reactor, their attempts counted from zero."""
    run = session(ctx)
    if not (event_ids or event_type or everything):
        raise Usage("redrive_what")

    def question(name: str) -> int:
        request = pb.RedriveParkedEventsRequest(request_id=new_id(), event_ids=event_ids or [], type=event_type)
        return run.call(_stub(run, name).RedriveParkedEvents, request).redriven

    answers = fleet.ask(run, fleet.chosen(run, service), question)
    if run.screen.as_json:
        run.screen.document(dict(answers))
    else:
        run.screen.say("redriven", count=sum(count for _, count in answers))
    fleet.ended(run)


@app.command()
def backlog(ctx: typer.Context, service: fleet.Of = "") -> None:
    """How far outbox, inbox and clocks are behind."""
    run = session(ctx)

    def question(name: str) -> pb.GetEventBacklogResponse:
        return run.call(_stub(run, name).GetEventBacklog, pb.GetEventBacklogRequest())

    answers = fleet.ask(run, fleet.chosen(run, service), question)
    if run.screen.as_json:
        run.screen.document({name: plain(found) for name, found in answers})
    else:
        run.screen.table(_BACKLOG, answers)
    fleet.ended(run)


def _stub(run: Session, service: str) -> platform_pb2_grpc.EventServiceAsyncStub:
    return run.stub(service, platform_pb2_grpc.EventServiceStub)


_PARKED = [
    Column("service", lambda row: row[0]),
    Column("id", lambda row: row[1].event_id),
    Column("kind", lambda row: row[1].type),
    Column("subject", lambda row: row[1].subject),
    Column("parked_time", lambda row: shapes.when(row[1].parked_time)),
    Column("attempts", lambda row: str(row[1].attempts), right=True),
    Column("error", lambda row: row[1].error),
]
_BACKLOG = [
    Column("service", lambda row: row[0]),
    Column("outbox", lambda row: str(row[1].outbox), right=True),
    Column("inbox", lambda row: str(row[1].inbox), right=True),
    Column("parked", lambda row: str(row[1].parked), right=True),
    Column("overdue_clocks", lambda row: str(row[1].overdue_clocks), right=True),
]
