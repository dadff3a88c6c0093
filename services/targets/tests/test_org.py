"""The organisation: imported, changed from a day on, read as of a day, and told."""

from __future__ import annotations

import time
from datetime import date

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import (
    events_pb2,
    org_pb2,
    org_pb2_grpc,
    plans_pb2,
    plans_pb2_grpc,
    products_pb2,
    products_pb2_grpc,
)
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .staff import PEOPLE, UNITS, bring_in, org_rows, request_id


def operations(live: Live) -> org_pb2_grpc.OrgServiceStub:
    return live.stub(org_pb2_grpc.OrgServiceStub, "ops", "operations")


async def update(live: Live, unit_id: str, mask: list[str], day: date | None = None, **fields: str) -> org_pb2.Unit:
    org = operations(live)
    held = await org.GetUnit(org_pb2.GetUnitRequest(unit_id=unit_id))
    request = org_pb2.UpdateUnitRequest(
        request_id=request_id(),
        unit=org_pb2.UnitInput(id=unit_id, **fields),
        update_mask=FieldMask(paths=mask),
        etag=held.etag,
        effective_date=protos.date_proto(day),
        reason="reorganisation",
    )
    return await org.UpdateUnit(request)


async def test_import_brings_units_and_people_that_refer_to_each_other_in_any_order(live: Live) -> None:
    rows = org_rows(UNITS, PEOPLE)[::-1]
    org = operations(live)
    rehearsed = await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=rows, validate_only=True))
    summary = await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=rows))
    again = await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=rows))
    assert (summary.read, summary.created, summary.rejected) == (16, 16, 0)
    assert rehearsed == summary
    assert (again.unchanged, again.created, again.updated) == (16, 0, 0)
    assert len(await live.told(events_pb2.OrgUnitChanged)) == 6
    told = {person.person_id: person for person in await live.told(events_pb2.PersonChanged)}
    assert told["rep1"].unit_path == ["co", "east", "east-1"]
    assert told["rep1"].manager_id == "l-east-1"
    assert told["l-east-1"].manager_id == "m-east"
    assert told["rep1"].time_zone == "Asia/Shanghai"
    await live.process.look()
    assert live.process.org.current.line_of("rep1")[-1].id == "boss"


async def test_import_reports_rows_that_lean_on_refused_ones(company: Live) -> None:
    rows = org_rows(
        [
            ("lost", "nowhere", "team", "Lost", ""),
            ("below", "lost", "team", "Below", ""),
            ("a", "b", "team", "A", ""),
            ("b", "a", "team", "B", ""),
            ("second", "", "company", "Second root", ""),
            ("odd", "co", "galaxy", "Odd", ""),
            ("led", "co", "team", "Led", "nobody"),
            ("fine", "co", "team", "Fine", ""),
            ("fine", "co", "team", "Fine again", ""),
            ("bad id!", "co", "team", "Bad", ""),
        ],
        [("who", "below", "Who", ["rep"])],
    )
    summary = await operations(company).ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=rows))
    assert {error.row: error.reason for error in summary.errors} == {
        0: "PARENT_NOT_FOUND",
        1: "PARENT_NOT_FOUND",
        2: "ORG_CYCLE",
        3: "ORG_CYCLE",
        4: "ROOT_EXISTS",
        5: "KIND_UNKNOWN",
        6: "PERSON_NOT_FOUND",
        8: "ROW_REPEATED",
        9: "ROW_INVALID",
        10: "UNIT_NOT_FOUND",
    }
    assert (summary.read, summary.created) == (11, 1)


async def test_import_of_two_thousand_people_takes_less_than_two_seconds(live: Live) -> None:
    units = [("co", "", "company", "Company", "")] + [(f"t{n}", "co", "team", f"Team {n}", "") for n in range(200)]
    people = [(f"p{n}", f"t{n % 200}", f"Person {n}", ["rep"]) for n in range(2000)]
    rows = org_rows(units, people)
    org = operations(live)
    began = time.process_time()
    summary = await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=rows))
    assert summary.created == 2201
    assert time.process_time() - began < 2


@pytest.mark.mission("U7")
async def test_a_move_is_told_for_everything_below_and_read_as_of_its_day(company: Live) -> None:
    moved = await update(company, "east-1", ["parent_id"], date(2026, 2, 2), parent_id="north")
    assert moved.path == ["co", "east", "east-1"]
    org = operations(company)
    later = await org.GetUnit(org_pb2.GetUnitRequest(unit_id="east-1", date=protos.date_proto(date(2026, 2, 2))))
    assert later.path == ["co", "north", "east-1"]
    before = len(await company.told(events_pb2.OrgUnitChanged))
    await company.advance(days=28)
    told = (await company.told(events_pb2.OrgUnitChanged))[before:]
    assert [(unit.unit_id, list(unit.path)) for unit in told] == [("east-1", ["co", "north", "east-1"])]
    people = {one.person_id: one for one in await company.told(events_pb2.PersonChanged)}
    assert people["rep1"].unit_path == ["co", "north", "east-1"]
    assert people["l-east-1"].manager_id == "m-north"
    assert company.process.org.current.subtree("north") >= {"east-1"}
    past = await org.GetUnit(org_pb2.GetUnitRequest(unit_id="east-1", date=protos.date_proto(date(2026, 1, 31))))
    assert past.parent_id == "east"


async def test_what_a_later_change_says_stays_when_an_earlier_day_is_changed(company: Live) -> None:
    await update(company, "east-1", ["name"], date(2026, 3, 1), name="March")
    await update(company, "east-1", ["name", "manager_id"], date(2026, 2, 1), name="February", manager_id="rep1")
    org = operations(company)
    names = []
    for month in (1, 2, 3):
        day = protos.date_proto(date(2026, month, 15))
        unit = await org.GetUnit(org_pb2.GetUnitRequest(unit_id="east-1", date=day))
        names.append((unit.name, unit.manager_id))
    assert names == [("华东一组", "l-east-1"), ("February", "rep1"), ("March", "rep1")]


async def test_moves_of_different_days_do_not_close_a_circle(company: Live) -> None:
    await update(company, "east", ["parent_id"], date(2026, 3, 1), parent_id="north")
    with company.refused("FAILED_PRECONDITION", "ORG_CYCLE"):
        await update(company, "north", ["parent_id"], date(2026, 2, 1), parent_id="east-1")
    org = operations(company)
    held = await org.GetUnit(org_pb2.GetUnitRequest(unit_id="north", date=protos.date_proto(date(2026, 3, 1))))
    assert held.parent_id == "co"
    # Once the other move is taken back, it may go.
    await update(company, "east", ["parent_id"], date(2026, 3, 1), parent_id="co")
    await update(company, "north", ["parent_id"], date(2026, 2, 1), parent_id="east-1")
    moved = await org.GetUnit(org_pb2.GetUnitRequest(unit_id="north", date=protos.date_proto(date(2026, 3, 1))))
    assert list(moved.path) == ["co", "east", "east-1", "north"]


async def test_a_tree_has_a_deepest_level(company: Live) -> None:
    rows = [(f"deep-{n}", f"deep-{n - 1}" if n else "co", "team", f"Level {n}", "") for n in range(49)]
    await bring_in(company, rows, [])
    org = operations(company)
    with company.refused("FAILED_PRECONDITION", "ORG_TOO_DEEP"):
        unit = org_pb2.UnitInput(id="deep-49", parent_id="deep-48", kind="team", name="Level 49")
        await org.CreateUnit(org_pb2.CreateUnitRequest(request_id=request_id(), unit=unit))
    with company.refused("FAILED_PRECONDITION", "ORG_TOO_DEEP"):
        too_deep = org_rows([("deep-49", "deep-48", "team", "Level 49", "")], [])
        await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=too_deep))


async def test_refusals_of_units(company: Live) -> None:
    org = operations(company)
    with company.refused("FAILED_PRECONDITION", "ORG_CYCLE"):
        await update(company, "east", ["parent_id"], parent_id="east-1")
    with company.refused("NOT_FOUND", "PARENT_NOT_FOUND"):
        await update(company, "east", ["parent_id"], parent_id="west")
    with company.refused("NOT_FOUND", "PERSON_NOT_FOUND"):
        await update(company, "east", ["manager_id"], manager_id="ghost")
    with company.refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await update(company, "east", ["colour"])
    with company.refused("INVALID_ARGUMENT", "KIND_UNKNOWN"):
        await update(company, "east", ["kind"], kind="galaxy")
    with company.refused("INVALID_ARGUMENT", "TIME_ZONE_UNKNOWN"):
        await update(company, "east", ["time_zone"], time_zone="Mars/Base")
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        unit = org_pb2.UnitInput(id="east", name="East")
        await org.UpdateUnit(org_pb2.UpdateUnitRequest(request_id=request_id(), unit=unit, etag='"0"'))
    unit = org_pb2.UnitInput(id="east", name="East", kind="region", parent_id="co")
    with company.refused("ALREADY_EXISTS", "UNIT_EXISTS"):
        await org.CreateUnit(org_pb2.CreateUnitRequest(request_id=request_id(), unit=unit))
    unit = org_pb2.UnitInput(id="co2", name="Second", kind="company")
    with company.refused("FAILED_PRECONDITION", "ROOT_EXISTS"):
        await org.CreateUnit(org_pb2.CreateUnitRequest(request_id=request_id(), unit=unit))
    with company.refused("NOT_FOUND", "UNIT_NOT_FOUND"):
        await org.GetUnit(org_pb2.GetUnitRequest(unit_id="west"))
    rep = company.stub(org_pb2_grpc.OrgServiceStub, "rep1", "rep")
    with company.refused("PERMISSION_DENIED"):
        await rep.CreateUnit(org_pb2.CreateUnitRequest(request_id=request_id(), unit=unit))


async def test_a_unit_opens_and_closes_with_a_successor(company: Live) -> None:
    org = operations(company)
    unit = org_pb2.UnitInput(id="east-3", name="华东三组", kind="team", parent_id="east", manager_id="rep2")
    made = await org.CreateUnit(org_pb2.CreateUnitRequest(request_id=request_id(), unit=unit))
    assert (made.depth, made.state, made.manager_id) == (2, org_pb2.ORG_STATE_ACTIVE, "rep2")
    held = await org.GetUnit(org_pb2.GetUnitRequest(unit_id="east-1"))
    close = {"unit_id": "east-1", "etag": held.etag, "reason": "merged"}
    with company.refused("FAILED_PRECONDITION", "UNIT_HAS_PEOPLE"):
        await org.CloseUnit(org_pb2.CloseUnitRequest(request_id=request_id(), **close))
    with company.refused("FAILED_PRECONDITION", "SUCCESSOR_INVALID"):
        await org.CloseUnit(org_pb2.CloseUnitRequest(request_id=request_id(), successor_id="nowhere", **close))
    closed = await org.CloseUnit(org_pb2.CloseUnitRequest(request_id=request_id(), successor_id="east-3", **close))
    assert (closed.state, closed.successor_id) == (org_pb2.ORG_STATE_CLOSED, "east-3")
    person = await org.GetPerson(org_pb2.GetPersonRequest(person_id="rep1"))
    assert (person.unit_id, person.manager_id) == ("east-3", "rep2")
    [*_, last] = [one for one in await company.told(events_pb2.OrgUnitChanged) if one.unit_id == "east-1"]
    assert not last.active
    assert last.successor_id == "east-3"
    people = await org.ListPeople(org_pb2.ListPeopleRequest(unit_id="east-3"))
    assert [one.id for one in people.people] == ["l-east-1", "rep1", "rep2"]
    with company.refused("FAILED_PRECONDITION", "PARENT_CLOSED"):
        below = org_pb2.UnitInput(id="x", name="X", kind="team", parent_id="east-1")
        await org.CreateUnit(org_pb2.CreateUnitRequest(request_id=request_id(), unit=below))


async def test_a_person_comes_moves_in_mid_period_and_leaves(company: Live) -> None:
    org = operations(company)
    new = org_pb2.PersonInput(
        id="rep9", name="新人", unit_id="east-1", email="rep9@example.com", mobile="+8613800000000"
    )
    made = await org.CreatePerson(org_pb2.CreatePersonRequest(request_id=request_id(), person=new))
    assert made.unit_path == ["co", "east", "east-1"]
    moved = await org.UpdatePerson(
        org_pb2.UpdatePersonRequest(
            request_id=request_id(),
            person=org_pb2.PersonInput(id="rep9", unit_id="north-1"),
            update_mask=FieldMask(paths=["unit_id"]),
            etag=made.etag,
            effective_date=protos.date_proto(date(2026, 2, 10)),
        )
    )
    spans = [(one.unit_id, one.end_date.day) for one in moved.memberships]
    assert spans == [("east-1", 9), ("north-1", 0)]
    await company.advance(days=40)
    told = [one for one in await company.told(events_pb2.PersonChanged) if one.person_id == "rep9"]
    assert [one.unit_id for one in told] == ["east-1", "north-1"]
    assert told[0].version < told[1].version
    held = await org.GetPerson(org_pb2.GetPersonRequest(person_id="rep9"))
    gone = await org.DeactivatePerson(
        org_pb2.DeactivatePersonRequest(request_id=request_id(), person_id="rep9", etag=held.etag, reason="left")
    )
    assert gone.state == org_pb2.ORG_STATE_CLOSED
    assert not (await company.told(events_pb2.PersonChanged))[-1].active
    leader = await org.GetPerson(org_pb2.GetPersonRequest(person_id="m-east"))
    with company.refused("FAILED_PRECONDITION", "PERSON_LEADS_UNIT"):
        await org.DeactivatePerson(
            org_pb2.DeactivatePersonRequest(request_id=request_id(), person_id="m-east", etag=leader.etag)
        )
    with company.refused("ALREADY_EXISTS", "PERSON_EXISTS"):
        await org.CreatePerson(org_pb2.CreatePersonRequest(request_id=request_id(), person=new))
    with company.refused("NOT_FOUND", "PERSON_NOT_FOUND"):
        await org.GetPerson(org_pb2.GetPersonRequest(person_id="ghost"))
    trail = await company.db.all("SELECT changes FROM audit_entry WHERE subject = 'person:rep9' AND action = 'create'")
    assert "rep9@example.com" not in str(trail)


async def test_lists_and_trees_are_paged_filtered_and_counted(company: Live) -> None:
    rep = company.stub(org_pb2_grpc.OrgServiceStub, "rep1", "rep")
    first = await rep.ListUnits(org_pb2.ListUnitsRequest(page_size=4))
    rest = await rep.ListUnits(org_pb2.ListUnitsRequest(page_size=4, page_token=first.next_page_token))
    ids = [unit.id for unit in (*first.units, *rest.units)]
    assert ids == ["co", "east", "north", "east-1", "east-2", "north-1"]
    assert not rest.next_page_token
    teams = await rep.ListUnits(org_pb2.ListUnitsRequest(unit_id="east", kind="team", query="二组"))
    assert [unit.id for unit in teams.units] == ["east-2"]
    reps = await rep.ListPeople(org_pb2.ListPeopleRequest(role=1, page_size=3))
    assert [person.id for person in reps.people] == ["rep1", "rep2", "rep3"]
    more = await rep.ListPeople(org_pb2.ListPeopleRequest(role=1, page_size=3, page_token=reps.next_page_token))
    assert [person.id for person in more.people] == ["rep4"]
    tree = await rep.GetOrgTree(org_pb2.GetOrgTreeRequest(include_people=True))
    assert (tree.nodes[0].unit_id, tree.nodes[0].total_heads, tree.nodes[0].direct_heads) == ("co", 10, 1)
    assert len(tree.nodes) == 16
    paged: list[org_pb2.OrgNode] = []
    request = org_pb2.GetOrgTreeRequest(include_people=True, page_size=5)
    for size in (5, 5, 5, 1):
        page = await rep.GetOrgTree(request)
        assert len(page.nodes) == size
        paged += page.nodes
        request.page_token = page.next_page_token
    assert paged == list(tree.nodes)
    assert not request.page_token
    flat = await rep.GetOrgTree(org_pb2.GetOrgTreeRequest(unit_id="east", max_depth=1))
    assert [(node.unit_id, node.depth) for node in flat.nodes] == [("east", 0), ("east-1", 1), ("east-2", 1)]
    with company.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await rep.ListUnits(org_pb2.ListUnitsRequest(page_token="bm9uc2Vuc2U="))


async def test_a_second_import_moves_and_renames(company: Live) -> None:
    await bring_in(company, [("east-2", "north", "team", "北二组", "l-east-2")], [("rep3", "east-1", "王五", ["rep"])])
    org = operations(company)
    unit = await org.GetUnit(org_pb2.GetUnitRequest(unit_id="east-2"))
    assert (unit.name, unit.parent_id) == ("北二组", "north")
    person = await org.GetPerson(org_pb2.GetPersonRequest(person_id="rep3"))
    assert person.unit_id == "east-1"
    rows = await company.db.all("SELECT id, told FROM unit WHERE told = ''")
    assert rows == []


@pytest.mark.mission("S100")
async def test_own_fields_of_units_people_products_and_plans_are_held_to_what_is_declared(company: Live) -> None:
    rulebooks = company.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations")
    publish = platform_pb2.PublishRulebookRequest(
        request_id=request_id(), name="targets.custom_fields", reason="fields"
    )
    area, day, tier = {"type": "number"}, {"type": "date", "required": True}, {"options": ["gold", "tin"]}
    publish.body.update(
        {"unit": {"area": area}, "person": {"badge": day}, "product": {"tier": tier}, "plan": {"tier": tier}}
    )
    await rulebooks.PublishRulebook(publish)
    await company.process.look()
    org = operations(company)

    def row(**fields: object) -> org_pb2.OrgRow:
        unit = org_pb2.UnitInput(id="u1", name="U", kind="team", parent_id="co")
        unit.custom_fields.update(fields)
        return org_pb2.OrgRow(unit=unit)

    person = org_pb2.PersonInput(id="p1", name="P", unit_id="co")
    rows = [row(area="large"), org_pb2.OrgRow(person=person)]
    summary = await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=rows))
    assert [(one.reason, one.message) for one in summary.errors] == [
        ("CUSTOM_FIELD_INVALID", "area is no number"),
        ("CUSTOM_FIELD_INVALID", "badge is required"),
    ]
    person.custom_fields.update({"badge": "2026-01-05"})
    rows = [row(area=12), org_pb2.OrgRow(person=person)]
    assert (await org.ImportOrg(org_pb2.ImportOrgRequest(request_id=request_id(), rows=rows))).created == 2
    with company.refused("INVALID_ARGUMENT", "CUSTOM_FIELD_INVALID"):
        await org.CreatePerson(
            org_pb2.CreatePersonRequest(
                request_id=request_id(), person=org_pb2.PersonInput(id="p2", name="P", unit_id="co")
            )
        )
    # Who says nothing of them changes nothing of them.
    assert (await update(company, "u1", ["name"], name="V")).custom_fields["area"] == 12
    catalogue = company.stub(products_pb2_grpc.ProductServiceStub, "ops", "operations")
    product = products_pb2.ProductInput(id="x", name="X")
    product.custom_fields.update({"tier": "lead"})
    told = await catalogue.ImportProducts(
        products_pb2.ImportProductsRequest(request_id=request_id(), products=[product])
    )
    assert [one.reason for one in told.errors] == ["CUSTOM_FIELD_INVALID"]
    plan = plans_pb2.CreatePlanRequest(
        request_id=request_id(), name="Q1", unit_id="co", period="2026-Q1", owner_id="boss"
    )
    plan.custom_fields.update({"tier": "lead"})
    with company.refused("INVALID_ARGUMENT", "CUSTOM_FIELD_INVALID"):
        await company.stub(plans_pb2_grpc.PlanServiceStub, "ops", "operations").CreatePlan(plan)
