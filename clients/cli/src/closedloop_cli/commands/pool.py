"""The public pool: what nobody holds, for whoever takes it first."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.customers.v1 import accounts_pb2, assignment_pb2_grpc
from closedloop.customers.v1 import assignment_pb2 as pb
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Pool: leads and accounts that nobody holds.")

Kind = Annotated[str, typer.Option(help="account or lead")]


@app.command("list")
def list_(
    ctx: typer.Context,
    unit: Annotated[str, typer.Option(help="unit with all below it")] = "",
    claimable: Annotated[bool, typer.Option(help="only what you may take now")] = False,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """What lies in the pool."""
    run = session(ctx)
    request = pb.ListPoolRequest(unit_id=unit, claimable_now=claimable)
    run.screen.records(_ENTRIES, run.pages(_stub(run).ListPool, request, "entries", limit))


@app.command()
def claim(ctx: typer.Context, record_id: str, kind: Kind = "account") -> None:
    """Takes a record; of two at once one wins, the other is told."""
    run = session(ctx)
    request = pb.ClaimFromPoolRequest(request_id=new_id(), record=_record(record_id, kind))
    _assigned(run, run.call(_stub(run).ClaimFromPool, request))


@app.command()
def release(
    ctx: typer.Context,
    record_id: str,
    reason: Annotated[str, typer.Option(help="why you give it up")],
    kind: Kind = "account",
) -> None:
    """Gives a record up to the pool."""
    run = session(ctx)
    request = pb.ReleaseToPoolRequest(request_id=new_id(), record=_record(record_id, kind), reason=reason)
    run.screen.records(_ENTRIES, [run.call(_stub(run).ReleaseToPool, request)])


@app.command()
def protect(
    ctx: typer.Context,
    record_id: str,
    until: Annotated[str, typer.Option(help="last protected day, 2026-01-05")],
    reason: Annotated[str, typer.Option(help="why it is kept")],
    kind: Kind = "account",
) -> None:
    """Keeps a record from being recycled."""
    run = session(ctx)
    request = pb.ProtectRecordRequest(
        request_id=new_id(),
        record=_record(record_id, kind),
        until_date=shapes.parse_day(until, "--until"),
        reason=reason,
    )
    _assigned(run, run.call(_stub(run).ProtectRecord, request))


def _record(id_: str, kind: str) -> accounts_pb2.RecordReference:
    return accounts_pb2.RecordReference(type=shapes.number(accounts_pb2.RecordType, kind, "--kind"), id=id_)


def _assigned(run: Session, done: pb.Assignment) -> None:
    fields = [
        ("id", done.record.id),
        ("owner", done.ownership.owner_id),
        ("unit", done.ownership.unit_id),
        ("protected_until", shapes.when(done.protected_until_time)),
        ("rule", done.rule.explanation),
    ]
    run.screen.record(done, fields)


def _stub(run: Session) -> assignment_pb2_grpc.AssignmentServiceAsyncStub:
    return run.stub("customers", assignment_pb2_grpc.AssignmentServiceStub)


_ENTRIES = [
    Column("id", lambda entry: entry.record.id),
    Column("kind", lambda entry: shapes.word(accounts_pb2.RecordType, entry.record.type)),
    Column("name", lambda entry: entry.name),
    Column("unit", lambda entry: entry.unit_id),
    Column("reason", lambda entry: shapes.word(pb.PoolReason, entry.reason)),
    Column("since", lambda entry: shapes.when(entry.enter_time)),
    Column("claimable", lambda entry: shapes.when(entry.claimable_time)),
]
