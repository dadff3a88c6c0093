"""Clocks: the timers behind every time rule."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop.platform.v1 import platform_pb2_grpc
from closedloop_cli import fleet, shapes
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import session

app = typer.Typer(no_args_is_help=True, help="Clocks: what is due, warned of, breached.")


@app.command("list")
def list_(
    ctx: typer.Context,
    service: fleet.Of = "",
    kind: Annotated[str, typer.Option(help='e.g. "customers.first_response"')] = "",
    subject: Annotated[str, typer.Option(help="the record it watches")] = "",
    state: Annotated[str, typer.Option(help="open, paused, met, breached, cancelled; all when empty")] = "open",
    limit: Annotated[int, typer.Option(min=0, help="per service; 0: all")] = 50,
) -> None:
    """Clocks, the most urgent first."""
    run = session(ctx)
    wanted = shapes.number(pb.ClockState, state, "--state") if state else pb.CLOCK_STATE_UNSPECIFIED

    def question(name: str) -> list[pb.Clock]:
        stub = run.stub(name, platform_pb2_grpc.ClockServiceStub)
        request = pb.ListClocksRequest(kind=kind, subject=subject, state=wanted)
        return list(run.pages(stub.ListClocks, request, "clocks", limit))

    answers = fleet.ask(run, fleet.chosen(run, service), question)
    rows = sorted(
        ((name, clock) for name, clocks in answers for clock in clocks), key=lambda row: row[1].due_time.ToNanoseconds()
    )
    if run.screen.as_json:
        for name, clock in rows:
            run.screen.line({"service": name, **plain(clock)})
    elif not run.screen.table(_COLUMNS, rows) and not run.failed:
        run.screen.say("nothing")
    fleet.ended(run)


_COLUMNS = [
    Column("service", lambda row: row[0]),
    Column("kind", lambda row: row[1].kind),
    Column("subject", lambda row: row[1].subject),
    Column("owner", lambda row: row[1].owner_id),
    Column("calendar", lambda row: row[1].calendar),
    Column("state", lambda row: shapes.word(pb.ClockState, row[1].state)),
    Column("start_time", lambda row: shapes.when(row[1].start_time)),
    Column("warn_time", lambda row: shapes.when(row[1].warn_time)),
    Column("due_time", lambda row: shapes.when(row[1].due_time)),
    Column("level", lambda row: str(row[1].level or ""), right=True),
]
