"""What applying a pack would change: every row and rulebook held against the company, checked by the services themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.type.date_pb2 import Date

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.platform.v1 import platform_pb2
from closedloop.targets.v1 import org_pb2, org_pb2_grpc, products_pb2, products_pb2_grpc
from closedloop_chassis import client, protos
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.packs import company, differences, rows, shelf
from closedloop_cli.packs.checking import where_of
from closedloop_cli.packs.company import Company
from closedloop_cli.packs.differences import Difference
from closedloop_cli.packs.folder import Book, Pack, Problem, Row, dotted
from closedloop_cli.packs.reading import Where
from closedloop_cli.session import Session

Shape = TypeVar("Shape", bound=Message)
# Rows refused for these reasons are judged anew once the pack's own rulebook is in force, which comes before them.
JUDGED_BY = {"KIND_UNKNOWN": "targets.org", "CUSTOM_FIELD_INVALID": "targets.custom_fields"}
# Whoever applies an unreviewed change of a rule is asked why by the services; a pack says it for all.
DRAFT = "pack, dry run"


@dataclass(frozen=True, slots=True)
class Change:
    """One record against the company: new, changed in these fields, or as it is. `what`: unit, person, product, rulebook."""

    what: str
    name: str
    file: str
    new: bool = False
    fields: tuple[Difference, ...] = ()

    @property
    def same(self) -> bool:
        return not self.new and not self.fields


@dataclass(frozen=True, slots=True)
class Publication:
    """One rulebook in one service. `base_version`: the newest there is; `later`: judged once the organisation is there."""

    book: Book
    service: str
    base_version: int
    change: Change
    later: bool = False


@dataclass(slots=True)
class Plan:
    """`since`: the day from which on the organisation counts, where there is none yet."""

    pack: Pack
    organisation: list[Change] = field(default_factory=list)
    products: list[Change] = field(default_factory=list)
    books: list[Publication] = field(default_factory=list)
    since: Date | None = None
    problems: list[Problem] = field(default_factory=list)
    # Versions that lie ready and would be set aside: rulebook, version, when it is due.
    set_aside: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        return [*self.organisation, *self.products, *(one.change for one in self.books)]

    def complain(self, row: Row[Any] | Book, where: Where, message: str) -> None:
        """A service's own words, at the line they are about."""
        at = (*row.where, *where) if isinstance(row, Row) else where
        name, line = row.document.name, row.document.line(at)
        self.problems.append(Problem(name, line, dotted(at), "pack_wrong", {"problem": message}))

    def blame(self, book: Book, error: grpc.aio.AioRpcError) -> None:
        """A body that was refused, at the lines of what is wrong with it."""
        for field_, message in (client.violations(error) or {"": client.status(error).message}).items():
            self.complain(book, where_of(field_.removeprefix("body").lstrip(".")), message)


def make(run: Session, pack: Pack) -> Plan:
    plan = Plan(pack)
    standing = company.read(run) if pack.units or pack.people or pack.products else None
    if standing is not None:
        plan.since = protos.date_proto(pack.since) if not standing.units and pack.since else None
        _organisation(run, plan, standing)
        _products(run, plan, standing)
    for book in sorted(pack.books, key=lambda one: one.name):
        for service in book.services:
            _book(run, plan, book, service)
    return plan


def org_request(plan: Plan, *, dry: bool) -> org_pb2.ImportOrgRequest:
    told = [_org_row(row.message) for row in org_rows(plan)]
    return org_pb2.ImportOrgRequest(request_id=new_id(), rows=told, effective_date=plan.since, validate_only=dry)


def products_request(plan: Plan, *, dry: bool) -> products_pb2.ImportProductsRequest:
    told = [row.message for row in product_rows(plan)]
    return products_pb2.ImportProductsRequest(request_id=new_id(), products=told, validate_only=dry)


def org_rows(plan: Plan) -> list[Row[Any]]:
    """Those that say something new, units first; what stands is leant on as it stands."""
    return _new([*plan.pack.units, *plan.pack.people], plan.organisation)


def product_rows(plan: Plan) -> list[Row[Any]]:
    return _new(plan.pack.products, plan.products)


def publish_request(one: Publication, reason: str, *, dry: bool) -> platform_pb2.PublishRulebookRequest:
    return platform_pb2.PublishRulebookRequest(
        request_id=new_id(),
        name=one.book.name,
        body=json_format.ParseDict(one.book.body, Struct()),
        reason=reason,
        base_version=one.base_version,
        validate_only=dry,
    )


def refused(plan: Plan, told: Sequence[Row[Any]], summary: BulkSummary) -> None:
    for error in summary.errors:
        where = where_of(error.field.removeprefix("unit.").removeprefix("person."))
        plan.complain(told[error.row], where, error.message)


def awaited(pack: Pack, summary: BulkSummary) -> bool:
    """Whether rows were refused for what the pack itself brings: levels of the tree, declared fields."""
    return any(pack.book(JUDGED_BY.get(error.reason, "")) for error in summary.errors)


def _new(told: Sequence[Row[Any]], changes: Sequence[Change]) -> list[Row[Any]]:
    return [row for row, change in zip(told, changes, strict=True) if not change.same]


def _org_row(message: Any) -> org_pb2.OrgRow:
    return org_pb2.OrgRow(unit=message) if isinstance(message, org_pb2.UnitInput) else org_pb2.OrgRow(person=message)


def _organisation(run: Session, plan: Plan, standing: Company) -> None:
    pack = plan.pack
    plan.organisation += _compared("unit", pack.units, standing.units)
    plan.organisation += _compared("person", pack.people, standing.people, optional=("hire_date",))
    if all(change.same for change in plan.organisation):
        return
    stub = run.stub("targets", org_pb2_grpc.OrgServiceStub)
    summary = run.call(stub.ImportOrg, org_request(plan, dry=True))
    if not awaited(pack, summary):
        refused(plan, org_rows(plan), summary)


def _products(run: Session, plan: Plan, standing: Company) -> None:
    # A product that is there changes its stage by an act of its own, not by a list.
    plan.products += _compared("product", plan.pack.products, standing.products, fixed=("stage",))
    if any(not change.same for change in plan.products):
        stub = run.stub("targets", products_pb2_grpc.ProductServiceStub)
        summary = run.call(stub.ImportProducts, products_request(plan, dry=True))
        if not awaited(plan.pack, summary):
            refused(plan, product_rows(plan), summary)


def _compared(
    what: str,
    told: Iterable[Row[Shape]],
    standing: dict[str, Shape],
    *,
    optional: Sequence[str] = (),
    fixed: Sequence[str] = (),
) -> list[Change]:
    """`optional`: not changed where the pack is silent; `fixed`: not changed at all."""
    changes = []
    for row in told:
        file, after = row.document.name, rows.plain(row.message)
        known = standing.get(row.id)
        if known is None:
            changes.append(Change(what, row.id, file, new=True))
            continue
        before = rows.plain(known)
        left = {name for name in optional if name not in after} | set(fixed)
        was, will_be = ({name: value for name, value in one.items() if name not in left} for one in (before, after))
        changes.append(Change(what, row.id, file, fields=tuple(differences.between(was, will_be))))
    return changes


def _book(run: Session, plan: Plan, book: Book, service: str) -> None:
    before = company.rulebook(run, service, book.name)
    newest = company.latest(before)
    one = Publication(book, service, newest.version, _change(book, service))
    try:
        after = run.call(company.shelf(run, service).PublishRulebook, publish_request(one, DRAFT, dry=True))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
            raise
        if not _waits(plan, error):
            plan.blame(book, error)
            return
        told = {**json_format.MessageToDict(before.body), **book.body}
        after = platform_pb2.Rulebook(body=json_format.ParseDict(told, Struct()))
        one = Publication(book, service, newest.version, one.change, later=True)
    was, will_be = (shelf.settled(book.name, json_format.MessageToDict(one.body)) for one in (before, after))
    change = _change(book, service, tuple(differences.between(was, will_be)))
    if not change.same and newest.version > before.version:
        plan.set_aside.append((book.name, newest.version, shapes.when(newest.effective_time)))
    plan.books.append(Publication(book, service, newest.version, change, one.later))


def _waits(plan: Plan, error: grpc.aio.AioRpcError) -> bool:
    """Refused for people who are not known there, while the pack brings people."""
    coming = any(not change.same for change in plan.organisation)
    return coming and client.info(error).metadata.get("misfit") == "True"


def _change(book: Book, service: str, fields: tuple[Difference, ...] = ()) -> Change:
    name = book.name if book.name.startswith(f"{service}.") else f"{book.name}@{service}"
    return Change("rulebook", name, book.document.name, fields=fields)
