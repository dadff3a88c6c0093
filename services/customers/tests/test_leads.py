"""Leads through the public contract: intake from every channel, answers, the life cycle."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import Light, Provenance
from closedloop.customers.v1 import accounts_pb2, assignment_pb2, contacts_pb2, identity_pb2, interactions_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import leads_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos

from .conftest import Desk, House

OPPORTUNITY = "0190d3c0-0000-7000-8000-000000000077"


def profile(**fields: Any) -> pb.LeadProfile:
    known = {
        "company_name": "上海智造有限公司",
        "contact_name": "赵敏",
        "phone": "13800138000",
        "need": "想了解视觉检测",
    }
    return pb.LeadProfile(**{**known, **fields})


async def intake(house: House, rid: Any, source_id: str = "1", by: Desk | None = None, **fields: Any) -> pb.Lead:
    extra = {name: fields.pop(name) for name in ("owner_id", "payload", "consents") if name in fields}
    source = fields.pop("source", "web_form")
    lead: pb.Lead = await (by or house.web).leads.IntakeLead(
        pb.IntakeLeadRequest(
            request_id=rid(),
            profile=profile(**fields),
            provenance=Provenance(source=source, source_id=source_id),
            **extra,
        )
    )
    return lead


async def respond(house: House, rid: Any, lead: pb.Lead, **fields: Any) -> pb.Lead:
    known = {"channel": interactions_pb2.CHANNEL_PHONE, "content": "介绍了方案，下周演示", "reached": True}
    by = house.caller(lead.ownership.owner_id, "rep")
    answered: pb.Lead = await by.leads.RecordResponse(
        pb.RecordResponseRequest(request_id=rid(), id=lead.id, **{**known, **fields})
    )
    return answered


def get(lead: pb.Lead) -> pb.GetLeadRequest:
    return pb.GetLeadRequest(id=lead.id)


@pytest.mark.mission("S21")
@pytest.mark.parametrize("source", ["web_form", "wechat", "phone", "spreadsheet", "api"])
async def test_every_channel_comes_through_one_door_with_its_source_kept(house: House, rid: Any, source: str) -> None:
    payload = Struct()
    payload.update({"utm": "spring"})
    lead = await intake(house, rid, "X-1", source=source, payload=payload)
    assert lead.provenance.source == source
    assert lead.stage == pb.LEAD_STAGE_LEAD
    assert lead.profile.region_code == "310000", "derived from the name of the company"
    kept = await house.ops.leads.GetLead(get(lead))
    (submission,) = kept.submissions
    assert submission.payload == payload
    assert submission.provenance.source_id == "X-1"
    (step,) = kept.transitions
    assert (step.from_stage, step.to_stage) == (pb.LEAD_STAGE_UNSPECIFIED, pb.LEAD_STAGE_LEAD)
    (received,) = await house.live.told(events.LeadReceived)
    assert (received.lead_id, received.region_code) == (lead.id, "310000")
    (assigned,) = await house.live.told(events.LeadAssigned)
    assert assigned.ownership.owner_id in ("rep1", "rep2")
    assert assigned.rule.rulebook == "customers.assignment"
    by_source = pb.GetLeadRequest(provenance=Provenance(source=source, source_id="X-1"))
    assert (await house.ops.leads.GetLead(by_source)).id == lead.id


@pytest.mark.mission("S21")
async def test_the_same_inquiry_again_answers_the_lead_it_made(house: House, rid: Any) -> None:
    first = await intake(house, rid)
    again = await intake(house, rid)
    assert again.id == first.id
    assert again.version == first.version
    assert len(await house.live.told(events.LeadReceived)) == 1


@pytest.mark.mission("S21", "U11")
async def test_another_inquiry_of_the_same_person_joins(house: House, rid: Any) -> None:
    first = await intake(house, rid)
    other = await intake(
        house, rid, "2", source="wechat", phone="+86 138-0013-8000", email_address="zhao@zz.example.cn"
    )
    assert other.id == first.id
    assert other.profile.email_address == "zhao@zz.example.cn"
    kept = await house.ops.leads.GetLead(get(first))
    assert [s.provenance.source for s in kept.submissions] == ["web_form", "wechat"]
    third = await intake(house, rid, "3", phone="", email_address="ZHAO@zz.example.cn")
    assert third.id == first.id, "known by the address it brought itself"


@pytest.mark.mission("S21", "S23")
async def test_who_asks_again_after_an_answer_is_heard_and_answered_in_time(house: House, rid: Any) -> None:
    async def messages() -> list[Any]:
        told = [one.content for one in await house.live.told(integrations.DeliveryRequested)]
        return [one for one in told if one.template.template == "lead_asked_again"]

    async def calls() -> list[Any]:
        told = [one.content for one in await house.live.told(approvals.TaskRequested)]
        return [one for one in told if one.warning == "customers.asked_again"]

    lead = await intake(house, rid)
    await intake(house, rid, "2")
    assert await messages() == [], "its first answer is owed already, and nothing else was asked"
    await respond(house, rid, lead)
    for _ in range(2):
        assert (await intake(house, rid, "3", need="要再买十台")).id == lead.id
    (told,) = await messages()
    assert told.recipient.person_id == lead.ownership.owner_id
    assert dict(told.template.fields)["need"] == "要再买十台"
    assert dict(told.template.fields)["response_due_time"]
    await respond(house, rid, lead)
    await house.live.advance(hours=3)
    assert await calls() == [], "answered again in time"
    await intake(house, rid, "4", need="报价？")
    await house.live.advance(hours=3)
    (called,) = await calls()
    assert (called.subject_id, called.assignee_id) == (lead.id, "m1")
    assert len(await messages()) == 2
    # Its owner leaves: whoever gets it now hears of it.
    gone = lead.ownership.owner_id
    left = targets.PersonChanged(person_id=gone, unit_id="team1", name="张三", active=False, version=10**9)
    await house.live.hear(left, gone)
    heir = (await intake(house, rid, "5", need="还有人吗")).ownership.owner_id or (
        await house.ops.leads.GetLead(get(lead))
    ).ownership.owner_id
    assert heir not in {"", gone}
    assert (await messages())[-1].recipient.person_id == heir
    assert (await house.live.told(events.LeadAssigned))[-1].previous_owner_id == gone


@pytest.mark.mission("S21")
async def test_what_is_no_number_joins_no_strangers(house: House, rid: Any) -> None:
    written = ("1.38E+10", "13800138000.0", "abc", "11111111111", "11111111111", "400-820-0820", "4008200820")
    rows = [
        pb.LeadRow(
            provenance=Provenance(source="spreadsheet", source_id=f"{n}"),
            profile=profile(company_name=f"第{n}家公司", phone=phone),
        )
        for n, phone in enumerate(written)
    ]
    summary = await house.ops.leads.BulkIntakeLeads(pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows))
    assert [(error.row, error.field, error.reason) for error in summary.errors] == [
        (n, "profile.phone", "PHONE_UNREADABLE") for n in range(3)
    ]
    assert (summary.created, summary.updated) == (4, 0)
    unread: list[tuple[dict[str, Any], str]] = [
        ({"email_address": "abc"}, "MAIL_UNREADABLE"),
        ({"time_zone": "Mars"}, "UNKNOWN_TIME_ZONE"),
    ]
    for wrong, reason in unread:
        with house.live.refused("INVALID_ARGUMENT", reason):
            await intake(house, rid, "x", **wrong)


@pytest.mark.mission("S21", "S23")
async def test_who_asked_again_waits_for_an_answer_though_the_lead_is_merged_or_converted(
    house: House, rid: Any
) -> None:
    async def calls() -> list[str]:
        told = [one.content for one in await house.live.told(approvals.TaskRequested)]
        return [one.subject_id for one in told if one.warning == "customers.asked_again"]

    kept = await respond(house, rid, await intake(house, rid, "1", phone="13900139001"))
    lost = await respond(house, rid, await intake(house, rid, "2", phone="13900139002"))
    turned = await respond(house, rid, await intake(house, rid, "3", phone="13900139003"))
    await intake(house, rid, "4", phone="13900139002", need="另要两台")
    await intake(house, rid, "5", phone="13900139003", need="另要三台")
    kept = await house.ops.leads.GetLead(get(kept))
    await house.ops.identity.MergeRecords(
        identity_pb2.MergeRecordsRequest(
            request_id=rid(),
            survivor=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=kept.id),
            survivor_etag=kept.etag,
            absorbed_ids=[lost.id],
            reason="同一客户",
            owner_id=kept.ownership.owner_id,
        )
    )
    turned = await house.ops.leads.GetLead(get(turned))
    owner = house.caller(turned.ownership.owner_id, "rep")
    await owner.leads.ConvertLead(pb.ConvertLeadRequest(request_id=rid(), id=turned.id, etag=turned.etag))
    await house.live.advance(hours=3)
    assert sorted(await calls()) == sorted([kept.id, turned.id])


@pytest.mark.mission("S21", "S23")
async def test_a_second_need_while_the_first_answer_is_owed_reaches_the_owner_and_is_never_lost(
    house: House, rid: Any
) -> None:
    lead = await intake(house, rid)
    due = lead.response_due_time
    await house.live.advance(minutes=10)
    await intake(house, rid, "2", source="wechat", need="还要两台机械臂，国庆前交货")
    await house.live.advance(minutes=1)
    await intake(house, rid, "3", source="phone", need="还要两台机械臂，国庆前交货")
    await house.live.advance(minutes=1)
    await intake(house, rid, "4", source="spreadsheet", need="展会名单")
    told = [one.content for one in await house.live.told(integrations.DeliveryRequested)]
    second, listed = [one for one in told if one.template.template == "lead_asked_again"]
    assert dict(second.template.fields)["need"] == "还要两台机械臂，国庆前交货"
    assert dict(listed.template.fields)["need"] == "展会名单"
    assert second.recipient.person_id == lead.ownership.owner_id
    owner = house.caller(lead.ownership.owner_id, "rep")
    kept = await owner.leads.GetLead(get(lead))
    assert kept.response_due_time == due, "the first clock goes on"
    assert [need.text for need in kept.needs] == ["展会名单", "还要两台机械臂，国庆前交货", "想了解视觉检测"]
    assert kept.needs[1].provenance.source == "wechat", "by whom it was told first"
    assert kept.profile.need == "想了解视觉检测"
    (shown,) = (await owner.leads.ListLeads(pb.ListLeadsRequest())).leads
    assert shown.needs == kept.needs
    record = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=lead.id)
    timeline = await owner.interactions.ListInteractions(interactions_pb2.ListInteractionsRequest(record=record))
    assert {(one.channel, one.summary, one.effective) for one in timeline.interactions} == {
        (interactions_pb2.CHANNEL_WEB, "展会名单", False),
        (interactions_pb2.CHANNEL_PHONE, "还要两台机械臂，国庆前交货", True),
        (interactions_pb2.CHANNEL_WECHAT, "还要两台机械臂，国庆前交货", True),
    }
    await respond(house, rid, lead)
    fresh = await owner.leads.GetLead(get(lead))
    convert = pb.ConvertLeadRequest(request_id=rid(), id=lead.id, etag=fresh.etag, open_opportunity=True)
    await owner.leads.ConvertLead(convert)
    (converted,) = await house.live.told(events.LeadConverted)
    assert converted.need == "想了解视觉检测\n还要两台机械臂，国庆前交货\n展会名单"


@pytest.mark.mission("S21", "U11")
async def test_a_name_that_several_shops_have_names_none_of_them(house: House, rid: Any) -> None:
    legal = "四川老张餐饮管理有限公司"
    for number, name in enumerate(("老张火锅（王府井店）", "老张火锅（西单店）")):
        shop = accounts_pb2.AccountProfile(name=name, legal_name=legal)
        await house.rep1.accounts.CreateAccount(accounts_pb2.CreateAccountRequest(request_id=rid(), profile=shop))
        lead = await intake(house, rid, str(number), company_name=legal, phone=f"1390000000{number}")
        assert bool(lead.account_id) is (number == 0)
    lead = await intake(house, rid, "9", company_name="老张火锅（西单店）", phone="13900000009")
    assert lead.account_id


@pytest.mark.mission("S21", "U14")
async def test_rows_of_one_person_in_one_list_are_one_lead_with_all_they_say(house: House, rid: Any) -> None:
    rows = [
        pb.LeadRow(provenance=Provenance(source="spreadsheet", source_id=str(n)), profile=profile(**fields))
        for n, fields in enumerate(({"need": "相机"}, {"need": "机械臂", "email_address": "zhao@zz.example.cn"}))
    ]
    request = pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows)
    summary = await house.ops.leads.BulkIntakeLeads(request)
    assert (summary.created, summary.updated) == (1, 1)
    (lead,) = (await house.ops.leads.ListLeads(pb.ListLeadsRequest())).leads
    assert (lead.profile.need, lead.profile.email_address) == ("相机", "zhao@zz.example.cn")
    assert {need.text for need in lead.needs} == {"相机", "机械臂"}


@pytest.mark.mission("S21", "S82")
async def test_the_same_phone_at_the_same_instant_ends_as_one_lead_with_one_owner(house: House, rid: Any) -> None:
    leads = await asyncio.gather(*(intake(house, rid, str(n)) for n in range(8)))
    assert len({lead.id for lead in leads}) == 1
    assert await house.live.db.value("SELECT count(*) FROM lead") == 1
    assert await house.live.db.value("SELECT count(*) FROM assignment WHERE ended_at IS NULL") == 1
    assert await house.live.db.value("SELECT count(*) FROM lead_submission") == 8
    again = await asyncio.gather(*(intake(house, rid, "same", phone=f"1390000{n:04d}") for n in range(6)))
    assert len({lead.id for lead in again}) == 1, "one source and id acts once, even at once"


async def test_bad_inquiries_are_refused(house: House, rid: Any) -> None:
    with house.live.refused("INVALID_ARGUMENT"):
        await intake(house, rid, company_name="", phone="")
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_CODE"):
        await intake(house, rid, industry="alchemy")
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_PERSON"):
        await intake(house, rid, owner_id="nobody")
    with house.live.refused("INVALID_ARGUMENT", "SOURCE_ID_MISSING"):
        await intake(house, rid, "")
    old = Provenance(
        source="web_form", source_id="9", observed_time=protos.timestamp(house.live.now - timedelta(days=200))
    )
    with house.live.refused("FAILED_PRECONDITION", "STALE_INQUIRY"):
        await house.web.leads.IntakeLead(pb.IntakeLeadRequest(request_id=rid(), profile=profile(), provenance=old))
    with house.live.refused("NOT_FOUND", "LEAD_NOT_FOUND"):
        await house.ops.leads.GetLead(pb.GetLeadRequest(id=OPPORTUNITY))
    with house.live.refused("PERMISSION_DENIED", "ROLE_NOT_GRANTED"):
        await intake(house, rid, by=house.auditor)
    assert await house.live.db.value("SELECT count(*) FROM lead") == 0


async def test_a_rep_keeps_what_he_brought_and_gives_it_to_nobody_else(house: House, rid: Any) -> None:
    lead = await intake(house, rid, by=house.rep9, owner_id="rep9", source="phone")
    assert lead.ownership.owner_id == "rep9"
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await intake(house, rid, "2", by=house.rep9, owner_id="rep1", phone="13700000000")
    stranger = await intake(house, rid, "3", by=house.rep1, source="phone")
    assert stranger.id == lead.id
    assert stranger.ownership.owner_id == "rep9"
    assert not stranger.profile.ListFields(), "somebody else's customer stays their own"
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep1.leads.GetLead(get(lead))


@pytest.mark.mission("S23", "S24")
async def test_an_answer_stops_both_clocks(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    assert lead.response_due_time.ToDatetime() == (house.live.now + timedelta(hours=2)).replace(tzinfo=None)
    assert lead.alarm_time.ToDatetime() == (house.live.now + timedelta(hours=48)).replace(tzinfo=None)
    await house.live.advance(hours=1, minutes=30)
    answered = await respond(house, rid, lead)
    assert answered.stage == pb.LEAD_STAGE_CONTACT
    assert answered.first_response_time.ToDatetime() == house.live.now.replace(tzinfo=None)
    (told,) = await house.live.told(events.LeadResponded)
    assert told.in_time
    assert told.channel == interactions_pb2.CHANNEL_PHONE
    states = await house.live.db.all("SELECT kind, state FROM clock WHERE subject = %(id)s", {"id": lead.id})
    assert {row["kind"]: row["state"] for row in states} == {
        "customers.first_response": "met",
        "customers.unanswered": "met",
        "customers.silence": "open",
    }
    await house.live.advance(days=3)
    assert not await house.live.told(approvals.TaskRequested)
    again = await respond(house, rid, answered, content="第二次沟通，确认预算")
    assert again.first_response_time == answered.first_response_time
    touches = await house.ops.interactions.ListInteractions(
        interactions_pb2.ListInteractionsRequest(
            record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=lead.id)
        )
    )
    assert len(touches.interactions) == 2
    assert all(touch.effective for touch in touches.interactions)


async def test_what_is_no_answer_is_refused(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    for reason, fields in (
        ("RESPONSE_WITHOUT_CONTENT", {"content": "已联系。"}),
        ("RESPONSE_IN_FUTURE", {"respond_time": protos.timestamp(house.live.now + timedelta(hours=1))}),
        ("RESPONSE_BEFORE_INTAKE", {"respond_time": protos.timestamp(house.live.now - timedelta(hours=1))}),
    ):
        with house.live.refused("INVALID_ARGUMENT", reason):
            await respond(house, rid, lead, **fields)
    with house.live.refused("INVALID_ARGUMENT", "RESPONDER_MISSING"):
        await house.web.leads.RecordResponse(
            pb.RecordResponseRequest(
                request_id=rid(), id=lead.id, channel=interactions_pb2.CHANNEL_CHAT, content="聊了很多"
            )
        )
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.leads.RecordResponse(
            pb.RecordResponseRequest(
                request_id=rid(), id=lead.id, channel=interactions_pb2.CHANNEL_CHAT, content="聊了很多"
            )
        )
    missed = await respond(house, rid, lead, reached=False, content="电话无人接听")
    assert missed.stage == pb.LEAD_STAGE_LEAD
    assert not missed.HasField("first_response_time")


@pytest.mark.mission("S26", lacks="the reminders themselves, the day before and that morning")
async def test_an_agreed_talk_is_on_the_owners_list(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    await respond(house, rid, lead, next_contact_date=Date(year=2026, month=1, day=9))
    (task,) = await house.live.told(approvals.TaskRequested)
    assert task.content.assignee_id == lead.ownership.owner_id
    assert task.content.due_time.ToJsonString() == "2026-01-09T01:00:00Z"


@pytest.mark.mission("S22")
async def test_the_life_cycle_is_a_state_machine_with_history(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    owner = house.caller(lead.ownership.owner_id, "rep")

    def advance(lead: pb.Lead, stage: int) -> pb.AdvanceLeadRequest:
        return pb.AdvanceLeadRequest(request_id=rid(), id=lead.id, etag=lead.etag, stage=stage, reason="客户要求")  # type: ignore[arg-type]

    with house.live.refused("FAILED_PRECONDITION", "TRANSITION_NOT_ALLOWED"):
        await owner.leads.AdvanceLead(advance(lead, pb.LEAD_STAGE_CONTACT))
    answered = await respond(house, rid, lead)
    nurtured = await owner.leads.AdvanceLead(advance(answered, pb.LEAD_STAGE_NURTURE))
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await owner.leads.AdvanceLead(advance(answered, pb.LEAD_STAGE_NURTURE))
    back = await owner.leads.AdvanceLead(advance(nurtured, pb.LEAD_STAGE_CONTACT))
    closing = pb.CloseLeadRequest(
        request_id=rid(), id=lead.id, etag=back.etag, outcome=pb.LEAD_OUTCOME_LOST, reason="price", note="贵 20%"
    )
    closed = await owner.leads.CloseLead(closing)
    assert (closed.stage, closed.outcome, closed.close_reason) == (pb.LEAD_STAGE_CLOSED, pb.LEAD_OUTCOME_LOST, "price")
    kept = await owner.leads.GetLead(get(lead))
    assert [step.to_stage for step in kept.transitions] == [
        pb.LEAD_STAGE_LEAD,
        pb.LEAD_STAGE_CONTACT,
        pb.LEAD_STAGE_NURTURE,
        pb.LEAD_STAGE_CONTACT,
        pb.LEAD_STAGE_CLOSED,
    ]
    assert kept.transitions[2].reason == "客户要求"
    assert kept.transitions[2].actor_id == lead.ownership.owner_id
    (told,) = await house.live.told(events.LeadClosed)
    assert told.reason == "price"
    assert await house.live.db.value("SELECT count(*) FROM clock WHERE state = 'open'") == 0
    with house.live.refused("FAILED_PRECONDITION", "LEAD_CLOSED"):
        await respond(house, rid, lead)
    fresh = await intake(house, rid, "new")
    assert fresh.id != lead.id, "a closed lead takes nobody in"
    opened = await owner.leads.ReopenLead(
        pb.ReopenLeadRequest(request_id=rid(), id=lead.id, etag=closed.etag, reason="客户回来了")
    )
    assert opened.stage == pb.LEAD_STAGE_CONTACT
    with house.live.refused("FAILED_PRECONDITION", "LEAD_NOT_CLOSED"):
        await owner.leads.ReopenLead(pb.ReopenLeadRequest(request_id=rid(), id=lead.id, etag=opened.etag, reason="x"))


async def test_closing_has_its_conditions(house: House, rid: Any) -> None:
    lead = await intake(house, rid)

    def close(outcome: int, reason: str, **fields: Any) -> pb.CloseLeadRequest:
        known = {"request_id": rid(), "id": lead.id, "etag": lead.etag, "outcome": outcome, "reason": reason}
        return pb.CloseLeadRequest(**known, **fields)

    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_REASON"):
        await house.m1.leads.CloseLead(close(pb.LEAD_OUTCOME_INVALID, "price"))
    with house.live.refused("INVALID_ARGUMENT", "DEAL_REFERENCE_MISSING"):
        await house.m1.leads.CloseLead(close(pb.LEAD_OUTCOME_WON, "deal_made"))
    won = await house.m1.leads.CloseLead(close(pb.LEAD_OUTCOME_WON, "deal_made", deal_reference="SO-1"))
    assert won.outcome == pb.LEAD_OUTCOME_WON


@pytest.mark.mission("S22", "S82")
async def test_a_lead_is_linked_to_customers_within_reach_and_to_their_own_people(house: House, rid: Any) -> None:
    async def made(desk: Desk, name: str, region: str) -> tuple[str, str]:
        account = await desk.accounts.CreateAccount(
            accounts_pb2.CreateAccountRequest(
                request_id=rid(), profile=accounts_pb2.AccountProfile(name=name, region_code=region)
            )
        )
        person = await desk.contacts.CreateContact(
            contacts_pb2.CreateContactRequest(
                request_id=rid(), account_id=account.id, profile=contacts_pb2.ContactProfile(name=f"{name}李伟")
            )
        )
        return account.id, person.id

    ours, ours_person = await made(house.rep1, "甲机械", "310000")
    other, other_person = await made(house.rep1, "乙仪器", "310000")
    foreign, foreign_person = await made(house.rep9, "北方重工", "110000")

    def asked(n: int, **links: Any) -> pb.IntakeLeadRequest:
        told = profile(company_name="", phone=f"1390013910{n}")
        kept = Provenance(source="phone", source_id=f"{n}")
        return pb.IntakeLeadRequest(request_id=rid(), profile=told, provenance=kept, owner_id="rep1", **links)

    links: dict[str, Any]
    for links in ({"account_id": foreign}, {"contact_id": foreign_person}):
        with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
            await house.rep1.leads.IntakeLead(asked(1, **links))
    with house.live.refused("INVALID_ARGUMENT", "CONTACT_OF_ANOTHER_ACCOUNT"):
        await house.rep1.leads.IntakeLead(asked(1, account_id=ours, contact_id=other_person))
    lead = await house.rep1.leads.IntakeLead(asked(1, contact_id=ours_person))
    assert (lead.account_id, lead.contact_id) == (ours, ours_person), "a person brings their account"
    update = pb.UpdateLeadRequest(
        request_id=rid(),
        id=lead.id,
        etag=lead.etag,
        contact_id=other_person,
        update_mask=FieldMask(paths=["contact_id"]),
        business_action=accounts_pb2.BusinessAction(kind="call", reference="1"),
    )
    with house.live.refused("INVALID_ARGUMENT", "CONTACT_OF_ANOTHER_ACCOUNT"):
        await house.rep1.leads.UpdateLead(update)
    answered = await respond(house, rid, lead)
    crossed: list[dict[str, Any]] = [{"contact_id": other_person}, {"account_id": other}]
    for links in crossed:
        with house.live.refused("INVALID_ARGUMENT", "CONTACT_OF_ANOTHER_ACCOUNT"):
            await house.rep1.leads.ConvertLead(
                pb.ConvertLeadRequest(request_id=rid(), id=lead.id, etag=answered.etag, **links)
            )
    free = await respond(house, rid, await house.rep1.leads.IntakeLead(asked(2)))
    converted = await house.rep1.leads.ConvertLead(
        pb.ConvertLeadRequest(request_id=rid(), id=free.id, etag=free.etag, contact_id=other_person)
    )
    assert (converted.account_id, converted.contact_id) == (other, other_person)


async def test_who_closes_a_lead_and_who_asks_again_wait_in_one_order(house: House, rid: Any) -> None:
    async def closed(request: pb.CloseLeadRequest) -> pb.Lead:
        after: pb.Lead = await house.m1.leads.CloseLead(request)
        return after

    lead = await intake(house, rid)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    asking = house.live.process.database.transaction()
    try:
        # An inquiry has claimed the key, and goes on to the lead that has it.
        await asking.all("SELECT key FROM lead_key WHERE lead_id = %(id)s FOR UPDATE", {"id": lead.id})
        closing = asyncio.create_task(
            closed(
                pb.CloseLeadRequest(
                    request_id=rid(), id=lead.id, etag=lead.etag, outcome=pb.LEAD_OUTCOME_INVALID, reason="spam"
                )
            )
        )
        for _ in range(600):
            if await house.live.db.value(waiting):
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("who closes waits for nobody")
        assert await asking.value("SELECT id FROM lead WHERE id = %(id)s FOR UPDATE NOWAIT", {"id": lead.id}) == lead.id
    finally:
        await asking.rollback()
    assert (await closing).stage == pb.LEAD_STAGE_CLOSED


@pytest.mark.mission("S22")
async def test_a_qualified_lead_becomes_account_contact_and_opportunity(house: House, rid: Any) -> None:
    lead = await intake(
        house, rid, budget=Money(currency_code="CNY", units=300000), product_lines=["vision"], industry="manufacturing"
    )
    owner = house.caller(lead.ownership.owner_id, "rep")
    convert = pb.ConvertLeadRequest(
        request_id=rid(), id=lead.id, etag=lead.etag, open_opportunity=True, opportunity_name="视觉检测一期"
    )
    with house.live.refused("FAILED_PRECONDITION", "NOT_RESPONDED"):
        await owner.leads.ConvertLead(convert)
    answered = await respond(house, rid, lead)
    convert.etag, convert.request_id = answered.etag, rid()
    converted = await owner.leads.ConvertLead(convert)
    assert converted.stage == pb.LEAD_STAGE_NURTURE
    account = await owner.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=converted.account_id))
    assert account.profile.name == "上海智造有限公司"
    assert account.profile.industry == "manufacturing"
    assert account.ownership == lead.ownership
    contact = await owner.contacts.GetContact(contacts_pb2.GetContactRequest(id=converted.contact_id))
    assert list(contact.profile.phones) == ["13800138000"]
    # What was said with the lead was said with the customer.
    assert account.last_interaction_time == contact.last_interaction_time == answered.last_interaction_time
    of_contact = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_CONTACT, id=contact.id)
    said = await owner.interactions.ListInteractions(interactions_pb2.ListInteractionsRequest(record=of_contact))
    assert [(one.account_id, one.summary) for one in said.interactions] == [(account.id, "介绍了方案，下周演示")]
    (told,) = await house.live.told(events.LeadConverted)
    assert told.open_opportunity
    assert (told.opportunity_name, told.expected_amount.units, list(told.product_lines)) == (
        "视觉检测一期",
        300000,
        ["vision"],
    )
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_CONVERTED"):
        await owner.leads.ConvertLead(
            pb.ConvertLeadRequest(request_id=rid(), id=lead.id, etag=converted.etag, open_opportunity=True)
        )
    opened = funnel.OpportunityChanged(opportunity_id=OPPORTUNITY, version=1, lead_id=lead.id, account_id=account.id)
    await house.live.hear(opened, OPPORTUNITY, source="funnel")
    taken_up = await owner.leads.GetLead(get(lead))
    assert taken_up.opportunity_id == OPPORTUNITY
    with house.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_OPEN"):
        await owner.leads.CloseLead(
            pb.CloseLeadRequest(
                request_id=rid(), id=lead.id, etag=taken_up.etag, outcome=pb.LEAD_OUTCOME_LOST, reason="price"
            )
        )
    won = funnel.OpportunityWon(opportunity_id=OPPORTUNITY, version=2, lead_id=lead.id, account_id=account.id)
    await house.live.hear(won, OPPORTUNITY, source="funnel")
    assert (await owner.leads.GetLead(get(lead))).outcome == pb.LEAD_OUTCOME_WON
    (closed,) = await house.live.told(events.LeadClosed)
    assert closed.opportunity_id == OPPORTUNITY


async def test_a_known_customers_inquiry_goes_to_who_owns_the_customer(house: House, rid: Any) -> None:
    account = await house.rep9.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=rid(), profile=accounts_pb2.AccountProfile(name="上海智造"))
    )
    contact = await house.rep9.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(),
            account_id=account.id,
            profile=contacts_pb2.ContactProfile(name="赵敏", phones=["13800138000"]),
        )
    )
    lead = await intake(house, rid, region_code="110000")
    assert lead.ownership.owner_id == "rep9"
    assert (lead.account_id, lead.contact_id) == (account.id, contact.id)
    assert lead.assignment_rule.rule == "account_owner_first"
    answered = await respond(house, rid, lead)
    converted = await house.rep9.leads.ConvertLead(
        pb.ConvertLeadRequest(request_id=rid(), id=lead.id, etag=answered.etag, open_opportunity=True)
    )
    assert (converted.account_id, converted.contact_id) == (account.id, contact.id)


async def test_a_lead_of_an_existing_company_is_not_converted_into_its_twin(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    answered = await respond(house, rid, lead)
    await house.rep9.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(), profile=accounts_pb2.AccountProfile(name="上海智造有限公司")
        )
    )
    owner = house.caller(lead.ownership.owner_id, "rep")
    with house.live.refused("ALREADY_EXISTS", "DUPLICATE_ACCOUNT"):
        await owner.leads.ConvertLead(pb.ConvertLeadRequest(request_id=rid(), id=lead.id, etag=answered.etag))


@pytest.mark.mission("S30")
async def test_corrections_leave_the_submissions_as_they_came(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    update = pb.UpdateLeadRequest(
        request_id=rid(),
        id=lead.id,
        etag=lead.etag,
        profile=pb.LeadProfile(phone="13911112222"),
        update_mask=FieldMask(paths=["phone"]),
    )
    with house.live.refused("INVALID_ARGUMENT"):
        await house.m1.leads.UpdateLead(update)
    update.business_action.kind = "gossip"
    with house.live.refused("INVALID_ARGUMENT", "BUSINESS_ACTION_UNKNOWN"):
        await house.m1.leads.UpdateLead(update)
    update.business_action.kind, update.business_action.note = "call", "他换了手机"
    changed = await house.m1.leads.UpdateLead(update)
    trail = await house.live.db.all(
        "SELECT business_action FROM audit_entry WHERE subject = %(id)s AND action = 'update'", {"id": lead.id}
    )
    assert "他换了手机" in trail[0]["business_action"]
    assert changed.profile.phone == "13911112222"
    kept = await house.m1.leads.GetLead(get(lead))
    assert kept.submissions[0].profile.phone == "13800138000"
    assert (await intake(house, rid, "2", phone="13911112222")).id == lead.id
    assert (await intake(house, rid, "3")).id != lead.id, "the old number is nobody's any more"


async def test_lists_show_what_falls_due_first(house: House, rid: Any) -> None:
    first = await intake(house, rid, "1")
    await house.live.advance(minutes=30)
    second = await intake(house, rid, "2", phone="13700000001", company_name="上海乙")
    third = await intake(house, rid, "3", phone="13700000002", company_name="北京丙", region_code="110000")
    urgent = pb.ListLeadsRequest(order=pb.LEAD_ORDER_MOST_URGENT)
    answer = await house.ops.leads.ListLeads(urgent)
    assert answer.leads[0].id == first.id
    assert {lead.id for lead in answer.leads} == {first.id, second.id, third.id}
    assert [lead.id for lead in (await house.rep9.leads.ListLeads(urgent)).leads] == [third.id]
    await respond(house, rid, first)
    unanswered = pb.ListLeadsRequest(responded=False)
    assert {lead.id for lead in (await house.ops.leads.ListLeads(unanswered)).leads} == {second.id, third.id}
    by_phone = pb.ListLeadsRequest(query="137 0000 0001")
    assert [lead.id for lead in (await house.ops.leads.ListLeads(by_phone)).leads] == [second.id]
    newest = pb.ListLeadsRequest(order=pb.LEAD_ORDER_NEWEST_FIRST, page_size=2)
    page = await house.ops.leads.ListLeads(newest)
    rest = await house.ops.leads.ListLeads(
        pb.ListLeadsRequest(order=pb.LEAD_ORDER_NEWEST_FIRST, page_size=2, page_token=page.next_page_token)
    )
    assert [lead.id for lead in rest.leads] == [first.id]


def row(n: int, **fields: Any) -> pb.LeadRow:
    known = {"phone": f"1360000{n:04d}", "company_name": f"上海公司{n}"}
    return pb.LeadRow(
        provenance=Provenance(source="spreadsheet", source_id=str(n)),
        profile=profile(**{**known, **fields.pop("profile", {})}),
        **fields,
    )


@pytest.mark.mission("S21", "U14", "U15")
async def test_a_spreadsheet_is_taken_in_once(house: House, rid: Any) -> None:
    rows = [row(n) for n in range(12)]
    rows.append(row(50, profile={"phone": "13600000003"}))
    rows.append(row(51, profile={"industry": "alchemy"}))
    rows.append(row(0))
    dry = await house.web.leads.BulkIntakeLeads(
        pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows, validate_only=True)
    )
    assert await house.live.db.value("SELECT count(*) FROM lead") == 0
    first = await house.web.leads.BulkIntakeLeads(pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows))
    assert first == dry
    assert (first.read, first.created, first.updated, first.unchanged, first.rejected) == (15, 12, 1, 1, 1)
    again = await house.web.leads.BulkIntakeLeads(pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows))
    assert (again.created, again.updated, again.unchanged, again.rejected) == (0, 0, 14, 1)
    owners = await house.live.db.all("SELECT owner_id, count(*) AS n FROM lead GROUP BY 1")
    assert {r["owner_id"]: r["n"] for r in owners} == {"rep1": 6, "rep2": 6}
    assert await house.live.db.value("SELECT count(*) FROM clock WHERE kind = 'customers.first_response'") == 12
    assert len(await house.live.told(events.LeadReceived)) == 12


async def test_old_business_comes_in_without_reminding_anybody(house: House, rid: Any) -> None:
    observed = protos.timestamp(house.live.now - timedelta(days=400))
    rows = [
        pb.LeadRow(
            provenance=Provenance(source="spreadsheet", source_id="old", observed_time=observed),
            profile=profile(),
            stage=pb.LEAD_STAGE_CLOSED,
            outcome=pb.LEAD_OUTCOME_WON,
            first_response_time=protos.timestamp(house.live.now - timedelta(days=399)),
        ),
        pb.LeadRow(
            provenance=Provenance(source="spreadsheet", source_id="odd", observed_time=observed),
            profile=profile(),
            stage=pb.LEAD_STAGE_CLOSED,
        ),
    ]
    summary = await house.web.leads.BulkIntakeLeads(
        pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows, historical=True)
    )
    assert summary.created == 1
    assert summary.errors[0].reason == "PAST_INCONSISTENT"
    assert await house.live.db.value("SELECT count(*) FROM clock") == 0
    assert not await house.live.told(integrations.DeliveryRequested)


@pytest.mark.mission("S23", "U13")
async def test_the_owner_is_told_and_the_reason_is_kept(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    (delivery,) = await house.live.told(integrations.DeliveryRequested)
    assert delivery.content.template.template == "lead_assigned"
    assert delivery.content.recipient.person_id == lead.ownership.owner_id
    record = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=lead.id)
    trail = await house.ops.assignment.ListAssignments(assignment_pb2.ListAssignmentsRequest(record=record))
    (assignment,) = trail.assignments
    assert assignment.method == assignment_pb2.ASSIGNMENT_METHOD_RULES
    ranked = list(assignment.candidates)
    assert ranked[0].person_id == lead.ownership.owner_id
    assert ranked[0].eligible
    northern = next(c for c in ranked if c.person_id == "rep9")
    assert list(northern.ineligibilities) == [assignment_pb2.INELIGIBILITY_REGION]
    assert "region" in northern.explanation


@pytest.mark.mission("U15", "U20")
async def test_a_seller_is_told_of_an_import_in_one_message(house: House, rid: Any) -> None:
    rows = [
        pb.LeadRow(
            provenance=Provenance(source="spreadsheet", source_id=str(n)),
            profile=profile(phone=f"1370000{n:04}", company_name=f"上海第{n}精密"),
            owner_id="rep2" if n < 5 else "rep1",
        )
        for n in range(25)
    ]
    summary = await house.ops.leads.BulkIntakeLeads(pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows))
    assert summary.created == 25
    told = [one.content for one in await house.live.told(integrations.DeliveryRequested)]
    of_owner = {
        owner: [one.template.template for one in told if one.recipient.person_id == owner] for owner in ("rep1", "rep2")
    }
    assert of_owner == {"rep1": ["leads_assigned"], "rep2": ["lead_assigned"] * 5}
    (digest,) = (one for one in told if one.template.template == "leads_assigned")
    assert digest.template.fields["count"] == 20
    assert digest.urgent
    assert len(await house.live.told(events.LeadAssigned)) == 25


@pytest.mark.mission("S23")
async def test_two_hours_without_answer_reassign_and_escalate(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    first_owner = lead.ownership.owner_id
    await house.live.advance(hours=1, minutes=59)
    assert (await house.ops.leads.GetLead(get(lead))).ownership.owner_id == first_owner
    await house.live.advance(minutes=1)
    moved = await house.ops.leads.GetLead(get(lead))
    assert {first_owner, moved.ownership.owner_id} == {"rep1", "rep2"}
    assert moved.escalation_level == 1
    assert moved.response_due_time.ToJsonString() == "2026-01-05T06:00:00Z", (
        "11:00 plus two working hours, lunch not counted"
    )
    (task,) = await house.live.told(approvals.TaskRequested)
    content = task.content
    assert content.cause_key == f"customers.first_response:{lead.id}"
    assert (content.assignee_id, content.assignee_role) == ("m1", "manager_of_owner")
    assert content.ownership.owner_id == first_owner
    assert content.rule.rulebook == "customers.response"
    messages = [m.content for m in await house.live.told(integrations.DeliveryRequested)]
    assert [(m.template.template, m.recipient.person_id) for m in messages] == [
        ("lead_assigned", first_owner),
        ("lead_reassigned", moved.ownership.owner_id),
    ]
    told = (await house.live.told(events.LeadAssigned))[-1]
    assert told.previous_owner_id == first_owner
    assert told.method == assignment_pb2.ASSIGNMENT_METHOD_RESPONSE_OVERDUE
    answered = await respond(house, rid, moved)
    assert answered.first_response_time.ToDatetime() == house.live.now.replace(tzinfo=None)
    (cleared,) = await house.live.told(approvals.TaskWithdrawn)
    assert cleared.cause_key == content.cause_key
    assert not (await house.live.told(events.LeadResponded))[0].in_time


@pytest.mark.mission("S23", "U12")
async def test_out_of_sellers_the_lead_goes_to_the_pool_of_its_unit(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    await house.live.advance(hours=6)
    pooled = await house.ops.leads.GetLead(get(lead))
    assert pooled.ownership.owner_id == ""
    assert pooled.ownership.unit_id == "east"
    assert pooled.escalation_level == 2
    pool = await house.rep9.assignment.ListPool(assignment_pb2.ListPoolRequest())
    (entry,) = pool.entries
    assert entry.reason == assignment_pb2.POOL_REASON_UNANSWERED
    assert entry.name == "上海智造有限公司"
    assert len(await house.live.told(approvals.TaskRequested)) == 2
    requests = [assignment_pb2.ClaimFromPoolRequest(request_id=rid(), record=entry.record) for _ in range(2)]
    stubs = (house.rep9.assignment, house.caller("rep9b", "rep").assignment)
    answers = await asyncio.gather(
        stubs[0].ClaimFromPool(requests[0]), stubs[0].ClaimFromPool(requests[1]), return_exceptions=True
    )
    assert sum(isinstance(answer, assignment_pb2.Assignment) for answer in answers) == 1
    (lost,) = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert lost.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert (await house.rep9.leads.GetLead(get(lead))).ownership.owner_id == "rep9"


@pytest.mark.mission("S24")
async def test_forty_eight_hours_without_an_answer_raise_the_alarm(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    await house.live.advance(hours=47, minutes=59)
    assert not any(t.content.warning == "customers.unanswered" for t in await house.live.told(approvals.TaskRequested))
    await house.live.advance(minutes=1)
    alarmed = await house.ops.leads.GetLead(get(lead))
    assert alarmed.response_light == 4
    (alarm,) = [
        t.content for t in await house.live.told(approvals.TaskRequested) if t.content.warning == "customers.unanswered"
    ]
    assert alarm.cause_key == f"customers.unanswered:{lead.id}"
    assert alarm.evidence[0].value == 48
    assert alarm.light == 4


@pytest.mark.mission("S24")
async def test_the_alarm_of_many_late_inquiries_counts_from_each_and_ends_with_the_answer(
    house: House, rid: Any
) -> None:
    def asked(n: int, hours: int) -> pb.LeadRow:
        late = row(n)
        late.provenance.observed_time.FromDatetime(house.live.now - timedelta(hours=hours))
        return late

    rows = [asked(1, 47), asked(2, 24), asked(3, 0), asked(4, 400)]
    await house.ops.leads.BulkIntakeLeads(pb.BulkIntakeLeadsRequest(request_id=rid(), rows=rows))
    leads = {lead.provenance.source_id: lead for lead in (await house.ops.leads.ListLeads(pb.ListLeadsRequest())).leads}
    due = await house.live.db.all("SELECT subject, due_at FROM clock WHERE kind = 'customers.unanswered'")
    hours = {row["subject"]: (row["due_at"] - house.live.now).total_seconds() / 3600 for row in due}
    assert [round(hours[leads[n].id], 2) for n in "1234"] == [1, 24, 48, 0]
    await house.live.advance(hours=1)
    red = {
        lead.provenance.source_id
        for lead in (await house.ops.leads.ListLeads(pb.ListLeadsRequest())).leads
        if lead.response_light == Light.LIGHT_RED
    }
    assert red == {"1", "4"}
    # Missing the first response after the alarm takes nothing back; the answer does.
    await house.live.advance(hours=1)
    alarmed = await house.ops.leads.GetLead(get(leads["1"]))
    assert (alarmed.escalation_level, alarmed.response_light) == (1, Light.LIGHT_RED)
    await respond(house, rid, alarmed)
    withdrawn = {task.cause_key for task in await house.live.told(approvals.TaskWithdrawn)}
    assert withdrawn == {f"customers.{kind}:{alarmed.id}" for kind in ("first_response", "unanswered")}


async def test_a_night_does_not_count_as_working_time(house: House, rid: Any) -> None:
    await house.live.move_to(house.live.now + timedelta(hours=8, minutes=30))
    lead = await intake(house, rid)
    assert lead.response_due_time.ToJsonString() == "2026-01-06T02:30:00Z", (
        "17:30 plus two working hours is 10:30 tomorrow"
    )


@pytest.mark.mission("S23")
async def test_every_number_is_a_default_that_operations_may_change(house: House, rid: Any) -> None:
    from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc

    rulebooks = house.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations")
    book = await rulebooks.GetRulebook(platform_pb2.GetRulebookRequest(name="customers.response"))
    book.body["first_response"]["hours"] = 1  # type: ignore[index]
    book.body["reassignments"] = 0
    published = await rulebooks.PublishRulebook(
        platform_pb2.PublishRulebookRequest(
            request_id=rid(), name=book.name, base_version=book.version, body=book.body, reason="旺季一小时"
        )
    )
    await house.live.process.look()
    lead = await intake(house, rid)
    assert lead.response_due_time.ToDatetime() == (house.live.now + timedelta(hours=1)).replace(tzinfo=None)
    await house.live.advance(hours=1)
    pooled = await house.ops.leads.GetLead(get(lead))
    assert pooled.ownership.owner_id == ""
    assert pooled.assignment_rule.version == published.version


@pytest.mark.mission("U8", "S23", "S24")
async def test_clocks_stand_still_while_the_customer_wants_time(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    owner = house.caller(lead.ownership.owner_id, "rep")

    def pause(lead: pb.Lead, **span: float) -> pb.PauseLeadRequest:
        until = protos.timestamp(house.live.now + timedelta(**span))
        return pb.PauseLeadRequest(request_id=rid(), id=lead.id, etag=lead.etag, until_time=until, reason="下周再联系")

    # Half of the two working hours and one of the 48 are over.
    await house.live.advance(hours=1)
    for reason, span in (("PAUSE_TOO_LONG", {"days": 15}), ("TIME_IN_PAST", {"minutes": -1})):
        with house.live.refused("INVALID_ARGUMENT", reason):
            await owner.leads.PauseLead(pause(lead, **span))
    with house.live.refused("FAILED_PRECONDITION", "LEAD_NOT_PAUSED"):
        await owner.leads.ResumeLead(pb.ResumeLeadRequest(request_id=rid(), id=lead.id, etag=lead.etag))
    paused = await owner.leads.PauseLead(pause(lead, days=7))
    assert paused.HasField("pause_until_time")
    assert not paused.HasField("response_due_time")
    await house.live.advance(days=6)
    held = await owner.leads.GetLead(pb.GetLeadRequest(id=lead.id))
    assert (held.ownership.owner_id, held.response_light) == (lead.ownership.owner_id, Light.LIGHT_NONE)
    await house.live.advance(days=1)
    # Monday at 10:00 the pause is over: one working hour is left of the first response, 47 of the alarm.
    held = await owner.leads.GetLead(pb.GetLeadRequest(id=lead.id))
    assert not held.HasField("pause_until_time")
    assert protos.instant(held.response_due_time) == house.live.now + timedelta(hours=1)
    assert protos.instant(held.alarm_time) == house.live.now + timedelta(hours=47)
    again = await owner.leads.PauseLead(pause(held, hours=5))
    early = await owner.leads.ResumeLead(pb.ResumeLeadRequest(request_id=rid(), id=lead.id, etag=again.etag))
    assert early.response_due_time == held.response_due_time
    with house.live.refused("FAILED_PRECONDITION", "PAUSES_USED_UP"):
        await owner.leads.PauseLead(pause(early, hours=1))
    await house.live.advance(hours=1)
    held = await house.ops.leads.GetLead(pb.GetLeadRequest(id=lead.id))
    assert held.ownership.owner_id != lead.ownership.owner_id, "and then it is late"
