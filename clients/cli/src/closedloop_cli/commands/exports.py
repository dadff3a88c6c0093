"""Exports: records as files that `import` takes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from closedloop.customers.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    contacts_pb2,
    contacts_pb2_grpc,
    leads_pb2,
    leads_pb2_grpc,
)
from closedloop.funnel.v1 import (
    activities_pb2,
    activities_pb2_grpc,
    contracts_pb2,
    contracts_pb2_grpc,
    opportunities_pb2,
    opportunities_pb2_grpc,
    quotes_pb2,
    quotes_pb2_grpc,
)
from closedloop_cli.loading import outgoing, own_fields
from closedloop_cli.loading.own_fields import OwnFields
from closedloop_cli.session import Session, session

app = typer.Typer(
    no_args_is_help=True, help="Exports: CSV or JSON lines in the words of the contract, own fields included."
)

# Those who are still somebody; what is left of others is for no list.
CONTACTS = (
    contacts_pb2.CONTACT_STATE_CURRENT,
    contacts_pb2.CONTACT_STATE_JOB_CHANGED,
    contacts_pb2.CONTACT_STATE_LEFT,
)

File = Annotated[Path, typer.Argument(dir_okay=False, help="ends in .csv, or .jsonl for JSON lines")]
Source = Annotated[str, typer.Option(help="brought by this source")]


@app.command()
def accounts(ctx: typer.Context, file: File, source: Source = "", field: own_fields.Conditions = None) -> None:
    """Accounts within your reach; `closedloop import accounts` takes the file back."""
    run = session(ctx)
    stub = run.stub("customers", accounts_pb2_grpc.AccountServiceStub)
    request = accounts_pb2.ListAccountsRequest(source=source, order=accounts_pb2.ACCOUNT_ORDER_NAME)
    _out(run, "accounts", file, stub.ListAccounts, request, field, outgoing.account_row)


@app.command()
def contacts(ctx: typer.Context, file: File, source: Source = "", field: own_fields.Conditions = None) -> None:
    """People at customers within your reach; `closedloop import contacts` takes the file back."""
    run = session(ctx)
    own = OwnFields(run, "contacts")
    request = contacts_pb2.ListContactsRequest(states=CONTACTS)
    own.seek(request, field or ())
    stub = run.stub("customers", contacts_pb2_grpc.ContactServiceStub)
    with run.screen.progress("exporting", kind=run.words("contacts")):
        found = run.pages(stub.ListContacts, request, "contacts")
        brought = (one for one in found if not source or source in {kept.source for kept in one.provenances})
        count = outgoing.write(file, map(outgoing.contact_row, brought), own.declared)
    run.screen.say("exported", count=count, file=file)


@app.command()
def leads(ctx: typer.Context, file: File, source: Source = "", field: own_fields.Conditions = None) -> None:
    """Leads within your reach, as they were brought: `closedloop import leads` knows each again, and makes none twice."""
    run = session(ctx)
    stub = run.stub("customers", leads_pb2_grpc.LeadServiceStub)
    request = leads_pb2.ListLeadsRequest(sources=[source] if source else [], order=leads_pb2.LEAD_ORDER_NEWEST_FIRST)
    _out(run, "leads", file, stub.ListLeads, request, field, outgoing.lead_row)


@app.command()
def opportunities(ctx: typer.Context, file: File, source: Source = "", field: own_fields.Conditions = None) -> None:
    """Deals within your reach; `closedloop import opportunities` takes the file back."""
    run = session(ctx)
    stub = run.stub("funnel", opportunities_pb2_grpc.OpportunityServiceStub)
    request = opportunities_pb2.ListOpportunitiesRequest(source=source)
    _out(run, "opportunities", file, stub.ListOpportunities, request, field, outgoing.opportunity_row)


@app.command()
def activities(ctx: typer.Context, file: File, source: Source = "", field: own_fields.Conditions = None) -> None:
    """Logs within your reach; `closedloop import activities` takes back those of a source."""
    run = session(ctx)
    stub = run.stub("funnel", activities_pb2_grpc.ActivityServiceStub)
    request = activities_pb2.ListActivitiesRequest(source=source)
    _out(run, "activities", file, stub.ListActivities, request, field, outgoing.activity_row)


@app.command()
def quotes(ctx: typer.Context, file: File, field: own_fields.Conditions = None) -> None:
    """Quotes within your reach; their lines in JSON lines only. They come to be by the flow, not out of a file."""
    run = session(ctx)
    stub = run.stub("funnel", quotes_pb2_grpc.QuoteServiceStub)
    _out(run, "quotes", file, stub.ListQuotes, quotes_pb2.ListQuotesRequest(), field)


@app.command()
def contracts(ctx: typer.Context, file: File, field: own_fields.Conditions = None) -> None:
    """Contracts within your reach; their clauses in JSON lines only. They come to be by the flow, not out of a file."""
    run = session(ctx)
    stub = run.stub("funnel", contracts_pb2_grpc.ContractServiceStub)
    _out(run, "contracts", file, stub.ListContracts, contracts_pb2.ListContractsRequest(), field)


def _out(
    run: Session,
    kind: str,
    file: Path,
    method: Callable[..., Any],
    request: Any,
    conditions: Iterable[str] | None,
    row: Callable[[Any], Any] = lambda record: record,
) -> None:
    own = OwnFields(run, kind)
    own.seek(request, conditions or ())
    with run.screen.progress("exporting", kind=run.words(kind)):
        count = outgoing.write(file, map(row, run.pages(method, request, kind)), own.declared)
    run.screen.say("exported", count=count, file=file)
