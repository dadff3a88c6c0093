"""Accounts: list and show."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.customers.v1 import accounts_pb2 as pb
from closedloop.customers.v1 import accounts_pb2_grpc
from closedloop_cli import shapes
from closedloop_cli.loading import own_fields
from closedloop_cli.screen import Column, Fields
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Accounts: the customers, each with one owner.")

_COLUMNS = [
    Column("id", lambda account: account.id),
    Column("name", lambda account: account.profile.name),
    Column("industry", lambda account: account.profile.industry),
    Column("region", lambda account: account.profile.region_code),
    Column("status", lambda account: shapes.word(pb.AccountStatus, account.status)),
    Column("grade", lambda account: account.grade),
    Column("owner", lambda account: account.ownership.owner_id or f"({account.ownership.unit_id})"),
    Column("last_interaction", lambda account: shapes.when(account.last_interaction_time)),
    Column("light", lambda account: shapes.light(account.quality_light)),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    query: Annotated[str, typer.Option(help="words of name, alias, credit code or domain")] = "",
    owner: Annotated[list[str] | None, typer.Option(help="person; may be repeated")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="unit with all below it; may be repeated")] = None,
    industry: Annotated[list[str] | None, typer.Option(help="code; may be repeated")] = None,
    grade: Annotated[list[str] | None, typer.Option(help="may be repeated")] = None,
    source: Annotated[str, typer.Option(help="brought by this source")] = "",
    field: own_fields.Conditions = None,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Accounts by name."""
    run = session(ctx)
    request = pb.ListAccountsRequest(
        query=query,
        owner_ids=owner or [],
        unit_ids=unit or [],
        industries=industry or [],
        grades=grade or [],
        source=source,
        order=pb.ACCOUNT_ORDER_NAME,
    )
    own_fields.OwnFields(run, "accounts").seek(request, field or ())
    run.screen.records(_COLUMNS, run.pages(_stub(run).ListAccounts, request, "accounts", limit))


@app.command()
def show(ctx: typer.Context, account_id: str) -> None:
    """One account, and who changed what on it last."""
    run = session(ctx)
    account = run.call(_stub(run).GetAccount, pb.GetAccountRequest(id=account_id))
    profile = account.profile
    fields: Fields = [
        ("id", account.id),
        ("name", profile.name),
        ("aliases", ", ".join(profile.aliases)),
        ("industry", profile.industry),
        ("customer_type", profile.customer_type),
        ("region", " ".join(filter(None, (profile.region_code, profile.address)))),
        ("status", shapes.word(pb.AccountStatus, account.status)),
        ("grade", account.grade),
        ("owner", account.ownership.owner_id or f"({account.ownership.unit_id})"),
        ("revenue", shapes.money(profile.annual_revenue)),
        ("employees", str(profile.employee_count or "")),
        ("last_interaction", shapes.when(account.last_interaction_time)),
        ("light", shapes.light(account.quality_light)),
        ("own_fields", own_fields.shown(profile.custom_fields)),
        ("source", ", ".join(f"{one.source} {one.source_id}".strip() for one in account.provenances)),
    ]
    run.screen.record(account, fields)
    if not run.screen.as_json:
        changes = run.pages(
            _stub(run).ListAccountChanges, pb.ListAccountChangesRequest(account_id=account.id), "changes", 10
        )
        run.screen.table(_CHANGES, changes)


def _stub(run: Session) -> accounts_pb2_grpc.AccountServiceAsyncStub:
    return run.stub("customers", accounts_pb2_grpc.AccountServiceStub)


_CHANGES = [
    Column("time", lambda change: shapes.when(change.time)),
    Column("field", lambda change: change.field),
    Column("by", lambda change: change.actor_id),
    Column(
        "why", lambda change: " ".join(filter(None, (change.business_action.kind, change.business_action.reference)))
    ),
]
