"""The company as the contracts take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, contacts_pb2
from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import actuals_pb2, metrics_pb2, org_pb2, plans_pb2, products_pb2
from closedloop_devstack.demo.company import Company, Person, Product, Unit

SOURCE = "demo_company"


def cny(fen: int) -> Money:
    return Money(currency_code="CNY", units=fen // 100, nanos=fen % 100 * 10_000_000)


def fen(money: Money) -> int:
    """Of an amount that has no fraction of a fen."""
    return int(money.units) * 100 + int(money.nanos) // 10_000_000


def amount(amount_fen: int) -> metrics_pb2.Amount:
    return metrics_pb2.Amount(money=cny(amount_fen))


def day(year: int, month: int, dom: int) -> Date:
    return Date(year=year, month=month, day=dom)


def came_from(source_id: str, source: str = SOURCE) -> Provenance:
    return Provenance(source=source, source_id=source_id)


def org(company: Company) -> Iterator[org_pb2.OrgRow]:
    for unit in company.units:
        yield org_pb2.OrgRow(unit=_unit(unit))
    for person in company.people:
        yield org_pb2.OrgRow(person=_person(person))


def products(company: Company) -> Iterator[products_pb2.ProductInput]:
    return map(_product, company.products)


def accounts(company: Company) -> Iterator[accounts_pb2.AccountRow]:
    for customer in company.customers:
        yield accounts_pb2.AccountRow(
            provenance=came_from(customer.code),
            owner_id=customer.owner_id,
            profile=accounts_pb2.AccountProfile(
                name=customer.name,
                industry=customer.industry,
                customer_type="government" if customer.industry in ("government", "education") else "enterprise",
                region_code=customer.region,
                product_lines=[customer.product_line],
                employee_count=customer.employees,
            ),
        )


def contacts(company: Company) -> Iterator[contacts_pb2.ContactRow]:
    for customer in company.customers:
        known = customer.contact
        yield contacts_pb2.ContactRow(
            provenance=came_from(known.code),
            account_source_id=customer.code,
            profile=contacts_pb2.ContactProfile(
                name=known.name,
                job_title=known.title,
                phones=[known.mobile],
                email_addresses=[known.email],
                key_contact=True,
            ),
        )


def last_year(company: Company) -> Iterator[actuals_pb2.ActualInput]:
    for person_id, amount_fen in company.last_year.items():
        yield actuals_pb2.ActualInput(
            metric="won_value",
            holder=plans_pb2.Holder(person_id=person_id),
            date=day(2025, 3, 31),
            amount=amount(amount_fen),
            provenance=came_from(f"2025-Q1/{person_id}"),
        )


def targets(company: Company, amounts: Mapping[str, int], period: str) -> Iterator[plans_pb2.TargetInput]:
    """One target per holder, parents before children."""
    for holder_id, amount_fen in sorted(amounts.items(), key=lambda item: _depth(company, item[0])):
        holder = {"unit_id" if holder_id in company.unit else "person_id": holder_id}
        yield plans_pb2.TargetInput(
            holder=plans_pb2.Holder(**holder),
            metric="won_value",
            period=period,
            amount=amount(amount_fen),
            provenance=came_from(f"{period}/{holder_id}"),
        )


def _depth(company: Company, holder_id: str) -> int:
    unit_id = company.person[holder_id].unit_id if holder_id in company.person else company.unit[holder_id].parent_id
    return 1 + _depth(company, unit_id) if unit_id else 0


def _unit(unit: Unit) -> org_pb2.UnitInput:
    return org_pb2.UnitInput(
        id=unit.id,
        name=unit.name,
        kind=unit.kind,
        parent_id=unit.parent_id,
        manager_id=unit.manager_id,
        territory=org_pb2.Territory(regions=unit.territory.regions, industries=unit.territory.industries),
        provenance=came_from(unit.id),
    )


def _person(person: Person) -> org_pb2.PersonInput:
    return org_pb2.PersonInput(
        id=person.id,
        name=person.name,
        unit_id=person.unit_id,
        title=person.title,
        roles=[options_pb2.Role.Value(f"ROLE_{role.upper()}") for role in person.roles],
        function=person.function,
        email=person.email,
        hire_date=day(2024, 1, 1),
        provenance=came_from(person.id),
    )


def _product(product: Product) -> products_pb2.ProductInput:
    stage = products_pb2.LifeCycleStage.Value(f"LIFE_CYCLE_STAGE_{product.stage.upper()}")
    return products_pb2.ProductInput(
        id=product.id,
        name=product.name,
        line=product.line,
        list_price=cny(product.list_price),
        launch_date=day(2025, 1, 1),
        stage=stage,
        provenance=came_from(product.id),
    )
