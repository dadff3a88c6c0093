"""Exports: records as files that `import` takes back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from closedloop.customers.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    contacts_pb2,
    contacts_pb2_grpc,
    leads_pb2,
    leads_pb2_grpc,
)
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc
from closedloop_cli.loading import outgoing, own_fields
from closedloop_cli.loading.own_fields import OwnFields
from closedloop_cli.session import session

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
    own = OwnFields(run, "accounts")
    request = accounts_pb2.ListAccountsRequest(source=source, order=accounts_pb2.ACCOUNT_ORDER_NAME)
    own.seek(request, field or ())
    stub = run.stub("customers", accounts_pb2_grpc.AccountServiceStub)
    with run.screen.progress("exporting", kind=run.words("accounts")):
        found = run.pages(stub.ListAccounts, request, "accounts")
        count = outgoing.write(file, map(outgoing.account_row, found), own.declared)
    run.screen.say("exported", count=count, file=file)


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
    own = OwnFields(run, "leads")
    request = leads_pb2.ListLeadsRequest(sources=[source] if source else [], order=leads_pb2.LEAD_ORDER_NEWEST_FIRST)
    own.seek(request, field or ())
    stub = run.stub("customers", leads_pb2_grpc.LeadServiceStub)
    with run.screen.progress("exporting", kind=run.words("leads")):
        found = run.pages(stub.ListLeads, request, "leads")
        count = outgoing.write(file, map(outgoing.lead_row, found), own.declared)
    run.screen.say("exported", count=count, file=file)


@app.command()
def opportunities(ctx: typer.Context, file: File, source: Source = "", field: own_fields.Conditions = None) -> None:
    """Deals within your reach; `closedloop import opportunities` takes the file back."""
    run = session(ctx)
    own = OwnFields(run, "opportunities")
    request = opportunities_pb2.ListOpportunitiesRequest(source=source)
    own.seek(request, field or ())
    stub = run.stub("funnel", opportunities_pb2_grpc.OpportunityServiceStub)
    with run.screen.progress("exporting", kind=run.words("opportunities")):
        found = run.pages(stub.ListOpportunities, request, "opportunities")
        count = outgoing.write(file, map(outgoing.opportunity_row, found), own.declared)
    run.screen.say("exported", count=count, file=file)
