"""The territory tree: roll-up, and who sees what follows from it (U7)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from closedloop.customers.v1 import accounts_pb2, assignment_pb2, leads_pb2
from closedloop.customers.v1 import territories_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.errors import DomainError
from closedloop_customers.territories.rules import Kind, Territory, Tree, check, overlaps

from .conftest import House


def territory(id: str, parent: str = "", **profile: Any) -> Territory:
    return Territory(id, {"name": id, "unit_id": "u", "parent_id": parent, **profile}, date(2026, 1, 1), None, 1)


EAST = territory("east", region_codes=["31", "32"])
SHANGHAI = territory("shanghai", "east", region_codes=["31"])
SCHOOLS = territory("schools", "shanghai", industries=["education"])
NAMED = territory("named", account_ids=["a1"])


@pytest.mark.mission("U7")
def test_a_record_lies_in_the_deepest_territory_that_fits_all_the_way_down() -> None:
    tree = Tree([SCHOOLS, SHANGHAI, EAST, NAMED])

    def lies(*kind: Any) -> str:
        return "/".join(one.id for one in tree.place(Kind(*kind)))

    assert lies("310115", "education.university", ()) == "east/shanghai/schools"
    assert lies("310115", "retail", ()) == "east/shanghai"
    assert lies("320500", "education", ()) == "east", "schools are of Shanghai only"
    assert lies("440300", "education", ()) == ""
    assert lies("310115", "education", (), "a1") == "named", "a named account lies where it is named"
    assert [one.id for one in tree.ordered()] == ["east", "shanghai", "schools", "named"]
    assert overlaps(EAST, territory("x", region_codes=["310000"]))
    assert not overlaps(EAST, territory("x", region_codes=["33"]))
    assert not overlaps(SCHOOLS, territory("x", industries=["educational"]))
    assert overlaps(EAST, territory("everything"))
    assert not overlaps(EAST, NAMED)
    for reason, made in (
        ("PARENT_NOT_FOUND", territory("x", "nowhere")),
        ("TERRITORY_CYCLE", territory("east", "schools")),
        ("OVERLAP", territory("x", region_codes=["3101"])),
    ):
        with pytest.raises(DomainError) as refused:
            check(made, tree)
        assert refused.value.reason == reason


@pytest.mark.mission("U7")
async def test_the_tree_rolls_up_and_pooled_accounts_come_home(house: House, rid: Any) -> None:
    async def create(name: str, **profile: Any) -> pb.Territory:
        made: pb.Territory = await house.ops.territories.CreateTerritory(
            pb.CreateTerritoryRequest(request_id=rid(), profile=pb.TerritoryProfile(name=name, **profile))
        )
        return made

    async def account(n: int, region: str, industry: str) -> accounts_pb2.Account:
        profile = accounts_pb2.AccountProfile(name=f"客户{n}号", region_code=region, industry=industry)
        made: accounts_pb2.Account = await house.rep1.accounts.CreateAccount(
            accounts_pb2.CreateAccountRequest(request_id=rid(), profile=profile)
        )
        return made

    school = await account(1, "310115", "education")
    shop = await account(2, "310104", "retail")
    far = await account(3, "110101", "education")
    await house.rep1.assignment.ReleaseToPool(
        assignment_pb2.ReleaseToPoolRequest(
            request_id=rid(),
            record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=far.id),
            reason="太远",
        )
    )
    east = await create("华东", unit_id="east", region_codes=["31", "32"])
    schools = await create("上海学校", unit_id="team1", parent_id=east.id, industries=["education"])
    north = await create("北方", unit_id="team9", region_codes=["11"])
    assert (north.figures.accounts, north.figures.pooled, north.figures.sellers) == (1, 1, 1)
    home = await house.m9.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=far.id))
    assert home.ownership.unit_id == "team9", "what nobody owns lies in the pool of its territory's unit"
    listed = await house.ops.territories.ListTerritories(pb.ListTerritoriesRequest(with_figures=True))
    counted = {t.profile.name: t.figures.accounts for t in listed.territories}
    assert counted == {"北方": 1, "华东": 2, "上海学校": 1}
    names = [t.profile.name for t in listed.territories]
    assert names.index("华东") < names.index("上海学校")
    seen = await house.rep9.territories.ListTerritories(pb.ListTerritoriesRequest(with_figures=True))
    assert len(seen.territories) == 3

    async def inside(territory: pb.Territory) -> set[str]:
        answer = await house.ops.accounts.ListAccounts(accounts_pb2.ListAccountsRequest(territory_id=territory.id))
        return {one.id for one in answer.accounts}

    assert await inside(east) == {school.id, shop.id}
    assert await inside(schools) == {school.id}
    for code, reason, profile in (
        ("FAILED_PRECONDITION", "OVERLAP", {"unit_id": "north", "region_codes": ["310101"]}),
        ("INVALID_ARGUMENT", "UNKNOWN_UNIT", {"unit_id": "moon"}),
        ("INVALID_ARGUMENT", "UNKNOWN_CODE", {"unit_id": "north", "region_codes": ["99"]}),
        ("INVALID_ARGUMENT", "PARENT_NOT_FOUND", {"unit_id": "north", "parent_id": far.id}),
    ):
        with house.live.refused(code, reason):
            await create("错", **profile)
    with house.live.refused("INVALID_ARGUMENT", "TERRITORY_NOT_FOUND"):
        await house.ops.leads.ListLeads(leads_pb2.ListLeadsRequest(territory_id=far.id))

    def update(one: pb.Territory, *paths: str, **fields: Any) -> pb.UpdateTerritoryRequest:
        return pb.UpdateTerritoryRequest(
            request_id=rid(), id=one.id, etag=one.etag, update_mask=FieldMask(paths=paths), reason="调整", **fields
        )

    wider = pb.TerritoryProfile(region_codes=["31", "32", "33"], account_ids=[far.id], parent_id=schools.id)
    would = await house.ops.territories.UpdateTerritory(
        update(east, "region_codes", "account_ids", profile=wider, validate_only=True)
    )
    assert would.figures.accounts == 3
    assert await inside(east) == {school.id, shop.id}, "a dry run changes nothing"
    with house.live.refused("INVALID_ARGUMENT", "TERRITORY_CYCLE"):
        await house.ops.territories.UpdateTerritory(update(east, "parent_id", profile=wider))
    today = house.live.now.date()
    with house.live.refused("INVALID_ARGUMENT", "DATE_IN_PAST"):
        past = protos.date_proto(today - timedelta(days=1))
        await house.ops.territories.UpdateTerritory(update(east, "region_codes", profile=wider, effective_date=past))
    with house.live.refused("FAILED_PRECONDITION", "HAS_CHILDREN"):
        await house.ops.territories.UpdateTerritory(update(east, "end_date", end_date=protos.date_proto(today)))
    # From a day on: until then the tree is as it was.
    day = today + timedelta(days=10)
    after = await house.ops.territories.UpdateTerritory(
        update(east, "region_codes", "account_ids", profile=wider, effective_date=protos.date_proto(day))
    )
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await house.ops.territories.UpdateTerritory(update(east, "region_codes", profile=wider))
    assert await inside(east) == {school.id, shop.id}
    then = await house.ops.territories.ListTerritories(
        pb.ListTerritoriesRequest(root_id=after.id, date=protos.date_proto(day), with_figures=True, page_size=1)
    )
    assert (then.territories[0].figures.accounts, bool(then.next_page_token)) == (3, True)
    await house.live.advance(days=10)
    assert await inside(east) == {school.id, shop.id, far.id}
    assert await inside(north) == set()
