"""Messages through the contract: asked for, worded, held, suppressed, attempted, answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, contacts_pb2, interactions_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1.deliveries_pb2_grpc import DeliveryServiceStub
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

Known = Any


@pytest.fixture(autouse=True)
def ways_out(outside: Callable[..., None]) -> None:
    outside(
        smtp_url="smtp://127.0.0.1:1",
        mail_from="Closedloop <sales@closedloop.test>",
        wecom_robots=json.dumps(
            {"default": "http://127.0.0.1:1/cgi-bin/webhook/send?key=k", "sales": "http://127.0.0.1:1/x?key=s"}
        ),
    )


def request_id() -> str:
    return str(uuid4())


def to_contact(contact: str, key: str = "k", **given: Any) -> pb.DeliveryContent:
    content = pb.DeliveryContent(
        dedupe_key=key,
        origin="customers",
        purpose=pb.DELIVERY_PURPOSE_MARKETING,
        recipient=pb.Recipient(contact_id=contact),
        template=pb.TemplateBody(template="wake_up"),
        topic="product_updated",
        experiment="wake_up",
        arm="treated",
        subject_type="wake_up",
        subject_id="w1",
    )
    content.template.fields.update({"headline": "您关注的智慧黑板有更新", "text": "王老师您好，产品有更新。"})
    content.MergeFrom(pb.DeliveryContent(**given))
    return content


def to_colleague(person: str, template: str = "task_assigned", key: str = "k", **given: Any) -> pb.DeliveryContent:
    content = pb.DeliveryContent(
        dedupe_key=key,
        origin="approvals",
        purpose=pb.DELIVERY_PURPOSE_INTERNAL,
        recipient=pb.Recipient(person_id=person),
        template=pb.TemplateBody(template=template),
        **given,
    )
    content.template.fields.update({"title": "联系客户", "due_time": "2026-01-05T09:00:00+00:00"})
    return content


async def request(live: Live, content: pb.DeliveryContent, *who: str) -> pb.Delivery:
    stub = live.stub(DeliveryServiceStub, *(who or ("ops", "operations")))
    return await stub.RequestDelivery(pb.RequestDeliveryRequest(request_id=request_id(), content=content))


async def reported(live: Live) -> list[tuple[str, str]]:
    return [(pb.DeliveryState.Name(r.state)[15:].lower(), r.reason) for r in await live.told(events.DeliveryReported)]


async def claimed(live: Live, delivery_id: str, attempt: int = 1) -> None:
    """As the courier does when it is about to hand over."""
    tx = live.process.database.transaction()
    tx.do(
        "UPDATE delivery SET state = 'sending', attempts = %(n)s WHERE id = %(id)s", {"id": delivery_id, "n": attempt}
    )
    await tx.commit()


async def attempt(live: Live, delivery_id: str, outcome: str, number: int = 1, **given: Any) -> None:
    told = events.DeliveryAttempted(
        delivery_id=delivery_id,
        attempt=number,
        outcome=events.AttemptOutcome.Value(f"ATTEMPT_OUTCOME_{outcome.upper()}"),
        **given,
    )
    await live.hear(told, delivery_id, source="integrations.courier")


@pytest.fixture
async def teacher(known: Known) -> str:
    account = await known.account("济南市第三中学")
    contact: str = await known.contact("王老师", account, "Wang@School.cn")
    return contact


@pytest.mark.mission("S73", "S27")
async def test_a_message_another_service_asks_for_is_worded_and_waits_for_the_courier(
    company: Live, teacher: str
) -> None:
    await company.hear(events.DeliveryRequested(content=to_contact(teacher)), "w1", source="customers")
    await company.hear(events.DeliveryRequested(content=to_contact(teacher)), "w1", source="customers")
    stub = company.stub(DeliveryServiceStub, "rep1", "rep")
    [listed] = (await stub.ListDeliveries(pb.ListDeliveriesRequest(contact_id=teacher))).deliveries
    delivery = await stub.GetDelivery(pb.GetDeliveryRequest(id=listed.id))
    assert (delivery.state, delivery.channel, delivery.address) == (
        pb.DELIVERY_STATE_QUEUED,
        pb.CHANNEL_MAIL,
        "wang@school.cn",
    )
    assert delivery.subject == "您关注的智慧黑板有更新"
    assert delivery.text.startswith("王老师您好，产品有更新。")
    assert "退订" in delivery.text
    assert [step.state for step in delivery.life] == [pb.DELIVERY_STATE_QUEUED]
    assert (listed.subject, listed.text) == ("", "")


@pytest.mark.mission("S73")
async def test_colleagues_are_told_by_chat_and_by_mail_where_they_have_no_handle(company: Live) -> None:
    by_mail = await request(company, to_colleague("rep1"))
    assert (by_mail.channel, by_mail.address) == (pb.CHANNEL_MAIL, "rep1@example.com")
    assert by_mail.subject == "新任务：联系客户"
    assert by_mail.text == "您有一项新任务：联系客户，请于 2026-01-05 17:00 前完成。"
    tx = company.process.database.transaction()
    tx.do("UPDATE org_person SET handles = '{\"wecom\": \"zhangsan\"}', language = 'en' WHERE id = 'rep1'")
    tx.do("UPDATE memory_revision SET value = value + 1 WHERE name = 'org'")
    await tx.commit()
    await company.process.look()
    by_chat = await request(company, to_colleague("rep1", key="k2"))
    assert (by_chat.channel, by_chat.address) == (pb.CHANNEL_WECOM, "zhangsan")
    assert by_chat.text.startswith("You have a new task: 联系客户, due 2026-01-05 17:00.")


@pytest.mark.mission("S73")
async def test_one_key_and_recipient_goes_out_once(company: Live, teacher: str) -> None:
    first = await request(company, to_contact(teacher))
    again = await request(company, to_contact(teacher, topic="other"))
    assert again.id == first.id
    other = await request(company, to_colleague("rep1"))
    assert other.id != first.id


@pytest.mark.mission("S73", "U20")
async def test_quiet_hours_hold_and_urgent_ones_go(company: Live, teacher: str) -> None:
    await company.move_to(company.now.replace(hour=15))  # 23:00 in China
    held = await request(company, to_contact(teacher))
    assert (held.state, held.reason) == (pb.DELIVERY_STATE_HELD, "quiet_hours")
    assert held.rule.rule == "quiet.marketing"
    urgent = await request(company, to_colleague("rep1", urgent=True))
    assert urgent.state == pb.DELIVERY_STATE_QUEUED
    preview = await company.stub(DeliveryServiceStub, "ops", "operations").PreviewDelivery(
        pb.PreviewDeliveryRequest(content=to_contact(teacher, key="p"))
    )
    assert preview.state == pb.DELIVERY_STATE_HELD
    assert preview.send_time.ToDatetime() == datetime(2026, 1, 6, 1, 0)
    assert await reported(company) == [("held", "quiet_hours")]


@pytest.mark.mission("S73")
async def test_an_opt_out_is_obeyed_at_once_and_for_what_waits(company: Live, teacher: str) -> None:
    waiting = await request(company, to_contact(teacher))
    withdrawn = customers.ConsentChanged(
        record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_CONTACT, id=teacher),
        email_addresses=["wang@school.cn"],
        channel=interactions_pb2.CHANNEL_EMAIL,
        granted=False,
        effective_time=protos.timestamp(company.now),
    )
    await company.hear(withdrawn, teacher, source="customers")
    stub = company.stub(DeliveryServiceStub, "rep1", "rep")
    stopped = await stub.GetDelivery(pb.GetDeliveryRequest(id=waiting.id))
    assert (stopped.state, stopped.reason) == (pb.DELIVERY_STATE_SUPPRESSED, "opted_out")
    refused = await request(company, to_contact(teacher, key="k2"))
    assert (refused.state, refused.reason) == (pb.DELIVERY_STATE_SUPPRESSED, "opted_out")
    answer = await request(company, to_contact(teacher, key="k3", purpose=pb.DELIVERY_PURPOSE_SERVICE))
    assert answer.state == pb.DELIVERY_STATE_QUEUED
    told = await company.told(events.ConsentChanged)
    assert {(t.consent.contact_id, t.consent.address) for t in told} == {(teacher, ""), ("", "wang@school.cn")}
    consents = (await stub.ListConsents(pb.ListConsentsRequest())).consents
    assert [consent.allowed for consent in consents] == [False, False]
    assert (
        await company.stub(DeliveryServiceStub, "rep2", "rep").ListConsents(pb.ListConsentsRequest())
    ).consents == []


@pytest.mark.mission("S73")
async def test_a_retry_heeds_the_night_and_what_was_said_while_it_was_under_way(
    company: Live, teacher: str, known: Known
) -> None:
    """What waits is stopped at once; what a courier held is looked at again before it waits for another try."""
    stub = company.stub(DeliveryServiceStub, "ops", "operations")

    async def standing(delivery: pb.Delivery) -> tuple[int, str]:
        now = await stub.GetDelivery(pb.GetDeliveryRequest(id=delivery.id))
        return now.state, now.reason

    await company.move_to(company.now.replace(hour=11, minute=59, second=50))  # 19:59:50 in China
    late, urgent = (
        await request(company, to_contact(teacher, key="late")),
        await request(company, to_colleague("rep1", urgent=True)),
    )
    for each in (late, urgent):
        await claimed(company, each.id)
        await attempt(company, each.id, "deferred", detail="451 later")
    assert await standing(late) == (pb.DELIVERY_STATE_HELD, "quiet_hours")
    assert await standing(urgent) == (pb.DELIVERY_STATE_QUEUED, "retry")
    assert await company.db.value("SELECT due_at FROM delivery WHERE dedupe_key = 'late'") == datetime(
        2026, 1, 6, 1, 0, tzinfo=UTC
    )
    assert (await reported(company))[-1] == ("held", "quiet_hours")

    # In the morning it is tried; meanwhile they say that they want no more.
    await company.move_to(datetime(2026, 1, 6, 2, 0, tzinfo=UTC))
    await claimed(company, late.id, 2)
    said = pb.Consent(contact_id=teacher, allowed=False, cause="call", time=protos.timestamp(company.now))
    await stub.SetConsents(pb.SetConsentsRequest(request_id=request_id(), rows=[said]))
    assert await standing(late) == (pb.DELIVERY_STATE_QUEUED, "quiet_hours"), "it is with the gateway"
    await attempt(company, late.id, "deferred", 2)
    assert await standing(late) == (pb.DELIVERY_STATE_SUPPRESSED, "opted_out")

    # Who leaves is written to no more, and a channel that is closed stays shut for what waits.
    account = await known.account("青岛实验")
    gone, shut = await known.contact("走了", account, "gone@x.cn"), await known.contact("关了", account, "shut@x.cn")
    waiting = [await request(company, to_contact(contact, key="w")) for contact in (gone, shut)]
    service = await request(company, to_contact(shut, key="s", purpose=pb.DELIVERY_PURPOSE_SERVICE))
    await company.hear(
        customers.ContactChanged(contact_id=gone, account_id=account, state=contacts_pb2.CONTACT_STATE_LEFT, version=9),
        gone,
        source="customers",
    )
    await company.hear(
        customers.ContactChanged(
            contact_id=shut,
            account_id=account,
            email_addresses=["shut@x.cn"],
            state=contacts_pb2.CONTACT_STATE_CURRENT,
            closed_channels=[interactions_pb2.CHANNEL_EMAIL],
            version=9,
        ),
        shut,
        source="customers",
    )
    assert [(await standing(each))[1] for each in (*waiting, service)] == ["contact_gone", "opted_out", ""]


@pytest.mark.mission("S73")
async def test_consents_in_bulk_are_idempotent_and_the_newest_word_counts(company: Live, teacher: str) -> None:
    stub = company.stub(DeliveryServiceStub, "ops", "operations")

    def said(allowed: bool, day: int, **given: Any) -> pb.Consent:
        return pb.Consent(
            contact_id=teacher,
            allowed=allowed,
            cause="import",
            time=protos.timestamp(company.now - timedelta(days=10 - day)),
            provenance=Provenance(source="crm", source_id=f"c{day}"),
            **given,
        )

    async def put(*rows: pb.Consent, validate_only: bool = False) -> tuple[int, int, int, int]:
        summary = await stub.SetConsents(
            pb.SetConsentsRequest(request_id=request_id(), rows=rows, validate_only=validate_only)
        )
        return summary.created, summary.updated, summary.unchanged, summary.rejected

    assert await put(said(False, 1), validate_only=True) == (1, 0, 0, 0)
    assert await put(said(False, 1), pb.Consent(cause="import"), said(False, 1, topic="news")) == (2, 0, 0, 1)
    assert await put(said(False, 1)) == (0, 0, 1, 0)
    assert await put(said(True, 3)) == (0, 1, 0, 0)
    assert await put(said(False, 2)) == (0, 0, 1, 0)
    assert (await request(company, to_contact(teacher))).state == pb.DELIVERY_STATE_QUEUED
    history = await stub.ListConsents(pb.ListConsentsRequest(contact_id=teacher, include_history=True))
    assert len(history.consents) == 3
    rep = company.stub(DeliveryServiceStub, "rep2", "rep")
    summary = await rep.SetConsents(pb.SetConsentsRequest(request_id=request_id(), rows=[said(False, 9)]))
    assert [error.reason for error in summary.errors] == ["OUT_OF_SCOPE"]


@pytest.mark.mission("S73")
async def test_too_many_in_a_week_are_suppressed(company: Live, teacher: str) -> None:
    states = [(await request(company, to_contact(teacher, key=f"k{number}"))).state for number in range(3)]
    assert states == [pb.DELIVERY_STATE_QUEUED, pb.DELIVERY_STATE_QUEUED, pb.DELIVERY_STATE_SUPPRESSED]
    await company.advance(days=8)
    assert (await request(company, to_contact(teacher, key="k9"))).state == pb.DELIVERY_STATE_QUEUED


@pytest.mark.mission("S73", "S28")
async def test_an_attempt_that_is_accepted_is_told_with_experiment_and_arm(company: Live, teacher: str) -> None:
    delivery = await request(company, to_contact(teacher))
    await claimed(company, delivery.id)
    await attempt(
        company, delivery.id, "accepted", gateway_id="<x@y>", detail="250 OK", time=protos.timestamp(company.now)
    )
    stub = company.stub(DeliveryServiceStub, "ops", "operations")
    sent = await stub.GetDelivery(pb.GetDeliveryRequest(id=delivery.id))
    assert (sent.state, sent.attempts, sent.gateway_id) == (pb.DELIVERY_STATE_SENT, 1, "<x@y>")
    assert sent.send_time.ToDatetime() == company.now.replace(tzinfo=None)
    assert [step.detail for step in sent.life] == ["", "250 OK"]
    [report] = await company.told(events.DeliveryReported)
    assert (report.state, report.origin, report.dedupe_key) == (pb.DELIVERY_STATE_SENT, "customers", "k")
    assert (report.experiment, report.arm, report.topic) == ("wake_up", "treated", "product_updated")
    assert (report.contact_id, report.subject_type, report.subject_id) == (teacher, "wake_up", "w1")
    await attempt(company, delivery.id, "unknown")
    assert len(await company.told(events.DeliveryReported)) == 1


@pytest.mark.mission("S73")
async def test_what_was_not_taken_is_tried_again_and_given_up_by_the_rulebook(company: Live, teacher: str) -> None:
    delivery = await request(company, to_contact(teacher))
    stub = company.stub(DeliveryServiceStub, "ops", "operations")
    for number in range(1, 7):
        await claimed(company, delivery.id, number)
        await attempt(company, delivery.id, "deferred", number, detail="451 later")
        state = (await stub.GetDelivery(pb.GetDeliveryRequest(id=delivery.id))).state
        assert state == (pb.DELIVERY_STATE_QUEUED if number < 6 else pb.DELIVERY_STATE_FAILED)
        due = await company.db.value("SELECT due_at FROM delivery")
        assert number == 6 or due == company.now + timedelta(seconds=30 * 2 ** (number - 1))
    assert await reported(company) == [("failed", "gave_up")]


@pytest.mark.mission("S73")
async def test_a_lost_answer_is_uncertain_until_a_late_truth_or_a_person_settles_it(
    company: Live, teacher: str
) -> None:
    stub = company.stub(DeliveryServiceStub, "ops", "operations")
    first = await request(company, to_contact(teacher, key="k1"))
    await claimed(company, first.id)
    await attempt(company, first.id, "unknown", detail="the sender was interrupted")
    uncertain = await stub.GetDelivery(pb.GetDeliveryRequest(id=first.id))
    assert uncertain.state == pb.DELIVERY_STATE_UNCERTAIN
    await attempt(company, first.id, "accepted")
    assert (await stub.GetDelivery(pb.GetDeliveryRequest(id=first.id))).state == pb.DELIVERY_STATE_SENT
    second = await request(company, to_contact(teacher, key="k2"))
    await claimed(company, second.id)
    await attempt(company, second.id, "unknown")
    etag = (await stub.GetDelivery(pb.GetDeliveryRequest(id=second.id))).etag
    resolve = pb.ResolveDeliveryRequest(
        request_id=request_id(), id=second.id, etag=etag, send_again=True, reason="未收到"
    )
    assert (await stub.ResolveDelivery(resolve)).state == pb.DELIVERY_STATE_QUEUED
    resolve.request_id = request_id()
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await stub.ResolveDelivery(resolve)
    resolve.etag = (await stub.GetDelivery(pb.GetDeliveryRequest(id=second.id))).etag
    resolve.request_id = request_id()
    with company.refused("FAILED_PRECONDITION", "DELIVERY_NOT_UNCERTAIN"):
        await stub.ResolveDelivery(resolve)


async def test_a_waiting_message_can_be_taken_back_and_a_sent_one_not(company: Live, teacher: str) -> None:
    stub = company.stub(DeliveryServiceStub, "rep1", "rep")
    delivery = await request(company, to_contact(teacher), "rep1", "rep")
    cancel = pb.CancelDeliveryRequest(request_id=request_id(), id=delivery.id, etag=delivery.etag, reason="不必了")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.stub(DeliveryServiceStub, "rep2", "rep").CancelDelivery(cancel)
    cancel.request_id = request_id()
    assert (await stub.CancelDelivery(cancel)).state == pb.DELIVERY_STATE_CANCELLED
    cancel.request_id, cancel.etag = request_id(), '"2"'
    with company.refused("FAILED_PRECONDITION", "DELIVERY_HANDED_OVER"):
        await stub.CancelDelivery(cancel)


async def test_refusals_name_what_is_wrong(company: Live, teacher: str, known: Known) -> None:
    stub = company.stub(DeliveryServiceStub, "ops", "operations")

    async def ask(content: pb.DeliveryContent) -> None:
        await stub.RequestDelivery(pb.RequestDeliveryRequest(request_id=request_id(), content=content))

    with company.refused("INVALID_ARGUMENT", "TEMPLATE_UNKNOWN"):
        await ask(to_colleague("rep1", template="nothing"))
    nameless = to_contact(teacher)
    nameless.template.fields.Clear()
    with company.refused("INVALID_ARGUMENT", "TEMPLATE_FIELD_MISSING"):
        await ask(nameless)
    with company.refused("FAILED_PRECONDITION", "ADDRESS_UNKNOWN"):
        await ask(to_colleague("nobody"))
    silent = await known.contact("无邮箱", await known.account("某公司"))
    with company.refused("FAILED_PRECONDITION", "ADDRESS_UNKNOWN"):
        await ask(to_contact(silent))
    account = await known.account("某公司")
    for address in (
        "a@b@c.cn",
        "li@school..cn",
        "a@[1.2.3",
        "王@school.cn",
        "li lei@school.cn",
        "li",
        "@school.cn",
        "li@",
    ):
        with company.refused("FAILED_PRECONDITION", "ADDRESS_MALFORMED"):
            await ask(to_contact(await known.contact("写错", account, address)))
    with company.refused("FAILED_PRECONDITION", "CHANNEL_NOT_CONFIGURED"):
        await ask(to_contact(teacher, channel=pb.CHANNEL_SMS))
    with company.refused("FAILED_PRECONDITION", "CHANNEL_NOT_CONFIGURED"):
        await ask(
            pb.DeliveryContent(
                dedupe_key="r",
                origin="x",
                purpose=1,
                recipient=pb.Recipient(robot="none"),
                written=pb.WrittenBody(text="x"),
            )
        )
    with company.refused("INVALID_ARGUMENT"):
        await ask(pb.DeliveryContent(dedupe_key="r", origin="x"))
    with company.refused("NOT_FOUND", "DELIVERY_UNKNOWN"):
        await stub.GetDelivery(pb.GetDeliveryRequest(id=request_id()))


async def test_what_cannot_be_sent_for_another_service_fails_aloud_and_parks_nothing(
    company: Live, teacher: str
) -> None:
    await company.hear(
        events.DeliveryRequested(content=to_contact(teacher, channel=pb.CHANNEL_SMS)), "w1", source="customers"
    )
    await company.hear(events.DeliveryRequested(content=to_colleague("gone")), "t1", source="approvals")
    assert await reported(company) == [("failed", "channel_not_configured"), ("failed", "address_unknown")]


@pytest.mark.mission("S73")
async def test_a_rep_writes_to_his_customers_and_in_his_name_alone(company: Live, teacher: str) -> None:
    written = pb.DeliveryContent(
        dedupe_key="w",
        origin="rep1",
        purpose=pb.DELIVERY_PURPOSE_SERVICE,
        recipient=pb.Recipient(contact_id=teacher),
        written=pb.WrittenBody(subject="报价", text="王老师您好，报价见附件。"),
        sender_id="rep1",
    )
    delivery = await request(company, written, "rep1", "rep")
    assert delivery.text == "王老师您好，报价见附件。\n\n-- \n张三"
    assert delivery.state == pb.DELIVERY_STATE_QUEUED
    foreign = company.stub(DeliveryServiceStub, "rep2", "rep")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await foreign.RequestDelivery(pb.RequestDeliveryRequest(request_id=request_id(), content=written))
    written.sender_id = ""
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await foreign.RequestDelivery(pb.RequestDeliveryRequest(request_id=request_id(), content=written))
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await foreign.GetDelivery(pb.GetDeliveryRequest(id=delivery.id))
    assert (await foreign.ListDeliveries(pb.ListDeliveriesRequest())).deliveries == []
    manager = company.stub(DeliveryServiceStub, "m1", "manager")
    [seen] = (await manager.ListDeliveries(pb.ListDeliveriesRequest(purpose=pb.DELIVERY_PURPOSE_SERVICE))).deliveries
    assert seen.content.written.text == ""
    own = await request(company, to_colleague("rep1", key="mine"), "rep2", "rep")
    assert (await foreign.GetDelivery(pb.GetDeliveryRequest(id=own.id))).id == own.id


async def test_a_robot_takes_a_message_for_its_group(company: Live) -> None:
    content = pb.DeliveryContent(
        dedupe_key="r",
        origin="ops",
        purpose=pb.DELIVERY_PURPOSE_INTERNAL,
        recipient=pb.Recipient(robot="sales"),
        written=pb.WrittenBody(text="周会改到十点"),
    )
    delivery = await request(company, content)
    assert (delivery.channel, delivery.address, delivery.text) == (pb.CHANNEL_WECOM, "", "周会改到十点")


async def test_an_erased_person_leaves_no_words_behind(company: Live, teacher: str) -> None:
    await request(company, to_contact(teacher))
    erased = customers.PersonErased(
        records=[accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_CONTACT, id=teacher)],
        erase_time=protos.timestamp(company.now),
    )
    await company.hear(erased, teacher, source="customers")
    row = await company.db.one("SELECT subject, text, address, recipient_name, content, state, reason FROM delivery")
    assert row is not None
    assert (row["subject"], row["text"], row["address"], row["recipient_name"], bytes(row["content"])) == (
        "",
        "",
        "",
        "",
        b"",
    )
    assert (row["state"], row["reason"]) == ("suppressed", "erased")
    with company.refused("FAILED_PRECONDITION", "ADDRESS_UNKNOWN"):
        await request(company, to_contact(teacher, key="k2"))
