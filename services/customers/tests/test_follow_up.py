"""Interactions, silence and wake-ups through the public contract."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import Ownership, Provenance
from closedloop.customers.v1 import accounts_pb2, assignment_pb2, contacts_pb2, leads_pb2, wake_ups_pb2
from closedloop.customers.v1 import interactions_pb2 as pb
from closedloop.funnel.v1 import activities_pb2
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import (
    behaviours_pb2,
    conversations_pb2,
    deliveries_pb2,
    mail_pb2,
    tickets_pb2,
)
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos

from .conftest import House


async def customer(
    house: House, rid: Any, name: str = "华东精密", **profile: Any
) -> tuple[accounts_pb2.Account, contacts_pb2.Contact]:
    account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(),
            profile=accounts_pb2.AccountProfile(name=name, region_code="310000", industry="education", **profile),
        )
    )
    contact = await house.rep1.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(),
            account_id=account.id,
            profile=contacts_pb2.ContactProfile(
                name=f"{name}李伟", email_addresses=[f"li@{account.id[-6:]}.example.cn"], key_contact=True
            ),
        )
    )
    return account, contact


def of(account: accounts_pb2.Account) -> accounts_pb2.RecordReference:
    return accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=account.id)


def touch(house: House, account: accounts_pb2.Account, n: int = 1, **fields: Any) -> pb.InteractionRow:
    known = {
        "channel": pb.CHANNEL_PHONE,
        "direction": pb.INTERACTION_DIRECTION_INBOUND,
        "occur_time": protos.timestamp(house.live.now),
        "summary": "客户询问交期",
    }
    whole = {"record": of(account), **known, **fields}
    return pb.InteractionRow(provenance=Provenance(source="crm", source_id=str(n)), **whole)


async def record(house: House, rid: Any, *rows: pb.InteractionRow, **fields: Any) -> Any:
    return await house.rep1.interactions.BulkRecordInteractions(
        pb.BulkRecordInteractionsRequest(request_id=rid(), rows=rows, **fields)
    )


async def touches(house: House, account: accounts_pb2.Account, **fields: Any) -> list[pb.Interaction]:
    answer = await house.ops.interactions.ListInteractions(pb.ListInteractionsRequest(record=of(account), **fields))
    return list(answer.interactions)


async def product(house: House, n: int, version: int = 1) -> None:
    changed = targets.ProductChanged(product_id=f"P{n}", name=f"视觉检测仪 {n} 型", line="vision", version=version)
    await house.live.hear(changed, f"P{n}", source="targets")


async def wake_ups(house: House, **fields: Any) -> list[wake_ups_pb2.WakeUp]:
    answer = await house.ops.wake_ups.ListWakeUps(wake_ups_pb2.ListWakeUpsRequest(**fields))
    return list(answer.wake_ups)


async def messages(house: House) -> list[Any]:
    return [
        m.content
        for m in await house.live.told(integrations.DeliveryRequested)
        if m.content.template.template == "wake_up"
    ]


@pytest.mark.mission("U14", "U15")
async def test_touches_are_recorded_once_and_judged_by_rule(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid)
    rows = [
        touch(house, account, 1, contact_id=contact.id, duration=Duration(seconds=60)),
        touch(house, account, 2, direction=pb.INTERACTION_DIRECTION_OUTBOUND, channel=pb.CHANNEL_EMAIL),
        touch(house, account, 3, occur_time=protos.timestamp(house.live.now + timedelta(days=1))),
        pb.InteractionRow(provenance=Provenance(source="crm", source_id="4")),
        touch(
            house, account, 5, record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=contact.id)
        ),
    ]
    dry = await record(house, rid, *rows, validate_only=True)
    summary = await record(house, rid, *rows)
    assert dry == summary
    assert (summary.read, summary.created, summary.rejected) == (5, 2, 3)
    assert [error.reason for error in summary.errors] == ["TIME_IN_FUTURE", "ROW_INVALID", "RECORD_NOT_FOUND"]
    assert (await record(house, rid, *rows)).unchanged == 2
    kept = {t.provenance.source_id: t for t in await touches(house, account)}
    assert kept["1"].effective
    assert kept["1"].contact_id == contact.id
    assert kept["1"].rule.rulebook == "customers.interactions"
    assert not kept["2"].effective
    assert kept["2"].person_id == "rep1"
    assert [t.provenance.source_id for t in await touches(house, account, effective=True)] == ["1"]
    known = await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    assert known.last_interaction_time.ToDatetime() == house.live.now.replace(tzinfo=None)
    assert known.version == account.version, "a touch is no change of master data"
    foreign = await house.rep9.interactions.BulkRecordInteractions(
        pb.BulkRecordInteractionsRequest(request_id=rid(), rows=[touch(house, account, 9)])
    )
    assert foreign.errors[0].reason == "OUT_OF_SCOPE"
    theirs = await house.rep9.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(), profile=accounts_pb2.AccountProfile(name="北方重工", region_code="110000")
        )
    )
    stranger = await house.rep9.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(), account_id=theirs.id, profile=contacts_pb2.ContactProfile(name="赵大")
        )
    )
    named = await record(
        house, rid, touch(house, account, 10, contact_id=stranger.id), touch(house, account, 11, contact_id=account.id)
    )
    assert [(error.field, error.reason) for error in named.errors] == [
        ("record", "OUT_OF_SCOPE"),
        ("contact_id", "CONTACT_NOT_FOUND"),
    ]
    unmoved = await house.rep9.contacts.GetContact(contacts_pb2.GetContactRequest(id=stranger.id))
    assert not unmoved.HasField("last_interaction_time")
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.interactions.ListInteractions(pb.ListInteractionsRequest(record=of(account)))
    with house.live.refused("INVALID_ARGUMENT", "RECORD_MISSING"):
        await house.rep1.interactions.ListInteractions(pb.ListInteractionsRequest())


async def test_ten_thousand_touches_are_recorded_in_one_call(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid)
    rows = [touch(house, account, n) for n in range(10_000)]
    summary = await house.rep1.interactions.BulkRecordInteractions(
        pb.BulkRecordInteractionsRequest(request_id=rid(), rows=rows), timeout=60
    )
    assert summary.created == 10_000
    page = await house.ops.interactions.ListInteractions(pb.ListInteractionsRequest(record=of(account), page_size=1000))
    assert len(page.interactions) == 1000
    assert page.next_page_token


async def test_every_system_that_saw_the_customer_tells_the_timeline(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid)
    now = protos.timestamp(house.live.now)
    asked = mail_pb2.Mail(
        id="m1",
        direction=mail_pb2.MAIL_DIRECTION_INBOUND,
        nature=mail_pb2.MAIL_NATURE_PERSONAL,
        subject="询价",
        receive_time=now,
    )
    getattr(asked, "from").CopyFrom(mail_pb2.MailAddress(address=contact.profile.email_addresses[0].upper()))
    told = [
        funnel.ActivityLogged(
            activity_id="a1",
            version=1,
            kind=activities_pb2.ACTIVITY_KIND_DEMO,
            account_id=account.id,
            contact_ids=[contact.id],
            start_time=now,
            effective=True,
            ownership=Ownership(owner_id="rep1", unit_id="team1"),
        ),
        integrations.MailReceived(mail=asked, version=1),
        integrations.ConversationReceived(
            conversation=conversations_pb2.Conversation(
                id="c1",
                kind=conversations_pb2.CONVERSATION_KIND_CALL,
                start_time=now,
                participants=[
                    conversations_pb2.Participant(person_id="rep1"),
                    conversations_pb2.Participant(contact_id=contact.id),
                ],
                answered=True,
                subject="回访需求",
                version=1,
            )
        ),
        integrations.TicketReceived(
            ticket=tickets_pb2.Ticket(
                id="t1",
                number="T-1",
                state=tickets_pb2.TICKET_STATE_OPEN,
                account_id=account.id,
                open_time=now,
                update_time=now,
            )
        ),
        integrations.BehaviourObserved(
            behaviour=behaviours_pb2.Behaviour(
                id="b1",
                kind=behaviours_pb2.BEHAVIOUR_KIND_PAGE_VIEWED,
                time=now,
                account_id=account.id,
                product_ids=["P1"],
            )
        ),
        integrations.OrderRecorded(
            number="SO1", account_id=account.id, date=Date(year=2026, month=1, day=5), version=1
        ),
    ]
    for message in told:
        await house.live.hear(message, "s")
    kept = {t.provenance.source: t for t in await touches(house, account)}
    assert set(kept) == {"funnel", "mail", "conversation", "ticket", "web", "order"}
    assert {source for source, t in kept.items() if t.effective} == {
        "funnel",
        "mail",
        "conversation",
        "ticket",
        "order",
    }
    assert kept["mail"].contact_id == contact.id
    assert (kept["funnel"].channel, kept["funnel"].action) == (pb.CHANNEL_MEETING, "demo")
    nobody = integrations.BehaviourObserved(
        behaviour=behaviours_pb2.Behaviour(
            id="b2", kind=behaviours_pb2.BEHAVIOUR_KIND_PAGE_VIEWED, time=now, visitor_id="x"
        )
    )
    await house.live.hear(nobody, "s")
    assert len(await touches(house, account)) == 6


async def test_a_touch_found_false_counts_no_more(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid)
    logged = funnel.ActivityLogged(
        activity_id="a1", version=1, kind=activities_pb2.ACTIVITY_KIND_VISIT, account_id=account.id, effective=True,
        start_time=protos.timestamp(house.live.now),
    )  # fmt: skip
    await house.live.hear(logged, "a1", source="funnel")
    found_false = funnel.ActivityLogged()
    found_false.CopyFrom(logged)
    found_false.version, found_false.effective = 2, False
    await house.live.hear(found_false, "a1", source="funnel")
    await house.live.hear(logged, "a1", source="funnel")
    (kept,) = await touches(house, account)
    assert not kept.effective
    known = await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    assert not known.HasField("last_interaction_time")


@pytest.mark.mission("S27", "S28")
async def test_seven_days_of_silence_wake_the_customer_with_what_it_looked_at(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid)
    await product(house, 1)
    await record(house, rid, touch(house, account, 1, product_ids=["P1"], contact_id=contact.id))
    await house.live.advance(days=6, hours=23)
    assert not await wake_ups(house)
    await product(house, 1, version=2)
    await house.live.advance(hours=1)
    (woken,) = await wake_ups(house)
    assert woken.record == of(account)
    assert woken.state == wake_ups_pb2.WAKE_UP_STATE_RUNNING
    assert woken.topic == "product_updated"
    assert woken.contact_id == contact.id
    assert woken.behaviours[0].value == 1
    assert "视觉检测仪 1 型" in woken.rule.explanation
    assert woken.messages[0].body == ""
    (content,) = await messages(house)
    assert content.recipient.contact_id == contact.id
    assert content.recipient.address == contact.profile.email_addresses[0]
    assert content.purpose == deliveries_pb2.DELIVERY_PURPOSE_MARKETING
    assert content.topic == "product_updated"
    assert content.dedupe_key == f"customers.wake_up:{account.id}:2026-01-12:0"
    assert content.sender_id == "rep1"
    assert (content.experiment, content.arm) == ("wake_up", "control" if woken.control else "treated")
    whole = await house.rep1.wake_ups.GetWakeUp(wake_ups_pb2.GetWakeUpRequest(id=woken.id))
    assert whole.messages[0].body
    assert whole.messages[0].channel == pb.CHANNEL_EMAIL
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.wake_ups.GetWakeUp(wake_ups_pb2.GetWakeUpRequest(id=woken.id))
    report = integrations.DeliveryReported(
        origin="customers",
        dedupe_key=content.dedupe_key,
        subject_type="wake_up",
        subject_id=woken.id,
        state=deliveries_pb2.DELIVERY_STATE_OPENED,
        time=protos.timestamp(house.live.now),
    )
    await house.live.hear(report, "d", source="integrations")
    report.state = deliveries_pb2.DELIVERY_STATE_REPLIED
    await house.live.hear(report, "d", source="integrations")
    answered = await house.rep1.wake_ups.GetWakeUp(wake_ups_pb2.GetWakeUpRequest(id=woken.id))
    assert answered.state == wake_ups_pb2.WAKE_UP_STATE_AWAKENED
    assert answered.messages[0].HasField("open_time")
    assert answered.messages[0].HasField("reply_time")


@pytest.mark.mission("S27")
async def test_a_touch_begins_the_silence_again(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid, product_lines=["vision"])
    await house.live.advance(days=5)
    await record(house, rid, touch(house, account, 1, occur_time=protos.timestamp(house.live.now - timedelta(days=1))))
    await house.live.advance(days=5, hours=23)
    assert not await wake_ups(house)
    await house.live.advance(hours=1)
    assert len(await wake_ups(house)) == 1, "seven days after the touch, not after its entry"


@pytest.mark.mission("S27")
async def test_no_answer_ends_after_the_last_message_and_rests(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid, product_lines=["vision"])
    await house.live.advance(days=7)
    await house.live.advance(days=7)
    assert len(await messages(house)) == 2
    await house.live.advance(days=7)
    (woken,) = await wake_ups(house, states=[wake_ups_pb2.WAKE_UP_STATE_EXHAUSTED])
    assert len(woken.messages) == 2
    await house.live.advance(days=29)
    assert len(await wake_ups(house)) == 1
    await house.live.advance(days=1)
    assert len(await wake_ups(house, record=of(account))) == 2


@pytest.mark.mission("S27", "S82")
async def test_the_next_message_is_signed_by_who_works_with_the_customer_by_then(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid, product_lines=["vision"])
    await house.live.advance(days=7)
    (first,) = await messages(house)
    assert (first.sender_id, str(first.template.fields["owner"])) == ("rep1", "张三")
    gone = targets.PersonChanged(person_id="rep1", unit_id="team1", name="张三", active=False, version=10**6)
    await house.live.hear(gone, "rep1", source="targets")
    await house.live.advance(days=7)
    second = (await messages(house))[-1]
    assert (second.sender_id, str(second.template.fields["owner"])) == ("m1", "组长甲")
    assert "张三" not in second.template.fields["text"]
    # The next wake-up, after the rest, is its new owner's.
    await house.m1.assignment.AssignRecord(
        assignment_pb2.AssignRecordRequest(request_id=rid(), record=of(account), assignee_id="rep2", reason="接手")
    )
    await house.live.advance(days=7)
    await house.live.advance(days=30)
    third = (await messages(house))[-1]
    assert (third.sender_id, str(third.template.fields["owner"])) == ("rep2", "李四")


@pytest.mark.mission("S27")
async def test_who_left_or_wants_no_more_gets_no_second_message(house: House, rid: Any) -> None:
    people = {}
    for name in ("华东精密", "天成电子", "地利工业"):
        account, contact = await customer(house, rid, name, product_lines=["vision"])
        people[account.id] = contact
        started = wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=of(account))
        await house.rep1.wake_ups.StartWakeUp(started)
    left, unwilling, moved = people.values()
    action = accounts_pb2.BusinessAction(kind="visit")
    await house.rep1.contacts.RecordJobChange(
        contacts_pb2.RecordJobChangeRequest(request_id=rid(), id=left.id, etag=left.etag, business_action=action)
    )
    consent = deliveries_pb2.Consent(
        contact_id=unwilling.id, allowed=False, cause="request", time=protos.timestamp(house.live.now)
    )
    await house.live.hear(integrations.ConsentChanged(consent=consent), "li", source="integrations")
    await house.rep1.contacts.UpdateContact(
        contacts_pb2.UpdateContactRequest(
            request_id=rid(),
            id=moved.id,
            etag=moved.etag,
            profile=contacts_pb2.ContactProfile(email_addresses=["new@moved.example.cn"]),
            update_mask=FieldMask(paths=["email_addresses"]),
            business_action=action,
        )
    )
    await house.live.advance(days=7)
    first, second = (await messages(house))[:3], (await messages(house))[3:]
    assert {one.recipient.contact_id for one in first} == {left.id, unwilling.id, moved.id}
    assert [one.recipient.address for one in second] == ["new@moved.example.cn"]
    states = {one.contact_id: one.state for one in await wake_ups(house)}
    assert states == {
        left.id: wake_ups_pb2.WAKE_UP_STATE_STOPPED,
        unwilling.id: wake_ups_pb2.WAKE_UP_STATE_OPTED_OUT,
        moved.id: wake_ups_pb2.WAKE_UP_STATE_RUNNING,
    }


@pytest.mark.mission("S27")
async def test_who_comes_back_is_left_in_peace(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid, product_lines=["vision"])
    await house.live.advance(days=7)
    await record(house, rid, touch(house, account, 1))
    (woken,) = await wake_ups(house)
    assert woken.state == wake_ups_pb2.WAKE_UP_STATE_AWAKENED
    await house.live.advance(days=6)
    assert len(await messages(house)) == 1


@pytest.mark.mission("S27")
async def test_no_message_goes_on_once_we_spoke_with_them_or_they_asked_us(house: House, rid: Any) -> None:
    called, _ = await customer(house, rid, "甲机械", product_lines=["vision"])
    asking, person = await customer(house, rid, "乙机械", product_lines=["vision"])
    await house.live.advance(days=7, hours=1)
    assert len(await messages(house)) == 2
    ours: dict[str, Any] = {"direction": pb.INTERACTION_DIRECTION_OUTBOUND, "summary": "谈了交期和价格"}
    long_ago = protos.timestamp(house.live.now - timedelta(days=30))
    await record(house, rid, touch(house, called, 1, **ours, occur_time=long_ago))
    await record(house, rid, touch(house, called, 2, **ours | {"summary": ""}))
    assert {one.state for one in await wake_ups(house)} == {wake_ups_pb2.WAKE_UP_STATE_RUNNING}
    await record(house, rid, touch(house, called, 3, **ours))
    lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(email_address=person.profile.email_addresses[0], need="请报价"),
            provenance=Provenance(source="web_form", source_id="q1"),
        )
    )
    assert (await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))).account_id == asking.id
    states = {one.record.id: one.state for one in await wake_ups(house)}
    assert states == {
        called.id: wake_ups_pb2.WAKE_UP_STATE_STOPPED,
        asking.id: wake_ups_pb2.WAKE_UP_STATE_AWAKENED,
    }
    (asked,) = await touches(house, asking)
    assert (asked.summary, asked.contact_id, asked.lead_id) == ("请报价", person.id, lead.id)
    await house.live.advance(days=6)
    assert len(await messages(house)) == 2


@pytest.mark.mission("S27", "S73")
async def test_an_opt_out_is_respected_and_the_owner_is_asked_to_call(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid, product_lines=["vision"])
    consent = deliveries_pb2.Consent(
        contact_id=contact.id, allowed=False, cause="request", time=protos.timestamp(house.live.now)
    )
    await house.live.hear(integrations.ConsentChanged(consent=consent), "li", source="integrations")
    await house.live.advance(days=7)
    assert not await wake_ups(house)
    assert not await messages(house)
    (task,) = await house.live.told(approvals.TaskRequested)
    assert task.content.cause_key == f"customers.silence:{account.id}"
    assert task.content.assignee_id == "rep1"
    assert "OPTED_OUT" in task.content.description
    with house.live.refused("FAILED_PRECONDITION", "OPTED_OUT"):
        await house.rep1.wake_ups.StartWakeUp(wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=of(account)))


@pytest.mark.mission("S28")
async def test_a_topic_nobody_wants_gives_way_to_another(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid, product_lines=["vision"])
    neighbour, _ = await customer(house, rid, "邻居", product_lines=["vision"])
    won = funnel.OpportunityWon(
        opportunity_id="0190d3c0-0000-7000-8000-000000000042",
        version=1,
        account_id=neighbour.id,
        close_date=Date(year=2026, month=1, day=2),
    )
    await house.live.hear(won, "o", source="funnel")
    consent = deliveries_pb2.Consent(
        address=contact.profile.email_addresses[0],
        topic="neighbour_succeeded",
        allowed=False,
        cause="unsubscribe_link",
        time=protos.timestamp(house.live.now),
    )
    preview = wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=of(account), validate_only=True)
    assert (await house.rep1.wake_ups.StartWakeUp(preview)).topic == "neighbour_succeeded"
    await house.live.hear(integrations.ConsentChanged(consent=consent), "li", source="integrations")
    preview.request_id = rid()
    assert (await house.rep1.wake_ups.StartWakeUp(preview)).topic == "product_line_news"
    assert not await wake_ups(house)


@pytest.mark.mission("S28")
async def test_topics_are_counted_by_what_became_of_their_messages(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid, product_lines=["vision"])
    began = house.live.now
    await house.rep1.wake_ups.StartWakeUp(wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=of(account)))
    (message,) = await messages(house)
    for minutes, state in enumerate(("SENT", "DELIVERED", "OPENED", "CLICKED"), 1):
        report = integrations.DeliveryReported(
            dedupe_key=message.dedupe_key,
            origin="customers",
            subject_type="wake_up",
            state=deliveries_pb2.DeliveryState.Value(f"DELIVERY_STATE_{state}"),
            time=protos.timestamp(began + timedelta(minutes=minutes)),
        )
        await house.live.hear(report, "d", source="integrations")
    sent = Interval(start_time=protos.timestamp(began), end_time=protos.timestamp(began + timedelta(hours=1)))

    async def topics(desk: Any, **fields: Any) -> list[wake_ups_pb2.TopicResult]:
        request = wake_ups_pb2.GetTopicReportRequest(sent=sent, **fields)
        return list((await desk.wake_ups.GetTopicReport(request)).topics)

    (topic,) = await topics(house.m1)
    arm = topic.control if message.arm == "control" else topic.treated
    assert (topic.topic, topic.title) == ("product_line_news", "产品线动态")
    assert (arm.sent, arm.delivered, arm.opened, arm.clicked, arm.replied) == (1, 1, 1, 1, 0)
    assert (arm.open_ratio, topic.enough_data) == (1.0, False)
    assert not await topics(house.m9), "of another region"
    assert not await topics(house.ops, channel=pb.CHANNEL_SMS)
    assert len(await topics(house.ops, unit_id="east")) == 1
    assert not await topics(house.ops, topics=["product_updated"])
    with house.live.refused("PERMISSION_DENIED"):
        await topics(house.rep1)
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_UNIT"):
        await topics(house.ops, unit_id="moon")


async def test_a_wake_up_is_started_and_stopped_by_hand(house: House, rid: Any) -> None:
    account, _ = await customer(house, rid)
    start = wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=of(account))
    with house.live.refused("FAILED_PRECONDITION", "NO_TOPIC_APPLIES"):
        await house.rep1.wake_ups.StartWakeUp(start)
    await product(house, 1)
    behaviour = behaviours_pb2.Behaviour(
        id="b1",
        kind=behaviours_pb2.BEHAVIOUR_KIND_PAGE_VIEWED,
        time=protos.timestamp(house.live.now),
        account_id=account.id,
        product_ids=["P1"],
    )
    await house.live.hear(integrations.BehaviourObserved(behaviour=behaviour), "b")
    start.request_id = rid()
    started = await house.rep1.wake_ups.StartWakeUp(start)
    assert started.topic == "product_watched"
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_RUNNING"):
        await house.rep1.wake_ups.StartWakeUp(wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=of(account)))
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.wake_ups.StopWakeUp(
            wake_ups_pb2.StopWakeUpRequest(request_id=rid(), id=started.id, reason="x")
        )
    stopped = await house.rep1.wake_ups.StopWakeUp(
        wake_ups_pb2.StopWakeUpRequest(request_id=rid(), id=started.id, reason="客户要求")
    )
    assert stopped.state == wake_ups_pb2.WAKE_UP_STATE_STOPPED
    with house.live.refused("FAILED_PRECONDITION", "WAKE_UP_ENDED"):
        await house.rep1.wake_ups.StopWakeUp(
            wake_ups_pb2.StopWakeUpRequest(request_id=rid(), id=started.id, reason="x")
        )
    await house.live.advance(days=10)
    assert len(await messages(house)) == 1


async def test_a_bounce_of_all_messages_makes_the_customer_unreachable(house: House, rid: Any) -> None:
    await customer(house, rid, product_lines=["vision"])
    await house.live.advance(days=7)
    (content,) = await messages(house)
    report = integrations.DeliveryReported(
        origin="customers",
        dedupe_key=content.dedupe_key,
        subject_type="wake_up",
        state=deliveries_pb2.DELIVERY_STATE_BOUNCED,
        reason="mailbox unknown",
        time=protos.timestamp(house.live.now),
    )
    await house.live.hear(report, "d", source="integrations")
    (woken,) = await wake_ups(house)
    assert woken.state == wake_ups_pb2.WAKE_UP_STATE_UNREACHABLE
    assert woken.messages[0].failure == "mailbox unknown"


async def test_who_asked_is_written_to_where_the_company_is_known(house: House, rid: Any) -> None:
    await customer(house, rid, "上海甲", product_lines=["vision"])
    lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(
                company_name="上海甲", email_address="zhao@jia.example.cn", contact_name="赵", product_lines=["vision"]
            ),
            provenance=Provenance(source="web_form", source_id="1"),
        )
    )
    assert lead.account_id
    about = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=lead.id)
    owner = house.caller(lead.ownership.owner_id, "rep")
    start = wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=about)
    with house.live.refused("FAILED_PRECONDITION", "CONTACTED_LATELY"):
        await owner.wake_ups.StartWakeUp(start)
    await owner.leads.RecordResponse(
        leads_pb2.RecordResponseRequest(
            request_id=rid(), id=lead.id, channel=pb.CHANNEL_PHONE, content="介绍了产品", reached=True
        )
    )
    await house.live.advance(days=3)
    start.request_id = rid()
    woken = await owner.wake_ups.StartWakeUp(start)
    (content,) = await messages(house)
    assert (content.recipient.address_only, content.recipient.name) == ("zhao@jia.example.cn", "赵")
    # By the second message they are a contact, and it is the same person who is written to.
    await owner.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(),
            account_id=lead.account_id,
            profile=contacts_pb2.ContactProfile(name="赵敏", email_addresses=["ZHAO@jia.example.cn"]),
        )
    )
    await house.live.advance(days=7)
    second = [one for one in await messages(house) if one.subject_id == woken.id][1]
    assert second.recipient.name == "赵敏"
    assert "赵敏您好" in second.template.fields["text"]


@pytest.mark.mission("S27")
async def test_a_lead_that_went_quiet_is_woken_too(house: House, rid: Any) -> None:
    lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(
                company_name="上海甲", email_address="a@b.example.cn", contact_name="赵", product_lines=["vision"]
            ),
            provenance=Provenance(source="web_form", source_id="1"),
        )
    )
    owner = house.caller(lead.ownership.owner_id, "rep")
    await owner.leads.RecordResponse(
        leads_pb2.RecordResponseRequest(
            request_id=rid(), id=lead.id, channel=pb.CHANNEL_PHONE, content="介绍了产品", reached=True
        )
    )
    await house.live.advance(days=7)
    (woken,) = await wake_ups(house)
    assert woken.record.type == accounts_pb2.RECORD_TYPE_LEAD
    (content,) = await messages(house)
    assert content.recipient.address_only == "a@b.example.cn"
