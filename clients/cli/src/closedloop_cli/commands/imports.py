"""Imports: a whole CRM export, or files in the contract's own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from closedloop.common.v1.common_pb2 import BulkSummary
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
    diagnosis_pb2,
    diagnosis_pb2_grpc,
    opportunities_pb2,
    opportunities_pb2_grpc,
)
from closedloop.targets.v1 import org_pb2, org_pb2_grpc, products_pb2, products_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import failures
from closedloop_cli.loading import closing, contract_rows, mapping, xes
from closedloop_cli.loading.crm import LARGEST_BATCH, Import
from closedloop_cli.loading.ledger import Ledger
from closedloop_cli.loading.loader import Loader
from closedloop_cli.loading.own_fields import OwnFields
from closedloop_cli.loading.sheet import KINDS, Sheet
from closedloop_cli.session import Session, session

app = typer.Typer(
    no_args_is_help=True, help="Imports: with dry run, row-level errors, and a second run that changes nothing."
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="check every row, change nothing")]
Errors = Annotated[Path | None, typer.Option("--errors", dir_okay=False, help="CSV of all refused rows")]
Batch = Annotated[int, typer.Option(min=1, max=LARGEST_BATCH, help="rows per call")]
Source = Annotated[str, typer.Option(help="where the rows come from, for their provenance")]
File = Annotated[
    Path,
    typer.Argument(
        exists=True,
        dir_okay=False,
        help="CSV or Excel with the contract's fields as columns, or JSON lines; lists of customers as people call them",
    ),
]


@app.command()
def crm(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="the four CSV files of the export")],
    dry_run: DryRun = False,
    errors: Errors = None,
    mapping_file: Annotated[
        Path | None, typer.Option("--mapping", exists=True, dir_okay=False, help="columns, aliases, stages; YAML")
    ] = None,
    currency: Annotated[str, typer.Option(help="the files name none; the mapping's when absent")] = "",
    batch: Batch = 1000,
) -> None:
    """Organisation, products, accounts and opportunities of a CRM export."""
    run = session(ctx)
    declared = mapping.load(mapping_file)
    if currency and not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise typer.BadParameter("three capital letters, e.g. USD", param_hint="--currency")
    with Ledger(errors) as ledger:
        chosen = currency or declared.currency
        totals = Import(run, folder, declared, chosen, ledger, dry_run=dry_run, batch=batch).all()
    closing.show(run.screen, ledger, totals, dry_run)
    if ledger.rejected or not ledger.adds_up or not totals.equal:
        raise typer.Exit(failures.REFUSED)


@app.command()
def org(ctx: typer.Context, file: File, dry_run: DryRun = False, errors: Errors = None, source: Source = "") -> None:
    """Units and people; a row with the column `parent_id` or `kind` filled is a unit, the others are people."""
    run = session(ctx)
    stub = run.stub("targets", org_pb2_grpc.OrgServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        wrapped = [
            org_pb2.OrgRow(unit=row) if isinstance(row, org_pb2.UnitInput) else org_pb2.OrgRow(person=row)
            for row in rows
        ]
        request = org_pb2.ImportOrgRequest(request_id=new_id(), rows=wrapped, validate_only=dry_run)
        return run.insist(stub.ImportOrg, request)

    def make(given: dict[str, Any]) -> Any:
        return org_pb2.UnitInput() if given.get("kind") or given.get("parent_id") else org_pb2.PersonInput()

    _load(run, "organisation", file, make, send, dry_run, errors, source)


@app.command()
def products(
    ctx: typer.Context, file: File, dry_run: DryRun = False, errors: Errors = None, source: Source = ""
) -> None:
    """The catalogue: id, name, line, series, aliases, list_price, stage..."""
    run = session(ctx)
    stub = run.stub("targets", products_pb2_grpc.ProductServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        request = products_pb2.ImportProductsRequest(request_id=new_id(), products=rows, validate_only=dry_run)
        return run.insist(stub.ImportProducts, request)

    _load(run, "products", file, lambda _: products_pb2.ProductInput(), send, dry_run, errors, source)


@app.command()
def accounts(
    ctx: typer.Context, file: File, dry_run: DryRun = False, errors: Errors = None, source: Source = ""
) -> None:
    """Accounts: name, industry, region_code, credit_code, owner_id, annual_revenue..."""
    run = session(ctx)
    stub = run.stub("customers", accounts_pb2_grpc.AccountServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        request = accounts_pb2.BulkUpsertAccountsRequest(request_id=new_id(), rows=rows, validate_only=dry_run)
        return run.insist(stub.BulkUpsertAccounts, request)

    _load(run, "accounts", file, lambda _: accounts_pb2.AccountRow(), send, dry_run, errors, source)


@app.command()
def contacts(
    ctx: typer.Context, file: File, dry_run: DryRun = False, errors: Errors = None, source: Source = ""
) -> None:
    """People at customers: name, job_title, phones, email_addresses, account_id or account_source_id..."""
    run = session(ctx)
    stub = run.stub("customers", contacts_pb2_grpc.ContactServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        request = contacts_pb2.BulkUpsertContactsRequest(request_id=new_id(), rows=rows, validate_only=dry_run)
        return run.insist(stub.BulkUpsertContacts, request)

    _load(run, "contacts", file, lambda _: contacts_pb2.ContactRow(), send, dry_run, errors, source)


@app.command()
def leads(
    ctx: typer.Context,
    file: File,
    dry_run: DryRun = False,
    errors: Errors = None,
    source: Source = "",
    historical: Annotated[bool, typer.Option("--historical", help="old business: no clock starts")] = False,
) -> None:
    """Inquiries: company_name, contact_name, phone, email_address, need, region_code..."""
    run = session(ctx)
    stub = run.stub("customers", leads_pb2_grpc.LeadServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        request = leads_pb2.BulkIntakeLeadsRequest(
            request_id=new_id(), rows=rows, validate_only=dry_run, historical=historical
        )
        return run.insist(stub.BulkIntakeLeads, request)

    _load(run, "leads", file, lambda _: leads_pb2.LeadRow(), send, dry_run, errors, source)


@app.command()
def opportunities(
    ctx: typer.Context, file: File, dry_run: DryRun = False, errors: Errors = None, source: Source = ""
) -> None:
    """Deals: name, owner, account, product, pipeline_id, stage, state, value, engage_date, close_date..."""
    run = session(ctx)
    stub = run.stub("funnel", opportunities_pb2_grpc.OpportunityServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        request = opportunities_pb2.BulkImportOpportunitiesRequest(
            request_id=new_id(), rows=rows, validate_only=dry_run
        )
        return run.insist(stub.BulkImportOpportunities, request).summary

    _load(run, "opportunities", file, lambda _: opportunities_pb2.OpportunityRow(), send, dry_run, errors, source)


@app.command()
def activities(
    ctx: typer.Context, file: File, dry_run: DryRun = False, errors: Errors = None, source: Source = ""
) -> None:
    """Logs: kind, owner, account, opportunity, subject, start_time, content, next_step..."""
    run = session(ctx)
    stub = run.stub("funnel", activities_pb2_grpc.ActivityServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        request = activities_pb2.BulkImportActivitiesRequest(request_id=new_id(), rows=rows, validate_only=dry_run)
        return run.insist(stub.BulkImportActivities, request).summary

    _load(run, "activities", file, lambda _: activities_pb2.ActivityRow(), send, dry_run, errors, source)


@app.command()
def process(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="XES, or XES in gzip")],
    log: Annotated[str, typer.Option(help="name of the log here; the file's when absent")] = "",
    dry_run: DryRun = False,
    errors: Errors = None,
) -> None:
    """A process log of another system; `closedloop diagnosis run --log NAME` says where its cases stick."""
    run = session(ctx)
    stub = run.stub("funnel", diagnosis_pb2_grpc.DiagnosisServiceStub)

    def send(rows: Sequence[Any]) -> BulkSummary:
        request = diagnosis_pb2.BulkImportProcessEventsRequest(
            request_id=new_id(), process_log=log or file.name.split(".")[0], events=rows, validate_only=dry_run
        )
        return run.insist(stub.BulkImportProcessEvents, request).summary

    with Ledger(errors) as ledger, run.screen.progress("loading", kind=run.words("process_events")) as step:
        loader = Loader(ledger, dry_run=dry_run, batch=LARGEST_BATCH)
        ledger.tally("process_events")
        loader.load("process_events", xes.items(file), send, step)
    closing.show(run.screen, ledger, None, dry_run)
    if ledger.rejected or not ledger.adds_up:
        raise typer.Exit(failures.REFUSED)


def _load(
    run: Session,
    kind: str,
    file: Path,
    make: Callable[[dict[str, Any]], Any],
    send: Callable[[Sequence[Any]], BulkSummary],
    dry_run: bool,
    errors: Path | None,
    source: str,
) -> None:
    with Ledger(errors) as ledger, run.screen.progress("loading", kind=run.words(kind)) as step:
        sheet = Sheet(run, kind) if kind in KINDS else None
        rows = contract_rows.items(file, kind, make, ledger, source, OwnFields(run, kind), sheet)
        loader = Loader(ledger, dry_run=dry_run, batch=LARGEST_BATCH)
        ledger.tally(kind)
        loader.load(kind, rows, send, step)
    closing.show(run.screen, ledger, None, dry_run)
    if ledger.rejected or not ledger.adds_up:
        raise typer.Exit(failures.REFUSED)
