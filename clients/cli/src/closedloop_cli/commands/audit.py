"""The audit trail: who changed what, when, for whom and because of what."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from google.protobuf import json_format

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop.platform.v1 import platform_pb2_grpc
from closedloop_cli import fleet, shapes
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import session

app = typer.Typer(no_args_is_help=True, help="Audit: the whole trail, system actors too.")


@app.command("list")
def list_(
    ctx: typer.Context,
    service: fleet.Of = "",
    subject: Annotated[str, typer.Option(help="the record")] = "",
    actor: Annotated[str, typer.Option(help="person, program or system actor")] = "",
    since: Annotated[str, typer.Option(help="e.g. 2026-01-05T09:00")] = "",
    until: str = "",
    limit: Annotated[int, typer.Option(min=0, help="per service; 0: all")] = 50,
) -> None:
    """Entries, newest first."""
    run = session(ctx)
    start = shapes.parse_time(since, "--since") if since else None
    end = shapes.parse_time(until, "--until") if until else None

    def question(name: str) -> list[pb.AuditEntry]:
        stub = run.stub(name, platform_pb2_grpc.AuditServiceStub)
        request = pb.ListAuditEntriesRequest(subject=subject, actor_id=actor, start_time=start, end_time=end)
        return list(run.pages(stub.ListAuditEntries, request, "entries", limit))

    answers = fleet.ask(run, fleet.chosen(run, service), question)
    rows = [(name, entry) for name, entries in answers for entry in entries]
    rows.sort(key=lambda row: row[1].time.ToNanoseconds(), reverse=True)
    if run.screen.as_json:
        for name, entry in rows:
            run.screen.line({"service": name, **plain(entry)})
    elif not run.screen.table(_COLUMNS, rows) and not run.failed:
        run.screen.say("nothing")
    fleet.ended(run)


def _changes(entry: Any) -> str:
    fields = json_format.MessageToDict(entry.changes)
    return ", ".join(fields)


_COLUMNS = [
    Column("time", lambda row: shapes.when(row[1].time)),
    Column("service", lambda row: row[0]),
    Column("by", lambda row: row[1].actor_id),
    Column("on_behalf_of", lambda row: row[1].on_behalf_of),
    Column("action", lambda row: row[1].action),
    Column("subject", lambda row: row[1].subject),
    Column("field", lambda row: _changes(row[1])),
    Column("why", lambda row: row[1].business_action or row[1].cause),
]
