"""Assignment through the public contract: sellers, leave, suspension, people who decide themselves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.interval_pb2 import Interval

from closedloop.common.v1.common_pb2 import Provenance, RuleReference
from closedloop.customers.v1 import accounts_pb2, leads_pb2
from closedloop.customers.v1 import assignment_pb2 as pb
from closedloop.customers.v1 import events_pb2 as events
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.work import Work
from closedloop_customers.assignment import market, store
from closedloop_devstack.testing.service import work

from .conftest import House


async def intake(house: House, rid: Any, n: int = 1, **fields: Any) -> leads_pb2.Lead:
    profile = leads_pb2.LeadProfile(
        company_name=f"上海公司{n}", phone=f"1380000{n:04d}", region_code="310000", **fields
    )
    lead: leads_pb2.Lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(), profile=profile, provenance=Provenance(source="web_form", source_id=str(n))
        )
    )
    return lead


def lead_record(lead: leads_pb2.Lead) -> accounts_pb2.RecordReference:
    return accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=lead.id)


async def seller(house: House, person: str) -> pb.Seller:
    answer = await house.ops.assignment.ListSellers(pb.ListSellersRequest(person_ids=[person]))
    found: pb.Seller = answer.sellers[0]
    return found


async def set_seller(house: House, rid: Any, person: str, paths: list[str], **profile: Any) -> pb.Seller:
    changed: pb.Seller = await house.m1.assignment.UpdateSeller(
        pb.UpdateSellerRequest(
            request_id=rid(),
            person_id=person,
            etag=(await seller(house, person)).etag,
            profile=pb.SellerProfile(**profile),
            update_mask=FieldMask(paths=paths),
        )
    )
    return changed


def suspension(person: str, version: int, moment: Any) -> funnel.LeadFeedSuspended:
    return funnel.LeadFeedSuspended(
        person_id=person,
        version=version,
        rule=RuleReference(explanation="51 visits, 2 opportunities"),
        suspend_time=moment,
    )


@pytest.mark.mission("S23", "U13")
async def test_leads_are_shared_fairly_among_those_who_fit(house: House, rid: Any) -> None:
    owners = [(await intake(house, rid, n)).ownership.owner_id for n in range(10)]
    assert sorted(set(owners)) == ["rep1", "rep2"]
    assert owners.count("rep1") == 5


@pytest.mark.mission("S23")
async def test_who_is_named_for_the_industry_comes_first(house: House, rid: Any) -> None:
    await set_seller(house, rid, "rep2", ["industries"], industries=["education"])
    first = await intake(house, rid, 1, industry="education")
    assert first.ownership.owner_id == "rep2"
    assert "named for region, industry" in first.assignment_rule.explanation
    other = await intake(house, rid, 2, industry="medical")
    assert other.ownership.owner_id == "rep1"


@pytest.mark.mission("U13")
async def test_capacity_is_never_exceeded_even_at_once(house: House, rid: Any) -> None:
    await set_seller(house, rid, "rep1", ["lead_capacity"], lead_capacity=2)
    await set_seller(house, rid, "rep2", ["lead_capacity"], lead_capacity=1)
    leads = await asyncio.gather(*(intake(house, rid, n) for n in range(6)))
    owners = sorted(lead.ownership.owner_id for lead in leads)
    assert owners == ["", "", "", "rep1", "rep1", "rep2"]
    full = await seller(house, "rep1")
    assert (full.open_leads, full.profile.lead_capacity) == (2, 2)
    free = await house.ops.assignment.ListSellers(pb.ListSellersRequest(available=True))
    assert [s.person_id for s in free.sellers] == ["rep9"]


@pytest.mark.mission("U13")
async def test_who_asked_with_an_old_memory_looks_again_though_others_have_renewed_it(house: House, rid: Any) -> None:
    process, seen = house.live.process, []

    class Overtaken:
        """Reads when another call has renewed the memory in between."""

        def __init__(self, asking: Transaction, other: Work) -> None:
            self._asking, self._other, self._first = asking, other, True

        async def all(self, *statement: Any) -> Any:
            if self._first:
                self._first = False
                await market.everybody(self._other, self._other.tx, "lead")
            return await self._asking.all(*statement)

    for capacity in (2, 1):
        await set_seller(house, rid, "rep1", ["lead_capacity"], lead_capacity=capacity)
        asking, other = work(process), work(process)
        reader: Any = Overtaken(asking.tx, other)
        sellers = await market.everybody(asking, reader, "lead")
        seen.append({each.person_id: each.capacity for each in sellers}["rep1"])
        for each in (asking, other):
            await each.tx.rollback()
    assert seen == [2, 1]


@pytest.mark.mission("U13")
async def test_who_is_on_leave_gets_nothing_and_the_stand_in_what_falls_due(house: House, rid: Any) -> None:
    lead = await intake(house, rid, 1)
    owner, other = lead.ownership.owner_id, {"rep1": "rep2", "rep2": "rep1"}[lead.ownership.owner_id]
    interval = Interval(
        start_time=protos.timestamp(house.live.now), end_time=protos.timestamp(house.live.now + timedelta(days=3))
    )
    leave = pb.RecordLeaveRequest(
        request_id=rid(),
        person_id=owner,
        interval=interval,
        stand_in_id="rep9",
        reason="年假",
        provenance=Provenance(source="hr", source_id="L-1"),
    )
    entered = await house.caller(owner, "rep").assignment.RecordLeave(leave)
    assert entered.leaves[0].stand_in_id == "rep9"
    assert (await intake(house, rid, 2)).ownership.owner_id == other
    await house.live.advance(hours=2)
    moved = await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))
    assert moved.ownership.owner_id != owner
    clash = pb.RecordLeaveRequest(request_id=rid(), person_id=owner, interval=interval)
    with house.live.refused("FAILED_PRECONDITION", "LEAVE_OVERLAPS"):
        await house.m1.assignment.RecordLeave(clash)
    with house.live.refused("FAILED_PRECONDITION", "STAND_IN_ON_LEAVE"):
        await house.m1.assignment.RecordLeave(
            pb.RecordLeaveRequest(request_id=rid(), person_id=other, interval=interval, stand_in_id=owner)
        )
    leave.request_id, leave.stand_in_id = rid(), ""
    replaced = await house.m1.assignment.RecordLeave(leave)
    assert len(replaced.leaves) == 1
    assert replaced.leaves[0].stand_in_id == ""
    back = await house.m1.assignment.CancelLeave(
        pb.CancelLeaveRequest(request_id=rid(), person_id=owner, leave_id=replaced.leaves[0].id)
    )
    assert not back.leaves
    with house.live.refused("FAILED_PRECONDITION", "LEAVE_OVER"):
        await house.m1.assignment.CancelLeave(
            pb.CancelLeaveRequest(request_id=rid(), person_id=owner, leave_id=replaced.leaves[0].id)
        )
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.assignment.RecordLeave(clash)


async def test_a_suspended_feed_gives_no_leads_until_it_resumes(house: House, rid: Any) -> None:
    now = protos.timestamp(house.live.now)
    await house.live.hear(suspension("rep1", 2, now), "rep1", source="funnel")
    assert [(await intake(house, rid, n)).ownership.owner_id for n in range(3)] == ["rep2"] * 3
    assert (await seller(house, "rep1")).suspend_reason == "51 visits, 2 opportunities"
    await house.live.hear(funnel.LeadFeedResumed(person_id="rep1", version=1), "rep1", source="funnel")
    assert (await seller(house, "rep1")).HasField("suspend_time"), "an older telling that arrives late changes nothing"
    await house.live.hear(funnel.LeadFeedResumed(person_id="rep1", version=3), "rep1", source="funnel")
    assert (await intake(house, rid, 9)).ownership.owner_id == "rep1"


async def test_earned_priority_gets_the_valuable_lead(house: House, rid: Any) -> None:
    for n in range(4):
        await intake(house, rid, n)
    granted = funnel.LeadPriorityGranted(
        person_id="rep2", end_time=protos.timestamp(house.live.now + timedelta(days=7))
    )
    await house.live.hear(granted, "rep2", source="funnel")
    from google.type.money_pb2 import Money

    rich = {"budget": Money(currency_code="CNY", units=2_000_000), "product_lines": ["vision"]}
    owners = [(await intake(house, rid, 10 + n, **rich)).ownership.owner_id for n in range(3)]
    assert owners == ["rep2"] * 3
    assert (await seller(house, "rep2")).HasField("priority_until_time")


@pytest.mark.mission("S23")
async def test_a_manager_assigns_by_hand_within_limits(house: House, rid: Any) -> None:
    lead = await intake(house, rid, 1)
    other = {"rep1": "rep2", "rep2": "rep1"}[lead.ownership.owner_id]
    await set_seller(house, rid, other, ["lead_capacity"], lead_capacity=0)

    def to(person: str, **fields: Any) -> pb.AssignRecordRequest:
        return pb.AssignRecordRequest(
            request_id=rid(), record=lead_record(lead), assignee_id=person, reason="熟悉客户", **fields
        )

    with house.live.refused("FAILED_PRECONDITION", "CAPACITY_EXCEEDED"):
        await house.m1.assignment.AssignRecord(to(other))
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.m1.assignment.AssignRecord(to("rep9"))
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.m9.assignment.AssignRecord(to("rep9"))
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_PERSON"):
        await house.ops.assignment.AssignRecord(to("nobody"))
    with house.live.refused("FAILED_PRECONDITION", "SELLER_INACTIVE"):
        await house.ops.assignment.AssignRecord(to("boss"))
    given = await house.m1.assignment.AssignRecord(to(other, override_limits=True))
    assert given.ownership.owner_id == other
    assert given.previous_owner_id == lead.ownership.owner_id
    assert given.method == pb.ASSIGNMENT_METHOD_MANUAL
    assert given.reason == "熟悉客户"
    assert "overruling capacity" in given.rule.explanation
    trail = await house.ops.assignment.ListAssignments(pb.ListAssignmentsRequest(record=lead_record(lead)))
    assert [a.method for a in trail.assignments] == [pb.ASSIGNMENT_METHOD_MANUAL, pb.ASSIGNMENT_METHOD_RULES]
    assert trail.assignments[1].HasField("end_time")
    assert (await house.live.told(events.LeadAssigned))[-1].ownership.owner_id == other
    assert (
        await house.live.db.value(
            "SELECT owner_id FROM clock WHERE kind = 'customers.first_response' AND state = 'open'"
        )
        == other
    )


async def test_an_account_is_handed_over(house: House, rid: Any) -> None:
    account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(), profile=accounts_pb2.AccountProfile(name="甲", region_code="310000")
        )
    )
    record = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=account.id)
    await house.m1.assignment.AssignRecord(
        pb.AssignRecordRequest(request_id=rid(), record=record, assignee_id="rep2", reason="换人")
    )
    moved = await house.rep2.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    assert moved.ownership.owner_id == "rep2"
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    by_rules = await house.m1.assignment.AssignRecord(
        pb.AssignRecordRequest(request_id=rid(), record=record, reason="按规则")
    )
    assert by_rules.ownership.owner_id == "rep1", "not to who just gave it up"


async def test_two_managers_deciding_at_once_leave_one_owner(house: House, rid: Any) -> None:
    lead = await intake(house, rid, 1)
    requests = [
        pb.AssignRecordRequest(request_id=rid(), record=lead_record(lead), assignee_id=f"rep{1 + n % 2}", reason="x")
        for n in range(6)
    ]
    answers = await asyncio.gather(
        *(house.ops.assignment.AssignRecord(request) for request in requests), return_exceptions=True
    )
    assert not [a for a in answers if isinstance(a, BaseException) and not isinstance(a, grpc.aio.AioRpcError)]
    running = await house.live.db.all("SELECT owner_id FROM assignment WHERE ended_at IS NULL")
    owner = await house.live.db.value("SELECT owner_id FROM lead")
    assert [row["owner_id"] for row in running] == [owner]


@pytest.mark.mission("S23", "U19")
async def test_a_preview_explains_and_changes_nothing(house: House, rid: Any) -> None:
    lead = leads_pb2.LeadProfile(company_name="北京丁", region_code="110100", industry="education")
    answer = await house.m1.assignment.PreviewAssignment(pb.PreviewAssignmentRequest(lead=lead))
    assert (answer.assignee_id, answer.unit_id) == ("rep9", "team9")
    assert answer.rule.rulebook == "customers.assignment"
    assert {c.person_id: list(c.ineligibilities) for c in answer.candidates}["rep1"] == [pb.INELIGIBILITY_REGION]
    nowhere = leads_pb2.LeadProfile(company_name="成都戊", region_code="510000")
    pooled = await house.m1.assignment.PreviewAssignment(pb.PreviewAssignmentRequest(lead=nowhere))
    assert (pooled.assignee_id, pooled.unit_id) == ("", "co")
    assert await house.live.db.value("SELECT count(*) FROM assignment") == 0
    made = await intake(house, rid, 1)
    existing = await house.ops.assignment.PreviewAssignment(pb.PreviewAssignmentRequest(record=lead_record(made)))
    assert existing.assignee_id in ("rep1", "rep2")


async def test_sellers_are_seen_by_their_line_only(house: House, rid: Any) -> None:
    assert [s.person_id for s in (await house.m1.assignment.ListSellers(pb.ListSellersRequest())).sellers] == [
        "rep1",
        "rep2",
    ]
    assert [s.person_id for s in (await house.rep9.assignment.ListSellers(pb.ListSellersRequest())).sellers] == ["rep9"]
    page = await house.ops.assignment.ListSellers(pb.ListSellersRequest(page_size=2))
    rest = await house.ops.assignment.ListSellers(pb.ListSellersRequest(page_size=2, page_token=page.next_page_token))
    assert [s.person_id for s in (*page.sellers, *rest.sellers)] == ["rep1", "rep2", "rep9"]
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.m9.assignment.UpdateSeller(
            pb.UpdateSellerRequest(
                request_id=rid(),
                person_id="rep1",
                etag='"0"',
                profile=pb.SellerProfile(),
                update_mask=FieldMask(paths=["weight"]),
            )
        )
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await house.m1.assignment.UpdateSeller(
            pb.UpdateSellerRequest(
                request_id=rid(),
                person_id="rep1",
                etag='"7"',
                profile=pb.SellerProfile(),
                update_mask=FieldMask(paths=["weight"]),
            )
        )
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_CODE"):
        await set_seller(house, rid, "rep1", ["industries"], industries=["alchemy"])


@pytest.mark.mission("U12")
async def test_the_pool_has_its_rules(house: House, rid: Any) -> None:
    await set_seller(house, rid, "rep1", ["lead_capacity"], lead_capacity=0)
    await set_seller(house, rid, "rep2", ["lead_capacity"], lead_capacity=0)
    lead = await intake(house, rid, 1)
    assert lead.ownership.owner_id == ""
    record = lead_record(lead)
    with house.live.refused("FAILED_PRECONDITION", "CAPACITY_EXCEEDED"):
        await house.rep1.assignment.ClaimFromPool(pb.ClaimFromPoolRequest(request_id=rid(), record=record))
    claimed = await house.rep9.assignment.ClaimFromPool(pb.ClaimFromPoolRequest(request_id=rid(), record=record))
    assert claimed.method == pb.ASSIGNMENT_METHOD_CLAIMED
    assert claimed.HasField("protected_until_time")
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_CLAIMED"):
        await house.rep1.assignment.ClaimFromPool(pb.ClaimFromPoolRequest(request_id=rid(), record=record))
    assert not (await house.rep1.assignment.ListPool(pb.ListPoolRequest())).entries


async def test_who_is_overtaken_chooses_again(house: House, rid: Any) -> None:
    """Another replica gives the last place away while ours has already chosen it."""
    await set_seller(house, rid, "rep1", ["lead_capacity"], lead_capacity=1)
    await set_seller(house, rid, "rep2", ["lead_capacity", "weight"], lead_capacity=1, weight=0.1)
    other = house.live.process.database.transaction()
    await other.all("UPDATE seller SET open_leads = 1, most_leads = 1 WHERE person_id = 'rep1' RETURNING person_id")
    coming = asyncio.create_task(intake(house, rid, 1))
    while not await house.live.db.value(  # noqa: ASYNC110
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ):
        await asyncio.sleep(0.01)
    await other.commit()
    lead = await coming
    assert lead.ownership.owner_id == "rep2"
    assert (await seller(house, "rep1")).open_leads == 1
    trail = await house.ops.assignment.ListAssignments(pb.ListAssignmentsRequest(record=lead_record(lead)))
    [against] = [c for c in trail.assignments[0].candidates if c.person_id == "rep1"]
    assert list(against.ineligibilities) == [pb.INELIGIBILITY_CAPACITY]
    assert (
        "李四: named for region; 0 of 1 open; never assigned before" in trail.assignments[0].candidates[0].explanation
    )


async def test_what_another_replica_changed_of_sellers_counts_at_once(house: House, rid: Any) -> None:
    await intake(house, rid, 1)
    other = house.live.process.database.transaction()
    other.do(store.SET_FEED, {"person_id": "rep1", "suspended_at": house.live.now, "reason": "x", "version": 7})
    other.do(store.MOVED)
    await other.commit()
    assert {(await intake(house, rid, n)).ownership.owner_id for n in range(2, 5)} == {"rep2"}


async def test_a_count_that_went_astray_is_made_good_within_a_day(house: House, rid: Any) -> None:
    lead = await intake(house, rid, 1)
    owner = lead.ownership.owner_id
    await house.live.db.all("UPDATE seller SET open_leads = 9 WHERE person_id = %(p)s RETURNING 1", {"p": owner})
    assert (await seller(house, owner)).open_leads == 9
    tx = house.live.process.database.transaction()
    tx.do(store.HOLD_ALL)
    assert [row["person_id"] for row in await tx.all(store.RECOUNT)] == [owner]
    await tx.commit()
    assert (await seller(house, owner)).open_leads == 1


@pytest.mark.mission("S23")
async def test_a_product_line_decides_who_gets_it(house: House, rid: Any) -> None:
    await set_seller(house, rid, "rep1", ["product_lines"], product_lines=["vision"])
    await set_seller(house, rid, "rep2", ["product_lines"], product_lines=["robots", "vision.3d"])
    owners = [(await intake(house, rid, n, product_lines=["vision"])).ownership.owner_id for n in range(3)]
    assert owners == ["rep1", "rep1", "rep1"], "not the one with more room, who does not sell it"
    robot = await intake(house, rid, 4, product_lines=["robots"])
    assert robot.ownership.owner_id == "rep2"
    assert "named for region, product_line" in robot.assignment_rule.explanation
    # One of several lines is enough; what names no line excludes nobody.
    assert (await intake(house, rid, 5, product_lines=["lasers", "robots"])).ownership.owner_id == "rep2"
    assert (await intake(house, rid, 6)).ownership.owner_id == "rep2", "who has more room"
    # Sold by nobody of the region it lies in the region's pool, found by its line, and the reasons are shown.
    asked = pb.PreviewAssignmentRequest(
        lead=leads_pb2.LeadProfile(company_name="x", region_code="310000", product_lines=["lasers"])
    )
    preview = await house.m1.assignment.PreviewAssignment(asked)
    assert (preview.assignee_id, preview.unit_id) == ("", "east")
    against = {one.person_id: list(one.ineligibilities) for one in preview.candidates}
    assert against["rep1"] == against["rep2"] == [pb.INELIGIBILITY_PRODUCT_LINE]
    lost = await intake(house, rid, 7, product_lines=["lasers"])
    assert (lost.ownership.owner_id, lost.ownership.unit_id) == ("", "east")
    for line, there in (("lasers", [lost.id]), ("vision", [])):
        pool = await house.rep1.assignment.ListPool(pb.ListPoolRequest(product_lines=[line]))
        assert [entry.record.id for entry in pool.entries] == there
    # An account that nobody is named for goes the same way.
    rows = [
        accounts_pb2.AccountRow(
            profile=accounts_pb2.AccountProfile(name=f"厂{line}", region_code="310000", product_lines=[line]),
            provenance=Provenance(source="crm", source_id=line),
        )
        for line in ("vision", "robots")
    ]
    await house.ops.accounts.BulkUpsertAccounts(accounts_pb2.BulkUpsertAccountsRequest(request_id=rid(), rows=rows))
    listed = await house.ops.accounts.ListAccounts(accounts_pb2.ListAccountsRequest(source="crm"))
    assert {one.profile.name: one.ownership.owner_id for one in listed.accounts} == {
        "厂vision": "rep1",
        "厂robots": "rep2",
    }
    # Whoever has not said it themselves takes what their unit sells.
    for version, (unit, person) in enumerate((("team1", "rep1"), ("team1", "rep2")), start=10**6):
        await set_seller(house, rid, person, ["product_lines"])
        told = targets.OrgUnitChanged(
            unit_id=unit, parent_id="east", kind="team", name="上海一组", manager_id="m1", active=True, version=version
        )
        told.territory.product_lines.append("lasers")
        await house.live.hear(told, unit)
    assert (await intake(house, rid, 8, product_lines=["lasers"])).ownership.owner_id in ("rep1", "rep2")
    assert (await intake(house, rid, 9, product_lines=["vision"])).ownership.owner_id == ""
