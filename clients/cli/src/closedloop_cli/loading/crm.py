"""`import crm`: organisation, products, accounts and opportunities of a folder, through the public contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.customers.v1 import accounts_pb2, accounts_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc
from closedloop.targets.v1 import org_pb2, org_pb2_grpc, products_pb2, products_pb2_grpc
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.loading import arrival, people
from closedloop_cli.loading.ledger import Ledger
from closedloop_cli.loading.loader import Item, Loader
from closedloop_cli.loading.mapping import Kind, Mapping
from closedloop_cli.loading.records import Accounts, Opportunities, Products, readable
from closedloop_cli.loading.rows import Row, read
from closedloop_cli.loading.survey import StageTotal, Survey, survey
from closedloop_cli.session import Session

# The contract's limit of one bulk call.
LARGEST_BATCH = 10_000


@dataclass(slots=True)
class Totals:
    """Deals by stage: what the file says, and what the platform answers. `platform` is None in a dry run."""

    currency: str
    file: dict[str, StageTotal]
    platform: dict[str, StageTotal] | None = None
    # Deals of the source in other currencies, which no sum of the file can hold.
    elsewhere: int = 0

    @property
    def equal(self) -> bool:
        return self.platform is None or (self.platform == self.file and not self.elsewhere)


@dataclass(slots=True)
class Import:
    """One run over one folder. `currency` is the files', which do not say it themselves."""

    run: Session
    folder: Path
    mapping: Mapping
    currency: str
    ledger: Ledger
    dry_run: bool
    batch: int
    loader: Loader = field(init=False)

    def __post_init__(self) -> None:
        self.loader = Loader(self.ledger, dry_run=self.dry_run, batch=min(self.batch, LARGEST_BATCH))

    def all(self) -> Totals:
        """Everything in the order in which one needs the other."""
        found = survey(read(self.folder, "opportunities", self.mapping))
        told = self._organisation(found)
        told = self._products() or told
        if told:
            self._await("targets", listener="customers")
        if self._accounts() or told:
            self._await("targets", "customers", listener="funnel")
        self._opportunities(found)
        totals = Totals(self.currency, found.stages)
        if not self.dry_run:
            self._read_back(totals)
        return totals

    def _organisation(self, found: Survey) -> bool:
        """In force since the first day of any deal, so that every deal falls into somebody's time here."""
        stub = self.run.stub("targets", org_pb2_grpc.OrgServiceStub)
        first = next(iter(self.run.call(stub.ListUnits, org_pb2.ListUnitsRequest(page_size=1)).units), None)
        organisation = people.gather(self._rows("teams"), self.mapping, first.id if first else None, self.ledger)
        self.loader.coming |= {f"person:{person}" for person in organisation.people}

        def send(rows: Sequence[Any]) -> BulkSummary:
            request = org_pb2.ImportOrgRequest(
                request_id=new_id(),
                rows=rows,
                effective_date=protos.date_proto(found.since),
                validate_only=self.dry_run,
            )
            return self.run.insist(stub.ImportOrg, request)

        # One call, as far as it goes: rows of a tree lean on each other.
        whole = Loader(self.ledger, dry_run=self.dry_run, batch=LARGEST_BATCH)
        with self.run.screen.progress(
            "loading", len(organisation.units) + len(organisation.people), kind=self._word(people.ORGANISATION)
        ) as step:
            whole.load(people.ORGANISATION, organisation.items(), send, step)
        return self.ledger.tally(people.ORGANISATION).loaded > 0

    def _products(self) -> bool:
        stub = self.run.stub("targets", products_pb2_grpc.ProductServiceStub)

        def send(rows: Sequence[Any]) -> BulkSummary:
            request = products_pb2.ImportProductsRequest(request_id=new_id(), products=rows, validate_only=self.dry_run)
            return self.run.insist(stub.ImportProducts, request)

        return self._load("products", Products(self.currency), send, lambda product: f"product:{product.id}")

    def _accounts(self) -> bool:
        stub = self.run.stub("customers", accounts_pb2_grpc.AccountServiceStub)

        def send(rows: Sequence[Any]) -> BulkSummary:
            request = accounts_pb2.BulkUpsertAccountsRequest(request_id=new_id(), rows=rows, validate_only=self.dry_run)
            return self.run.insist(stub.BulkUpsertAccounts, request)

        return self._load("accounts", Accounts(self.currency), send, lambda row: f"account:{row.profile.name}")

    def _opportunities(self, found: Survey) -> None:
        stub = self.run.stub("funnel", opportunities_pb2_grpc.OpportunityServiceStub)

        def send(rows: Sequence[Any]) -> BulkSummary:
            request = opportunities_pb2.BulkImportOpportunitiesRequest(
                request_id=new_id(), rows=rows, validate_only=self.dry_run
            )
            return self.run.insist(stub.BulkImportOpportunities, request).summary

        self._load("opportunities", Opportunities(self.currency), send, None, found.rows)

    def _load(
        self,
        kind: Kind,
        make: Callable[[Row], Item],
        send: Callable[[Sequence[Any]], BulkSummary],
        key: Callable[[Any], str] | None,
        total: int | None = None,
    ) -> bool:
        """Whether anything was loaded. `key` names the records that later rows may lean on."""

        def items() -> Iterator[Item]:
            for item in readable(kind, self._rows(kind), self.ledger, make):
                if key is not None:
                    self.loader.coming.add(key(item.message))
                yield item

        with self.run.screen.progress("loading", total, kind=self._word(kind)) as step:
            self.loader.load(kind, items(), send, step)
        return self.ledger.tally(kind).loaded > 0

    def _rows(self, kind: Kind) -> Iterator[Row]:
        return read(self.folder, kind, self.mapping, self.ledger)

    def _await(self, *tellers: str, listener: str) -> None:
        if not self.dry_run:
            arrival.wait(self.run, tellers, listener)

    def _read_back(self, totals: Totals) -> None:
        """The deals of the source as everybody sees them, one by one."""
        stub = self.run.stub("funnel", opportunities_pb2_grpc.OpportunityServiceStub)
        request = opportunities_pb2.ListOpportunitiesRequest(source=self.mapping.source)
        platform: dict[str, StageTotal] = {}
        with self.run.screen.progress("reading_back", sum(total.count for total in totals.file.values())) as step:
            for deal in self.run.pages(stub.ListOpportunities, request, "opportunities"):
                if deal.amount.currency_code not in ("", self.currency):
                    totals.elsewhere += 1
                value = shapes.decimal_of(deal.amount)
                platform.setdefault(deal.stage_key, StageTotal()).add(value, bool(deal.account_id))
                step(1)
        totals.platform = platform

    def _word(self, kind: str) -> str:
        return self.run.words(kind)
