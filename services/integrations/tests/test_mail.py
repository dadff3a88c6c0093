"""Mail through the contract: read, threaded, laid to customers, told; bounces and answers end deliveries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import deliveries_pb2, sources_pb2
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import mail_pb2 as pb
from closedloop.integrations.v1.deliveries_pb2_grpc import DeliveryServiceStub
from closedloop.integrations.v1.mail_pb2_grpc import MailServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_integrations.mail import intake, mime

Known = Any


@pytest.fixture(autouse=True)
def ways_out(outside: Callable[..., None]) -> None:
    outside(smtp_url="smtp://127.0.0.1:1", mail_from="Closedloop <sales@closedloop.test>")


def request_id() -> str:
    return str(uuid4())


def written(live: Live, text: str, sender: str = "王老师 <wang@school.cn>", **headers: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = sender, "sales@closedloop.test"
    message["Subject"] = headers.pop("subject", "回复：报价")
    message["Date"] = format_datetime(live.now)
    message["Message-ID"] = headers.pop("message_id", f"<{uuid4()}@school.cn>")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes()


async def arrive(live: Live, raw: bytes, uid: int = 1) -> None:
    fetched = events.MailFetched(
        source="mail", source_id=f"INBOX:1:{uid}", raw=raw, receive_time=protos.timestamp(live.now)
    )
    await live.hear(fetched, "mail", source="integrations.courier")


async def sent_wake_up(live: Live, contact: str) -> tuple[str, str]:
    """A delivered marketing mail; its id and Message-ID."""
    content = deliveries_pb2.DeliveryContent(
        dedupe_key=request_id(),
        origin="customers",
        purpose=deliveries_pb2.DELIVERY_PURPOSE_MARKETING,
        recipient=deliveries_pb2.Recipient(contact_id=contact),
        written=deliveries_pb2.WrittenBody(subject="新品", text="您好，新品已上市。"),
        subject_type="wake_up",
        subject_id="w1",
    )
    stub = live.stub(DeliveryServiceStub, "ops", "operations")
    request = deliveries_pb2.RequestDeliveryRequest(request_id=request_id(), content=content)
    delivery = await stub.RequestDelivery(request)
    tx = live.process.database.transaction()
    tx.do("UPDATE delivery SET state = 'sending', attempts = 1 WHERE id = %(id)s", {"id": delivery.id})
    await tx.commit()
    accepted = events.DeliveryAttempted(delivery_id=delivery.id, attempt=1, outcome=events.ATTEMPT_OUTCOME_ACCEPTED)
    await live.hear(accepted, delivery.id, source="integrations.courier")
    return delivery.id, f"<{delivery.id}@closedloop.test>"


@pytest.fixture
async def teacher(known: Known) -> str:
    account = await known.account("济南市第三中学", domains=["school.cn"])
    contact: str = await known.contact("王老师", account, "Wang@School.cn")
    return contact


@pytest.mark.mission("S69", "S32")
async def test_an_answer_that_says_a_job_has_changed_is_told_with_the_sentence(company: Live, teacher: str) -> None:
    delivery_id, message_id = await sent_wake_up(company, teacher)
    text = "您好，我已调任信息中心主任，后续请联系赵强（13812345678）。\n\n在 2026年1月5日，Closedloop 写道：\n> 您好，新品已上市。"
    raw = written(company, text, In_Reply_To=message_id, References=message_id)
    await arrive(company, raw)
    outbound, inbound = [told.mail for told in await company.told(events.MailReceived)]
    assert (outbound.direction, outbound.message_id, outbound.to[0].contact_id) == (
        pb.MAIL_DIRECTION_OUTBOUND,
        message_id,
        teacher,
    )
    assert inbound.direction == pb.MAIL_DIRECTION_INBOUND
    assert inbound.thread_id == outbound.thread_id
    assert (inbound.delivery_id, getattr(inbound, "from").contact_id) == (delivery_id, teacher)
    assert inbound.account_id
    assert (inbound.ownership.owner_id, inbound.ownership.unit_id) == ("rep1", "east")
    assert "写道" not in inbound.text
    changed, another = inbound.facts
    assert (changed.kind, changed.values["title"], changed.contact_id) == (
        pb.MAIL_FACT_KIND_JOB_CHANGE,
        "信息中心主任",
        teacher,
    )
    assert inbound.text[changed.offset : changed.offset + len(changed.sentence)] == changed.sentence
    assert changed.confidence == pytest.approx(0.85)
    assert changed.rule.rule == "facts.zh.i_moved"
    assert (another.person_name, another.values["phone"], another.contact_id) == ("赵强", "13812345678", "")
    report = (await company.told(events.DeliveryReported))[-1]
    assert (report.state, report.mail_id, report.subject_id) == (
        deliveries_pb2.DELIVERY_STATE_REPLIED,
        inbound.id,
        "w1",
    )
    assert report.reply.startswith("您好，我已调任")


@pytest.mark.mission("S69")
async def test_the_same_mail_again_changes_nothing(company: Live, teacher: str) -> None:
    raw = written(company, "收到。")
    await arrive(company, raw, 1)
    await arrive(company, raw, 2)
    stub = company.stub(MailServiceStub, "ops", "operations")
    again = await stub.IngestMail(
        pb.IngestMailRequest(request_id=request_id(), raw=b"Received: by x\r\n" + raw, source="gateway")
    )
    assert len(await company.told(events.MailReceived)) == 1
    [only] = (await stub.ListMails(pb.ListMailsRequest())).mails
    assert (again.id, again.provenance.source) == (only.id, "mail")


@pytest.mark.mission("S73")
async def test_a_bounce_ends_the_delivery_it_names(company: Live, teacher: str) -> None:
    _, message_id = await sent_wake_up(company, teacher)
    report = (
        "From: mailer-daemon@school.cn\r\nTo: sales@closedloop.test\r\nSubject: Undelivered Mail\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nmailbox unknown\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
        "Final-Recipient: rfc822; wang@school.cn\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\nSubject: x\r\n\r\n--b--\r\n"
    ).encode()
    await arrive(company, report)
    last = (await company.told(events.DeliveryReported))[-1]
    assert (last.state, last.contact_id) == (deliveries_pb2.DELIVERY_STATE_BOUNCED, teacher)
    [mail] = [t.mail for t in await company.told(events.MailReceived) if t.mail.nature == pb.MAIL_NATURE_BOUNCE]
    assert not mail.facts


@pytest.mark.mission("S73")
async def test_a_report_that_nothing_failed_ends_no_delivery(company: Live, teacher: str) -> None:
    stub = company.stub(MailServiceStub, "ops", "operations")
    delivery_id, message_id = await sent_wake_up(company, teacher)
    reports = [("delayed", "4.4.1"), ("delivered", "2.0.0"), ("relayed", "2.0.0"), ("failed", "4.4.7")]
    for uid, (action, status) in enumerate(reports, 1):
        raw = (
            "From: mailer-daemon@school.cn\r\nTo: sales@closedloop.test\r\nSubject: Delivery Status Notification\r\n"
            "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\nwill be tried for 5 days\r\n"
            "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
            f"Final-Recipient: rfc822; wang@school.cn\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
            f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\nSubject: x\r\n\r\n--b--\r\n"
        )
        await arrive(company, raw.encode(), uid)
        told = [report for report in await company.told(events.DeliveryReported) if report.delivery_id == delivery_id]
        bounced = told[-1].state == deliveries_pb2.DELIVERY_STATE_BOUNCED
        assert bounced == (action == "failed"), action
    mails = (await stub.ListMails(pb.ListMailsRequest(nature=pb.MAIL_NATURE_BOUNCE))).mails
    assert len(mails) == 1


async def test_a_bounce_that_names_only_the_address_is_laid_to_the_last_mail_there(
    company: Live, known: Known, data_folder: Path
) -> None:
    contact = await known.contact("某人", await known.account("某公司"), "abh@netpar.com.br")
    delivery_id, _ = await sent_wake_up(company, contact)
    await arrive(company, (data_folder / "mail" / "malformed_2.eml").read_bytes())
    last = (await company.told(events.DeliveryReported))[-1]
    assert (last.delivery_id, last.state) == (delivery_id, deliveries_pb2.DELIVERY_STATE_BOUNCED)


@pytest.mark.mission("S73")
async def test_an_answer_that_only_says_stop_is_an_opt_out(company: Live, teacher: str) -> None:
    _, message_id = await sent_wake_up(company, teacher)
    await arrive(company, written(company, "退订", In_Reply_To=message_id))
    [told] = await company.told(events.ConsentChanged)
    assert (told.consent.address, told.consent.contact_id, told.consent.allowed) == ("wang@school.cn", teacher, False)
    assert told.consent.channel == deliveries_pb2.CHANNEL_MAIL


@pytest.mark.mission("S69")
async def test_real_mails_are_taken_in(company: Live, data_folder: Path) -> None:
    names = sorted(path.name for path in (data_folder / "mail").glob("*.eml"))
    stub = company.stub(MailServiceStub, "ops", "operations")
    for name in names:
        raw = (data_folder / "mail" / name).read_bytes()
        mail = await stub.IngestMail(pb.IngestMailRequest(request_id=request_id(), raw=raw, source="samples"))
        assert mail.nature == (pb.MAIL_NATURE_BOUNCE if name.startswith("malformed") else pb.MAIL_NATURE_PERSONAL)
        assert mail.text == "Hello" or mail.nature == pb.MAIL_NATURE_BOUNCE
    assert len((await stub.ListMails(pb.ListMailsRequest())).mails) == len(names) == 6


@pytest.mark.mission("S69")
async def test_a_stranger_is_nobodys_until_the_contact_is_known_or_a_person_links_him(
    company: Live, known: Known
) -> None:
    await arrive(company, written(company, "本人已调任采购处处长。", sender="new@firm.cn"), 1)
    await arrive(company, written(company, "您好", sender="other@nowhere.cn"), 2)
    stub = company.stub(MailServiceStub, "ops", "operations")
    assert len((await stub.ListMails(pb.ListMailsRequest(unlinked=True))).mails) == 2
    mine = company.stub(MailServiceStub, "rep1", "rep")
    assert (await mine.ListMails(pb.ListMailsRequest())).mails == []
    account = await known.account("某公司")
    contact = await known.contact("新人", account, "new@firm.cn")
    linked = (await company.told(events.MailReceived))[-1]
    assert (linked.mail.account_id, getattr(linked.mail, "from").contact_id, linked.version) == (account, contact, 2)
    [stranger] = (await stub.ListMails(pb.ListMailsRequest(unlinked=True))).mails
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await mine.GetMail(pb.GetMailRequest(id=stranger.id))
    link = pb.LinkMailRequest(
        request_id=request_id(), id=stranger.id, etag=stranger.etag, account_id=account, contact_id=contact
    )
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.stub(MailServiceStub, "rep2", "rep").LinkMail(link)
    link.request_id = request_id()
    assert (await mine.LinkMail(link)).account_id == account
    link.request_id = request_id()
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await mine.LinkMail(link)
    link.request_id, link.etag, link.contact_id = request_id(), '"2"', request_id()
    with company.refused("NOT_FOUND", "CONTACT_UNKNOWN"):
        await mine.LinkMail(link)
    link.request_id, link.account_id = request_id(), request_id()
    with company.refused("NOT_FOUND", "ACCOUNT_UNKNOWN"):
        await mine.LinkMail(link)
    assert (await company.told(events.MailReceived))[-1].version == 2


async def test_mails_are_found_by_account_thread_words_and_facts(company: Live, teacher: str) -> None:
    await arrive(company, written(company, "我们计划采购录播设备。", message_id="<root@school.cn>"), 1)
    await arrive(company, written(company, "另外想问一下交期。", References="<root@school.cn>", subject="交期"), 2)
    await arrive(company, written(company, "x", sender="stranger@elsewhere.cn"), 3)
    stub = company.stub(MailServiceStub, "rep1", "rep")
    mails = (await stub.ListMails(pb.ListMailsRequest())).mails
    assert [mail.subject for mail in mails] == ["交期", "回复：报价"]
    assert {mail.text for mail in mails} == {""}
    assert len((await stub.ListMails(pb.ListMailsRequest(thread_id=mails[0].thread_id))).mails) == 2
    assert len((await stub.ListMails(pb.ListMailsRequest(query="录播"))).mails) == 1
    assert len((await stub.ListMails(pb.ListMailsRequest(fact_kind=pb.MAIL_FACT_KIND_NEW_PROJECT))).mails) == 1
    assert len((await stub.ListMails(pb.ListMailsRequest(contact_id=teacher))).mails) == 2
    assert (await company.stub(MailServiceStub, "rep2", "rep").ListMails(pb.ListMailsRequest())).mails == []
    full = await stub.GetMail(pb.GetMailRequest(id=mails[0].id))
    assert (full.text, full.language) == ("另外想问一下交期。", "zh")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.stub(MailServiceStub, "rep2", "rep").GetMail(pb.GetMailRequest(id=mails[0].id))
    with company.refused("NOT_FOUND", "MAIL_UNKNOWN"):
        await stub.GetMail(pb.GetMailRequest(id=request_id()))


async def test_what_is_no_mail_is_refused_or_set_aside(company: Live) -> None:
    stub = company.stub(MailServiceStub, "ops", "operations")
    with company.refused("INVALID_ARGUMENT", "MAIL_UNREADABLE"):
        await stub.IngestMail(pb.IngestMailRequest(request_id=request_id(), raw=b"nothing here", source="x"))
    await arrive(company, b"nothing here")
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(reason="MAIL_UNREADABLE"))).items
    retry = sources_pb2.QuarantineResolution(id=item.id, retry=True)
    summary = await operations.ResolveQuarantine(
        sources_pb2.ResolveQuarantineRequest(request_id=request_id(), rows=[retry])
    )
    assert [error.reason for error in summary.errors] == ["STILL_UNREADABLE"]
    discard = sources_pb2.QuarantineResolution(id=item.id, discard="广告")
    request = sources_pb2.ResolveQuarantineRequest(request_id=request_id(), rows=[discard, discard])
    summary = await operations.ResolveQuarantine(request)
    assert (summary.updated, [error.reason for error in summary.errors]) == (1, ["ITEM_UNKNOWN"])
    request.request_id = request_id()
    assert [e.reason for e in (await operations.ResolveQuarantine(request)).errors] == ["ITEM_RESOLVED", "ITEM_UNKNOWN"]


async def test_a_mail_nobody_foresaw_is_kept_or_set_aside_and_stops_no_other(
    company: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = company.stub(MailServiceStub, "ops", "operations")
    odd = (
        b"From: nul@school.cn\r\nDate: Mon, 5 Jan 2026 09:00:00 +0800\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
        b"--q\r\nContent-Type: text/plain; charset*=a\0b'en'utf-8\r\n\r\nhi\r\n"
        b"--q\r\nContent-Type: applica\0tion/pdf; name=a.pdf\r\n\r\nxx\r\n--q--\r\n"
    )
    await arrive(company, odd, 1)
    [kept] = (await stub.ListMails(pb.ListMailsRequest())).mails
    assert getattr(kept, "from").address == "nul@school.cn"

    def falls_over(reader: object, raw: bytes) -> None:
        raise IndexError

    with monkeypatch.context() as broken:
        broken.setattr(mime._Reader, "read", falls_over)
        await arrive(company, written(company, "你好"), 2)
        with company.refused("INVALID_ARGUMENT", "MAIL_UNREADABLE"):
            await stub.IngestMail(pb.IngestMailRequest(request_id=request_id(), raw=odd, source="x"))
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(reason="MAIL_UNREADABLE"))).items
    retry = sources_pb2.QuarantineResolution(id=item.id, retry=True)
    request = sources_pb2.ResolveQuarantineRequest(request_id=request_id(), rows=[retry])
    assert not (await operations.ResolveQuarantine(request)).errors


async def test_others_are_served_while_a_large_mail_is_read(company: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, served = threading.Event(), threading.Event()

    def slowly(raw: bytes) -> mime.Parsed:
        begun.set()
        assert served.wait(30), "nobody was served meanwhile"
        return mime.parse(raw)

    monkeypatch.setattr(intake, "parse", slowly)
    taken = asyncio.ensure_future(arrive(company, written(company, "你好。" * 10_000)))
    assert await asyncio.to_thread(begun.wait, 30)
    stub = company.stub(MailServiceStub, "ops", "operations")
    assert not (await stub.ListMails(pb.ListMailsRequest())).mails
    served.set()
    await taken
    assert len((await stub.ListMails(pb.ListMailsRequest())).mails) == 1


async def test_an_erased_person_leaves_no_mail_behind(company: Live, teacher: str) -> None:
    await arrive(company, written(company, "我已调任采购处。"))
    record = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_CONTACT, id=teacher)
    erased = customers.PersonErased(records=[record], erase_time=protos.timestamp(company.now))
    await company.hear(erased, teacher, source="customers")
    row = await company.db.one("SELECT from_address, subject, text, facts, recipients FROM mail")
    assert row == {"from_address": "", "subject": "", "text": "", "facts": [], "recipients": []}
