"""A non-standard need in a service ticket becomes an opportunity point with an owner (S35)."""

from __future__ import annotations

from typing import Any

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, assignment_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import opportunity_points_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop_customers.points.rules import PointRules, non_standard

from .conftest import House

DEAL = "0190d3c0-0000-7000-8000-00000000000c"


@pytest.mark.mission("S35")
def test_the_sentence_that_shows_the_need_is_found() -> None:
    rules = PointRules()
    text = "设备正常。想问下能否支持与我们的MES对接？谢谢！"
    assert non_standard(text, rules) == ("能否支持", "想问下能否支持与我们的MES对接？")
    assert non_standard("Works fine.\nDo you SUPPORT wide belts?", rules) == (
        "do you support",
        "Do you SUPPORT wide belts?",
    )
    assert non_standard("按钮坏了，请更换。", rules) is None
    assert non_standard("", rules) is None


async def account(house: House, rid: Any, name: str = "华东精密") -> accounts_pb2.Account:
    made: accounts_pb2.Account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(), profile=accounts_pb2.AccountProfile(name=name, region_code="310000")
        )
    )
    return made


async def ticket(house: House, account_id: str, n: int, **fields: Any) -> None:
    whole = {"title": "产线升级咨询", "text": "设备正常。能否支持与MES对接？", **fields}
    told = tickets_pb2.Ticket(id=f"t-{n}", number=f"T{n}", account_id=account_id, **whole)
    await house.live.hear(integrations.TicketReceived(ticket=told), f"t-{n}", source="integrations")


async def points(house: House, **fields: Any) -> list[pb.OpportunityPoint]:
    return list((await house.ops.points.ListOpportunityPoints(pb.ListOpportunityPointsRequest(**fields))).points)


@pytest.mark.mission("S35")
async def test_a_need_in_a_ticket_is_taken_up_and_becomes_an_opportunity(house: House, rid: Any) -> None:
    home = await account(house, rid)
    await ticket(house, home.id, 1)
    await ticket(house, home.id, 1, text="设备正常。能否支持与MES对接？已催。")
    await ticket(house, home.id, 2, title="按钮坏了", text="请更换。")
    await ticket(house, home.id, 3, title="咨询", text="请回电", need_sentence="他们想要更宽的传送带")
    first, marked = await points(house)
    assert (first.quote, first.need, first.ownership.owner_id) == ("能否支持与MES对接？", "产线升级咨询", "rep1")
    assert (first.rule.rulebook, first.rule.rule) == ("customers.opportunity_points", "phrases")
    assert (marked.rule.rule, marked.quote) == ("marked", "他们想要更宽的传送带")
    # Two working days after Monday 09:00: Tuesday 18:00.
    assert first.due_time.ToJsonString() == "2026-01-06T10:00:00Z"
    tasks = [t.content for t in await house.live.told(approvals.TaskRequested) if t.content.subject_id == first.id]
    assert [(t.assignee_id, t.due_time) for t in tasks] == [("rep1", first.due_time)]

    def decide(point: pb.OpportunityPoint, decision: Any, reason: str = "") -> pb.DecideOpportunityPointRequest:
        return pb.DecideOpportunityPointRequest(
            request_id=rid(), id=point.id, etag=point.etag, decision=decision, reason=reason
        )

    accepted, dismissed = pb.OPPORTUNITY_POINT_STATE_ACCEPTED, pb.OPPORTUNITY_POINT_STATE_DISMISSED
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.points.DecideOpportunityPoint(decide(first, accepted))
    with house.live.refused("INVALID_ARGUMENT", "REASON_MISSING"):
        await house.rep1.points.DecideOpportunityPoint(decide(marked, dismissed))
    await house.rep1.points.DecideOpportunityPoint(decide(marked, dismissed, "标准品可以"))
    taken = await house.rep1.points.DecideOpportunityPoint(decide(first, accepted))
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_DECIDED"):
        await house.rep1.points.DecideOpportunityPoint(decide(taken, dismissed, "晚了"))
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await house.rep1.points.DecideOpportunityPoint(decide(first, accepted))
    (found,) = await house.live.told(events.OpportunityPointFound)
    assert (found.opportunity_point_id, found.ownership.owner_id) == (first.id, "rep1")
    assert len(await house.live.told(approvals.TaskWithdrawn)) == 2
    opened = funnel.OpportunityChanged(
        opportunity_id=DEAL, opportunity_point_id=first.id, account_id=home.id, version=1
    )
    await house.live.hear(opened, DEAL, source="funnel")
    known = await house.rep1.points.GetOpportunityPoint(pb.GetOpportunityPointRequest(id=first.id))
    assert known.opportunity_id == DEAL


@pytest.mark.mission("S35", "U13")
async def test_a_point_of_a_customer_in_the_pool_has_an_owner_too(house: House, rid: Any) -> None:
    home = await account(house, rid)
    await house.rep1.assignment.ReleaseToPool(
        assignment_pb2.ReleaseToPoolRequest(
            request_id=rid(),
            record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=home.id),
            reason="太远",
        )
    )
    await ticket(house, home.id, 1)
    (point,) = await points(house)
    assert point.ownership.owner_id in {"rep1", "rep2"}

    def note(**fields: Any) -> pb.CreateOpportunityPointRequest:
        given = {"account_id": home.id, "need": "加一条线", **fields}
        return pb.CreateOpportunityPointRequest(request_id=rid(), **given)

    told = Provenance(source="hotline", source_id="h-1")
    one = await house.web.points.CreateOpportunityPoint(note(provenance=told, owner_id="rep2"))
    again = await house.web.points.CreateOpportunityPoint(note(provenance=told, owner_id="rep2"))
    assert one.id == again.id
    assert (one.ownership.owner_id, one.ownership.unit_id) == ("rep2", "team1")
    for code, reason, fields in (
        ("NOT_FOUND", "ACCOUNT_NOT_FOUND", {"account_id": DEAL}),
        ("NOT_FOUND", "CONTACT_NOT_FOUND", {"contact_id": DEAL}),
        ("INVALID_ARGUMENT", "UNKNOWN_PERSON", {"owner_id": "nobody"}),
        ("INVALID_ARGUMENT", "NEED_MISSING", {"need": " "}),
    ):
        with house.live.refused(code, reason):
            await house.rep1.points.CreateOpportunityPoint(note(**fields))
    with house.live.refused("INVALID_ARGUMENT", "SOURCE_ID_MISSING"):
        await house.web.points.CreateOpportunityPoint(note(provenance=Provenance(source="hotline")))
    listed = await points(house, page_size=1, account_id=home.id)
    assert [p.id for p in listed] == [point.id], "the oldest first"
