"""Who works in the company of the bench: 4 regions of 5 teams of 8 sellers, as targets would tell the others."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1.events_pb2 import AccountChanged
from closedloop.options.v1 import options_pb2
from closedloop.targets.v1.events_pb2 import OrgUnitChanged, PersonChanged
from closedloop_chassis import ids

REGIONS, TEAMS, HEADS = 4, 5, 8
ROOT = "CO"
# GB/T 2260: where the sellers of each region sell.
PROVINCES = ("31", "44", "11", "51")


def teams() -> list[str]:
    return [f"T{region}{team}" for region in range(REGIONS) for team in range(TEAMS)]


def sellers() -> list[str]:
    return [f"{team}-{head}" for team in teams() for head in range(HEADS)]


def team_of(seller: str) -> str:
    return seller.partition("-")[0]


def manager_of(team: str) -> str:
    return f"M-{team}"


def organisation() -> list[tuple[str, Message]]:
    """Units and people as events, a parent before its children."""
    told: list[tuple[str, Message]] = [(ROOT, _unit(ROOT, "", "company", "BOSS"))]
    for region in range(REGIONS):
        told.append((f"R{region}", _unit(f"R{region}", ROOT, "region", f"M-R{region}", PROVINCES[region])))
        told.append((f"M-R{region}", _person(f"M-R{region}", f"R{region}", "manager")))
    for team in teams():
        told.append((team, _unit(team, f"R{team[1]}", "team", manager_of(team))))
        told.append((manager_of(team), _person(manager_of(team), team, "manager")))
    told += [(seller, _person(seller, team_of(seller), "rep")) for seller in sellers()]
    told += [("BOSS", _person("BOSS", ROOT, "executive")), ("OPS", _person("OPS", ROOT, "operations"))]
    return told


def accounts(per_seller: int) -> Iterator[tuple[str, Message]]:
    """Accounts of every seller, in the sellers' order, as customers would tell them."""
    for seller in sellers():
        for number in range(per_seller):
            id_ = ids.new_id()
            account = AccountChanged(
                account_id=id_,
                name=f"客户 {seller}-{number}",
                industry="manufacturing",
                region_code=PROVINCES[int(seller[1])],
                status=accounts_pb2.ACCOUNT_STATUS_CUSTOMER,
                grade="B",
                version=1,
            )
            account.ownership.owner_id, account.ownership.unit_id = seller, team_of(seller)
            yield id_, account


def _unit(id_: str, parent: str, kind: str, manager: str, *regions: str) -> OrgUnitChanged:
    unit = OrgUnitChanged(
        unit_id=id_, parent_id=parent, kind=kind, name=id_, manager_id=manager, active=True, version=1
    )
    unit.territory.regions.extend(regions)
    return unit


def _person(id_: str, unit: str, role: str) -> PersonChanged:
    person = PersonChanged(
        person_id=id_, unit_id=unit, name=id_, email=f"{id_.lower()}@example.com", active=True, version=1
    )
    person.roles.append(options_pb2.Role.Value(f"ROLE_{role.upper()}"))
    return person
