"""The company of the demo, made up from a seed: the same seed gives the same company to the last fen.

176 reps in 4 regions, 11 areas and 22 teams, their managers, twelve products, customers with contacts, last year's
sales, and a plan that leaks on its way down as the documents tell it: 120 M, 108 M, 93 M (S4).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from closedloop_devstack.demo import names

YUAN = 100
TOP = 120_000_000 * YUAN
REGIONS_GOT = 108_000_000 * YUAN
AREAS_GOT = 93_000_000 * YUAN
LAST_YEAR = 100_000_000 * YUAN
HEADS = 176
TEAM_SIZE = 8
# The farthest a head's target lies from its fair share when the plan leaks.
FARTHEST = 0.27
ROOT = "CO"
FOUNDED = date(2024, 1, 1)


@dataclass(frozen=True, slots=True)
class Territory:
    """What a unit sells where and to whom; empty means no limit."""

    regions: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unit:
    id: str
    parent_id: str
    kind: str
    name: str
    manager_id: str
    territory: Territory = Territory()


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str
    unit_id: str
    title: str
    roles: tuple[str, ...]
    function: str = "sales"

    @property
    def email(self) -> str:
        return f"{self.id.lower()}@yunshu.example.com"


@dataclass(frozen=True, slots=True)
class Product:
    """`list_price` in fen; `stage` is the life-cycle stage."""

    id: str
    name: str
    line: str
    list_price: int
    stage: str


@dataclass(frozen=True, slots=True)
class Contact:
    code: str
    name: str
    title: str
    email: str
    mobile: str


@dataclass(frozen=True, slots=True)
class Customer:
    """An account with its key contact; `owner_id` is the rep who holds it."""

    code: str
    name: str
    industry: str
    region: str
    owner_id: str
    product_line: str
    employees: int
    contact: Contact


@dataclass(frozen=True)
class Company:
    """Ids are the company's codes: units "EAST", "EAST-2", "EAST-2-A"; reps "R001" to "R176"; managers "M-<unit>"."""

    name: str
    units: tuple[Unit, ...]
    people: tuple[Person, ...]
    products: tuple[Product, ...]
    customers: tuple[Customer, ...]
    # Last year's first quarter and the leaking plan's targets, by rep, in fen.
    last_year: dict[str, int]
    leaked: dict[str, int]

    @cached_property
    def unit(self) -> dict[str, Unit]:
        return {unit.id: unit for unit in self.units}

    @cached_property
    def person(self) -> dict[str, Person]:
        return {person.id: person for person in self.people}

    @cached_property
    def product(self) -> dict[str, Product]:
        return {product.id: product for product in self.products}

    @property
    def reps(self) -> list[Person]:
        return [person for person in self.people if "rep" in person.roles]

    def of_kind(self, kind: str) -> list[Unit]:
        return [unit for unit in self.units if unit.kind == kind]

    def line(self, person_id: str) -> list[Person]:
        """The managers above a person, nearest first."""
        found: list[Person] = []
        unit: Unit | None = self.unit[self.person[person_id].unit_id]
        while unit is not None:
            if unit.manager_id != person_id:
                found.append(self.person[unit.manager_id])
            unit = self.unit.get(unit.parent_id)
        return found

    def leaking_targets(self) -> dict[str, int]:
        """The plan as it went down: fen by unit and rep. Teams pass on all they got; areas and regions do not."""
        got = dict(self.leaked)
        for kind in ("team", "area"):
            for unit in self.of_kind(kind):
                got[unit.id] = sum(got[below] for below in self._below(unit.id))
        regions = self.of_kind("region")
        wanted = [sum(got[area] for area in self._below(region.id)) for region in regions]
        got |= dict(
            zip((region.id for region in regions), _shared(REGIONS_GOT, wanted, step=10_000 * YUAN), strict=True)
        )
        return {ROOT: TOP, **got}

    def _below(self, unit_id: str) -> Iterator[str]:
        yield from (unit.id for unit in self.units if unit.parent_id == unit_id)
        yield from (person.id for person in self.people if person.unit_id == unit_id and "rep" in person.roles)


def make(seed: int = 2026, customers: int = 40) -> Company:
    dice = random.Random(seed)
    people = _Namer(dice)
    units, staff = _organisation(people)
    reps = [person for person in staff if "rep" in person.roles]
    return Company(
        name="云枢智造股份有限公司",
        units=tuple(units),
        people=tuple(staff),
        products=tuple(
            Product(code, name, line, price * YUAN, stage) for code, name, line, price, stage in names.PRODUCTS
        ),
        customers=tuple(_customers(dice, people, units, reps, customers)),
        last_year=_last_year(dice, reps),
        leaked=_leaked(dice, reps),
    )


class _Namer:
    """Gives every person a name nobody else has."""

    def __init__(self, dice: random.Random) -> None:
        self._left = [surname + given for surname in names.SURNAMES for given in names.GIVEN]
        dice.shuffle(self._left)

    def next(self) -> str:
        return self._left.pop()


def _organisation(people: _Namer) -> tuple[list[Unit], list[Person]]:
    units = [Unit(ROOT, "", "company", "云枢智造", "M-CO")]
    staff = [
        Person("M-CO", people.next(), ROOT, "总经理", ("executive", "manager")),
        Person("OPS-1", people.next(), ROOT, "销售运营经理", ("operations",), "operations"),
        Person("FIN-1", people.next(), ROOT, "财务总监", ("signatory",), "finance"),
        Person("LAW-1", people.next(), ROOT, "法务经理", ("signatory",), "legal"),
        Person("AUD-1", people.next(), ROOT, "内审专员", ("auditor",), "audit"),
    ]

    def unit(id_: str, parent: str, kind: str, name: str, title: str, territory: Territory) -> None:
        units.append(Unit(id_, parent, kind, name, f"M-{id_}", territory))
        staff.append(Person(f"M-{id_}", people.next(), id_, title, ("manager",)))

    for region, region_name, areas in names.REGIONS:
        everywhere = tuple(province for _, provinces in areas for province in provinces)
        unit(region, ROOT, "region", f"{region_name}大区", "大区总监", Territory(everywhere))
        for number, (area_name, provinces) in enumerate(areas, 1):
            area = f"{region}-{number}"
            unit(area, region, "area", f"{area_name}片区", "片区经理", Territory(provinces))
            for letter, (team_name, industries) in zip("AB", names.TEAMS, strict=True):
                team = f"{area}-{letter}"
                unit(team, area, "team", f"{area_name}{team_name}", "销售主管", Territory(provinces, industries))
                for _ in range(TEAM_SIZE):
                    number_of = sum("rep" in person.roles for person in staff) + 1
                    staff.append(Person(f"R{number_of:03}", people.next(), team, "销售代表", ("rep",)))
    return units, staff


def _customers(
    dice: random.Random, people: _Namer, units: Sequence[Unit], reps: Sequence[Person], count: int
) -> Iterator[Customer]:
    teams = [unit for unit in units if unit.kind == "team"]
    brands: dict[str, list[str]] = {}
    for number in range(1, count + 1):
        team = teams[(number - 1) % len(teams)]
        province = dice.choice(team.territory.regions)
        industry = dice.choice([known for known in team.territory.industries if known in names.KINDS])
        left = brands.setdefault(province + industry, dice.sample(names.BRANDS, len(names.BRANDS)))
        owner = dice.choice([rep for rep in reps if rep.unit_id == team.id])
        line = (
            "campus" if industry in ("education", "government", "medical") else dice.choice(("automation", "software"))
        )
        contact = Contact(
            code=f"K{number:03}",
            name=people.next(),
            title=dice.choice(names.TITLES),
            email=f"contact{number:03}@customer{number:03}.example.com",
            mobile=f"+86139{dice.randrange(10**8):08}",
        )
        name = f"{names.CITIES[province]}{left.pop()}{names.KINDS[industry]}"
        yield Customer(
            f"C{number:03}",
            name,
            industry,
            f"{province}0000",
            owner.id,
            line,
            dice.choice((900, 1200, 1800, 2600)),
            contact,
        )


def _last_year(dice: random.Random, reps: Sequence[Person]) -> dict[str, int]:
    """Sums to last year's quarter exactly; nobody sold less than 70 % of the mean."""
    amounts = _shared(LAST_YEAR, [dice.randrange(75, 126) for _ in reps], step=YUAN)
    return {rep.id: amount for rep, amount in zip(reps, amounts, strict=True)}


def _leaked(dice: random.Random, reps: Sequence[Person]) -> dict[str, int]:
    """What reached each head: 93 M in all, one head 27 % above its fair share, one 27 % below, the rest between."""
    half = [0.0] + [round(dice.uniform(0.02, 0.25), 3) for _ in range(len(reps) // 2 - 2)] + [FARTHEST]
    deviations = half + [-deviation for deviation in half]
    dice.shuffle(deviations)
    fair = AREAS_GOT / len(reps)
    amounts = [round(fair * (1 + deviation) / YUAN) * YUAN for deviation in deviations]
    # Rounding to whole yuan is made good by the two heads that were given exactly their share.
    amounts[deviations.index(0.0)] += AREAS_GOT - sum(amounts)
    return {rep.id: amount for rep, amount in zip(reps, amounts, strict=True)}


def _shared(total: int, weights: Sequence[int], step: int) -> list[int]:
    """`total` in proportion to the weights, in multiples of `step`, exact: the largest remainders get one step more."""
    steps = total // step
    whole = sum(weights)
    shares = [steps * weight // whole for weight in weights]
    behind = sorted(range(len(weights)), key=lambda i: (-(steps * weights[i] % whole), i))
    for i in behind[: steps - sum(shares)]:
        shares[i] += 1
    return [share * step for share in shares]
