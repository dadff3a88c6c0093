"""The company as it stands, read through the public contract in the words of a pack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.type.date_pb2 import Date

from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import org_pb2, org_pb2_grpc, products_pb2, products_pb2_grpc
from closedloop_cli.session import Session

Shape = TypeVar("Shape", bound=Message)


@dataclass(frozen=True, slots=True)
class Company:
    """Units, people and products by id, as a pack would say them; who has left and what was closed is not among them.
    `coming`: ids of units and people that begin later. `gone`: how many have ended. `opened`: the first day of the oldest
    unit."""

    units: dict[str, org_pb2.UnitInput]
    people: dict[str, org_pb2.PersonInput]
    products: dict[str, products_pb2.ProductInput]
    coming: frozenset[str]
    gone: int
    opened: Date | None


def read(run: Session) -> Company:
    org = run.stub("targets", org_pb2_grpc.OrgServiceStub)
    catalogue = run.stub("targets", products_pb2_grpc.ProductServiceStub)
    units = list(run.pages(org.ListUnits, org_pb2.ListUnitsRequest(), "units"))
    people = list(run.pages(org.ListPeople, org_pb2.ListPeopleRequest(), "people"))
    products = run.pages(catalogue.ListProducts, products_pb2.ListProductsRequest(include_retired=True), "products")
    both = [*units, *people]
    opened = [unit.open_date for unit in units if unit.state == org_pb2.ORG_STATE_ACTIVE]
    return Company(
        {unit.id: said(org_pb2.UnitInput, unit) for unit in units if unit.state != org_pb2.ORG_STATE_CLOSED},
        {one.id: said(org_pb2.PersonInput, one) for one in people if one.state != org_pb2.ORG_STATE_CLOSED},
        {product.id: said(products_pb2.ProductInput, product) for product in products},
        frozenset(one.id for one in both if one.state == org_pb2.ORG_STATE_PLANNED),
        sum(one.state == org_pb2.ORG_STATE_CLOSED for one in both),
        min(opened, key=lambda day: (day.year, day.month, day.day), default=None),
    )


def active(standing: Company) -> Company:
    """What is there today, without what begins later."""
    units = {id_: unit for id_, unit in standing.units.items() if id_ not in standing.coming}
    people = {id_: person for id_, person in standing.people.items() if id_ not in standing.coming}
    return replace(standing, units=units, people=people)


def said(shape: type[Shape], record: Message) -> Shape:
    """The part of a record that a caller may say."""
    told = shape()
    for field, value in record.ListFields():
        if field.name not in shape.DESCRIPTOR.fields_by_name or field.name == "provenance":
            continue
        if field.is_repeated and not (field.message_type and field.message_type.GetOptions().map_entry):
            getattr(told, field.name).extend(value)
        elif field.is_repeated:
            getattr(told, field.name).update(value)
        elif field.message_type is not None:
            getattr(told, field.name).CopyFrom(value)
        else:
            setattr(told, field.name, value)
    return told


def rulebook(run: Session, service: str, name: str, version: int | None = None) -> platform_pb2.Rulebook:
    """The version in force when none is named; 0 is as built in."""
    request = platform_pb2.GetRulebookRequest(name=name)
    if version is not None:
        request.version = version
    return run.call(shelf(run, service).GetRulebook, request)


def rulebooks(run: Session, service: str) -> Sequence[platform_pb2.Rulebook]:
    """All of a service, without bodies."""
    return list(run.pages(shelf(run, service).ListRulebooks, platform_pb2.ListRulebooksRequest(), "rulebooks"))


def shelf(run: Session, service: str) -> platform_pb2_grpc.RulebookServiceAsyncStub:
    return run.stub(service, platform_pb2_grpc.RulebookServiceStub)


def latest(book: platform_pb2.Rulebook) -> Any:
    """The newest version there is, be it in force, past or to come; what a change must be made from."""
    return max((one for one in book.history), key=lambda one: one.version, default=book)
