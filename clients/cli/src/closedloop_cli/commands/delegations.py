"""Standing in: who signs and works for whom, from when to when."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.approvals.v1 import delegations_pb2 as pb
from closedloop.approvals.v1 import delegations_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Delegations: who stands in for an absent colleague.")


@app.command("list")
def list_(
    ctx: typer.Context,
    person: Annotated[str, typer.Option(help="given or taken by; you when absent")] = "",
    all_: Annotated[bool, typer.Option("--all", help="also past ones")] = False,
) -> None:
    """Delegations given or taken."""
    run = session(ctx)
    states = [] if all_ else [pb.DELEGATION_STATE_PLANNED, pb.DELEGATION_STATE_IN_FORCE]
    request = pb.ListDelegationsRequest(person_id=person, states=states)
    run.screen.records(_COLUMNS, run.pages(_stub(run).ListDelegations, request, "delegations"))


@app.command()
def add(
    ctx: typer.Context,
    delegate: Annotated[str, typer.Argument(help="who stands in")],
    until: Annotated[str, typer.Option("--to", help="e.g. 2026-04-01T18:00")],
    reason: Annotated[str, typer.Option(help="e.g. leave")],
    since: Annotated[str, typer.Option("--from", help="now when absent")] = "",
    delegator: Annotated[str, typer.Option("--for", help="the absent one; you when absent")] = "",
    kind: Annotated[list[str] | None, typer.Option(help="of request; may be repeated; everything when absent")] = None,
    task_kind: Annotated[list[str] | None, typer.Option(help="of task; may be repeated")] = None,
    limit: Annotated[str, typer.Option(help='requests above it stay with you, e.g. "50000 CNY"')] = "",
) -> None:
    """Puts a delegation into force for a period."""
    run = session(ctx)
    request = pb.CreateDelegationRequest(
        request_id=new_id(),
        delegator_id=delegator,
        delegate_id=delegate,
        request_kinds=kind or [],
        task_kinds=task_kind or [],
        amount_limit=shapes.parse_money(limit, "--limit") if limit else None,
        reason=reason,
    )
    request.period.end_time.CopyFrom(shapes.parse_time(until, "--to"))
    if since:
        request.period.start_time.CopyFrom(shapes.parse_time(since, "--from"))
    _show(run, run.call(_stub(run).CreateDelegation, request))


@app.command()
def end(
    ctx: typer.Context,
    delegation_id: str,
    reason: str = "",
    at: Annotated[str, typer.Option(help="now when absent")] = "",
) -> None:
    """Ends a delegation early; undecided work goes back."""
    run = session(ctx)
    stub = _stub(run)
    found = run.call(stub.GetDelegation, pb.GetDelegationRequest(id=delegation_id))
    request = pb.EndDelegationRequest(
        request_id=new_id(),
        id=delegation_id,
        etag=found.etag,
        reason=reason,
        end_time=shapes.parse_time(at, "--at") if at else None,
    )
    _show(run, run.call(stub.EndDelegation, request))


def _show(run: Session, made: pb.Delegation) -> None:
    run.screen.record(made, [(column.heading, column.cell(made)) for column in _COLUMNS])


def _stub(run: Session) -> delegations_pb2_grpc.DelegationServiceAsyncStub:
    return run.stub("approvals", delegations_pb2_grpc.DelegationServiceStub)


_COLUMNS = [
    Column("id", lambda one: one.id),
    Column("on_behalf_of", lambda one: one.delegator_id),
    Column("stands_in", lambda one: one.delegate_id),
    Column("start_time", lambda one: shapes.when(one.period.start_time)),
    Column("until", lambda one: shapes.when(one.period.end_time)),
    Column("kind", lambda one: ", ".join([*one.request_kinds, *one.task_kinds])),
    Column("limit", lambda one: shapes.money(one.amount_limit), right=True),
    Column("state", lambda one: shapes.word(pb.DelegationState, one.state)),
    Column("reason", lambda one: one.reason),
]
