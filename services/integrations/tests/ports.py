"""The ports to outside systems, each with the simulator that stands in for the system: what one side gives, the other gets.

A port is one class: it starts its simulator, exchanges something over the wire through the adapter that the courier or
the api uses, and knows what a wrong key, an absent server and too fast a caller look like there.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import quote

from closedloop.integrations.v1 import erp_pb2, tickets_pb2
from closedloop_chassis import errors, protos
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.parts import Request
from closedloop_devstack.simulators import vouchers
from closedloop_devstack.simulators.callbacks import Dingtalk, Platform, Posted, Wecom
from closedloop_devstack.simulators.chat import ChatRobots
from closedloop_devstack.simulators.erp import ErpServer
from closedloop_devstack.simulators.erp_records import SaleDocument, SaleLine
from closedloop_devstack.simulators.mail import MailServer
from closedloop_devstack.simulators.meetings import WecomMeetings
from closedloop_devstack.simulators.poster import Poster
from closedloop_devstack.simulators.procurement import ProcurementSite
from closedloop_devstack.simulators.sms import SmsPlatform
from closedloop_integrations import feeds, posted
from closedloop_integrations.conversations import dingtalk, envelope, meetings, wecom
from closedloop_integrations.conversations.envelope import Keys
from closedloop_integrations.conversations.rules import ConversationRules, Recorded, TalkEvent, Written
from closedloop_integrations.deliveries.chat import DingtalkRobots, WecomRobots
from closedloop_integrations.deliveries.gateway import Gateway, Letter, Receipt
from closedloop_integrations.deliveries.rules import SmsTemplate
from closedloop_integrations.deliveries.sms import AliyunSms, SmsAccess
from closedloop_integrations.deliveries.smtp import SmtpGateway
from closedloop_integrations.erp import files, u8
from closedloop_integrations.erp.poller import U8, Token
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.feeds import FeedRules
from closedloop_integrations.mail import mime
from closedloop_integrations.mail.imap import ImapMailbox
from closedloop_integrations.outbound import Outbound, OutsideError
from closedloop_integrations.procurement.site import NoticeDetail, decode, parse_detail, parse_list
from closedloop_integrations.procurement.words import PageWords
from closedloop_integrations.settings import DingtalkRobot, Outside
from closedloop_integrations.sources.rules import PollRules

LIMITS = PollRules(timeout_seconds=30, pause_seconds=0)
NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
OURS, TEXT = "sales@closedloop.test", "您好，新品已上市 & 请查收。"
AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"


class Port(ABC):
    """`name` as docs/outside-systems.md lists it. `keyed`: there is a secret to get wrong. `paced`: it says "too fast"."""

    name: str
    keyed = paced = True
    system: Any

    @abstractmethod
    def simulator(self) -> AbstractContextManager[Any] | None:
        """None where nothing listens: files, and those who call us."""

    @abstractmethod
    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        """What was given on one side and what was got on the other; with a wrong key where not `right`."""

    def hurry(self) -> Receipt:
        """Once more than the other side bears. Raises SlowDownError where nothing else says it."""
        raise NotImplementedError


class ProcurementList(Port):
    name, keyed = "procurement list", False
    # Old sites name their charset in the page alone, and one row in the middle is broken.
    charset, malformed = "utf-8", False

    def simulator(self) -> ProcurementSite:
        site = ProcurementSite(limit=0, seed=3)
        site.faults = type(site.faults)(charset=self.charset, malformed=self.malformed)
        site.fill(45, NOW)
        return site

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        fields = ("id", "title", "buyer", "published", "agency", "kind", "region")
        given = [tuple(getattr(notice, name) for name in fields) for notice in self.system.notices]
        got, url, broken = [], f"{self.system.url}/search?kw=&page=1&since=2020-01-01", []
        with Outbound(self.system.url, LIMITS.timeout_seconds, LIMITS.max_bytes) as client:
            while url:
                answer = client.get(url)
                page = parse_list(decode(answer.content, answer.headers["content-type"]), url, PageWords())
                got += [tuple(getattr(row, name) for name in fields) for row in page.rows]
                broken += [one.reason for one in page.quarantined]
                url = page.next_url
                assert page.total == len(given)
        assert broken == ["LINK_MISSING"] * (3 if self.malformed else 0)
        return given, got

    def hurry(self) -> Receipt:
        self.system._window.limit = 1
        with Outbound(self.system.url, LIMITS.timeout_seconds, LIMITS.max_bytes) as client:
            answers = [client.get(f"{self.system.url}/search") for _ in range(2)]
        assert answers[-1].status == 429
        return Receipt("deferred", "429", retry_after=answers[-1].retry_after)


class OldProcurementList(ProcurementList):
    name, charset, malformed = "procurement list, old", "gb18030", True


class ProcurementNotice(ProcurementList):
    name = "procurement notice"

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        fields = ("id", "title", "buyer", "published", "agency", "kind", "region", "body")
        given, got = [], []
        with Outbound(self.system.url, LIMITS.timeout_seconds, LIMITS.max_bytes) as client:
            for notice in self.system.notices[:5]:
                answer = client.get(url := self.system.notice_url(notice))
                read = parse_detail(decode(answer.content, answer.headers["content-type"]), url, PageWords())
                assert isinstance(read, NoticeDetail), read
                fen = int(Decimal(notice.amount.removesuffix("万元")) * 1_000_000)
                given.append((*(getattr(notice, name) for name in fields), fen))
                got.append((*(getattr(read, name) for name in fields), read.amount_minor))
        return given, got


class Imap(Port):
    name, paced = "IMAP", False

    def simulator(self) -> MailServer:
        return MailServer()

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        raw = "From: a@school.cn\r\nTo: x\r\nSubject: 你好\r\n\r\n我已调任。\r\n".encode("gb18030")
        login = f"{quote(OURS, safe='')}:{'closedloop' if right else 'other'}@127.0.0.1:{self.system.imap_port}"
        with ImapMailbox(f"imap://{login}/INBOX", LIMITS) as mailbox:
            seen = max((each.uid for each in mailbox.after(0)), default=0)
            self.system.deliver(raw, OURS)
            [waiting] = mailbox.after(seen)
            content, arrived = mailbox.fetch(waiting.uid)
        assert arrived is not None
        assert waiting.size == len(raw)
        [*_, kept] = self.system.mailbox(OURS).messages
        assert not kept.flags, "reading leaves no trace"
        return raw, content


class Sending(Port):
    """Ways out: a letter given to the gateway is what people read."""

    address = ""

    def letter(self) -> Letter:
        return Letter(
            "d1", self.address, "default", "王老师", "张三", "新品", TEXT, "<d1@closedloop.test>", "", "", "service"
        )

    @abstractmethod
    def gateway(self, key: str) -> Gateway: ...

    @abstractmethod
    def read(self) -> str: ...

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        with self.gateway("right" if right else "wrong") as gateway:
            receipt = gateway.send(self.letter())
        if receipt.outcome != "accepted":
            raise OutsideError(receipt.outcome)
        return TEXT, self.read()

    def hurry(self) -> Receipt:
        self.system._window.limit = 1
        with self.gateway("right") as gateway:
            gateway.send(self.letter())
            return gateway.send(self.letter())


class Smtp(Sending):
    name, address = "SMTP", "wang@school.cn"

    def simulator(self) -> MailServer:
        return MailServer()

    def gateway(self, key: str) -> SmtpGateway:
        password = "closedloop" if key == "right" else "other"
        url = f"smtp://{quote(OURS, safe='')}:{password}@127.0.0.1:{self.system.port}"
        return SmtpGateway(url, f"Ours <{OURS}>", LIMITS, NOW)

    def read(self) -> str:
        [*_, message] = self.system.mailbox(self.address).messages
        assert (message.subject, message.message["message-id"]) == ("新品", "<d1@closedloop.test>")
        return str(message.text).strip()

    def hurry(self) -> Receipt:
        self.system.deferrals = 1
        with self.gateway("right") as gateway:
            return gateway.send(self.letter())


class Sms(Sending):
    name, address = "SMS", "+8613812345678"

    def simulator(self) -> SmsPlatform:
        return SmsPlatform()

    def gateway(self, key: str) -> AliyunSms:
        system, secret = self.system, self.system.key_secret if key == "right" else "other"
        access = SmsAccess(system.url, system.key_id, secret, system.sign)
        return AliyunSms(access, {"service": SmsTemplate(code="SMS_1")}, LIMITS)

    def read(self) -> str:
        message = self.system.messages[-1]
        assert (message.number, message.out_id) == (self.address, "d1")
        return str(message.text).removeprefix("【闭环】").removesuffix("。退订回TD")


class WecomRobot(Sending):
    name, address = "WeCom robot", "zhangsan"

    def simulator(self) -> ChatRobots:
        return ChatRobots()

    def gateway(self, key: str) -> WecomRobots | DingtalkRobots:
        return WecomRobots({"default": self.system.wecom_url("demo-key" if key == "right" else "other")}, LIMITS)

    def read(self) -> str:
        message = self.system.messages[-1]
        assert message.mentions == (self.address,)
        return str(message.text).removeprefix("新品\n")


class DingtalkRobotPort(WecomRobot):
    name = "DingTalk robot"

    def gateway(self, key: str) -> WecomRobots | DingtalkRobots:
        secret = "SEC-demo" if key == "right" else "SEC-other"
        robot = DingtalkRobot.model_validate({"url": self.system.dingtalk_url(), "secret": secret})
        return DingtalkRobots({"default": robot}, LIMITS)


class ErpHttp(Port):
    name, paced = "ERP over HTTP", False

    def simulator(self) -> ErpServer:
        return ErpServer(clock=lambda: NOW)

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        line = SaleLine(cinvcode="B86", cinvname="智慧黑板", iquantity=Decimal(3), itaxunitprice=Decimal("9999.99"))
        invoice = SaleDocument(ccuscode="C001", ccusname="济南 三中", entry=(line,), ddate=date(2026, 1, 5))
        for _ in range(3):
            self.system.put("saleinvoice", invoice)
        where = Outside(
            erp_url=self.system.url, erp_app_key="demo-key", erp_app_secret="demo-secret" if right else "other"
        )
        with Outbound(self.system.url, LIMITS.timeout_seconds, LIMITS.max_bytes) as client:
            pages = [page.records for page in U8(client, where, Token(), LIMITS).pages("saleinvoice", "", 2, 1)]
        records = list(chain.from_iterable(pages))
        read = [u8.read(json.dumps(record), "saleinvoice", "erp", ErpRules()) for record in records]
        rows = [document.row for document in read if isinstance(document, u8.Document)]
        assert {row.account_code for row in rows} == {"C001"}
        fen = [protos.minor_units(row.invoice.lines[0].net_amount) for row in rows]
        known = self.system.tables["saleinvoice"]
        return dict.fromkeys(known, 2654865), dict(zip((row.number for row in rows), fen, strict=True))


class VoucherText(Port):
    name, keyed, paced = "ERP voucher text", False, False

    def simulator(self) -> None:
        return None

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        day = date(2026, 1, 5)
        entries = [
            vouchers.Entry(day, 1, "销售，三块", "1122", debit=Decimal("113.00"), department="east", customer="C001"),
            vouchers.Entry(day, 1, "销售", "6001", credit=Decimal("100.00"), department="east"),
            vouchers.Entry(day, 1, "销项税", "22210105", credit=Decimal("13.00"), department="east"),
        ]
        [kept] = files.vouchers(vouchers.render(entries).decode("gb18030"), ErpRules())
        row = files.voucher(kept.lines, "erp", ErpRules()).row
        assert (row.number, protos.day(row.date), row.unit_code) == ("记-1", day, "east")
        assert row.voucher.entries[0].dimensions["customer"] == "C001"
        return [_printed(entry) for entry in entries], [_booked(entry) for entry in row.voucher.entries]


def _printed(entry: vouchers.Entry) -> tuple[str, str, Decimal]:
    return entry.summary, entry.account, entry.debit - entry.credit


def _booked(entry: erp_pb2.VoucherEntry) -> tuple[str, str, Decimal]:
    fen = protos.minor_units(entry.debit) if entry.HasField("debit") else -protos.minor_units(entry.credit)
    return entry.summary, entry.ledger_account, Decimal(fen) / 100


class WecomCallback(Port):
    name, paced = "WeCom callback", False
    platform: type[Wecom | Dingtalk] = Wecom

    def simulator(self) -> None:
        return None

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        """There and back: they seal and we open, we seal and they open."""
        theirs: Platform = self.platform("token", AES_KEY, "corp1")
        ours = Keys("token" if right else "other", AES_KEY, "corp1")
        assert theirs.unseal(envelope.sealed(ours, TEXT)) == (TEXT, "corp1")
        posted = self.posted(self.platform("token", AES_KEY, "corp1"))
        sealed = self.sealed(posted.body.decode())
        given = posted.query.get("msg_signature") or posted.query["signature"]
        if not envelope.signed(ours, given, posted.query["timestamp"], posted.query["nonce"], sealed):
            raise OutsideError("SIGNATURE_WRONG")
        return self.told(envelope.opened(ours, sealed))

    def posted(self, theirs: Platform) -> Posted:
        return theirs.written("zhang", TEXT, time.time(), "7")

    def sealed(self, body: str) -> str:
        return str(wecom.fields(body)["Encrypt"])

    def told(self, message: str) -> tuple[object, object]:
        heard = wecom.called_back(message, ConversationRules())
        assert isinstance(heard, Written)
        return ("zhang", "7", TEXT), (heard.sender, heard.id, heard.text)


class DingtalkCallback(WecomCallback):
    """Events. What people write to a robot takes the other way."""

    name, platform = "DingTalk callback", Dingtalk
    rules = ConversationRules(
        events={"dingtalk": {"call_end": TalkEvent(kind="call", id="CallId", begin="At", people=("By",))}}
    )

    def posted(self, theirs: Platform) -> Posted:
        return theirs.event("call_end", time.time(), CallId="7", At=int(NOW.timestamp()), By="zhang")

    def sealed(self, body: str) -> str:
        return str(json.loads(body)["encrypt"])

    def told(self, message: str) -> tuple[object, object]:
        heard = dingtalk.called_back(message, self.rules)
        assert isinstance(heard, Recorded)
        return ("zhang", "7", NOW), (heard.users[0][0], heard.source_id, heard.started_at)


class DingtalkRobotCallback(Port):
    name, paced = "DingTalk robot callback", False

    def simulator(self) -> None:
        return None

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        posted = Dingtalk("token", AES_KEY, "corp1", "secret").written("zhang", TEXT, time.time(), "7")
        secret = "secret" if right else "other"
        if not dingtalk.signed(secret, posted.headers["timestamp"], posted.headers["sign"]):
            raise OutsideError("SIGNATURE_WRONG")
        heard = dingtalk.called_back(posted.body.decode(), ConversationRules())
        assert isinstance(heard, Written)
        return ("zhang", "7", TEXT), (heard.sender, heard.id, heard.text)


class PostedFeed(Port):
    """What is posted arrives as it is: an item as the system wrote it, which the api reads by the contract."""

    name, paced = "posted feed", False
    at = NOW.isoformat()
    item: ClassVar[dict[str, str]] = {"number": "T1", "title": TEXT, "state": "TICKET_STATE_OPEN", "openTime": at}
    body = json.dumps([{**item, "updateTime": at}], ensure_ascii=False).encode()
    content_type = "application/json"

    def simulator(self) -> None:
        return None

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        call = Poster("whsec_MDEyMzQ1Njc4OWFiY2RlZg==").post(self.body, "m1", self.content_type)
        secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==" if right else "whsec_b3RoZXI="
        request = Request(call.method, "/hooks/x", call.headers, call.query, call.body)
        try:
            signatures.check(secret, request, time.time(), 300)
        except errors.Unauthenticated as error:
            raise OutsideError(error.reason) from error
        return self.read(request.body)

    def read(self, body: bytes) -> tuple[object, object]:
        rows, broken = posted.read(feeds.items(body, FeedRules()), tickets_pb2.Ticket, lambda _: None)
        assert not broken, broken
        return ("T1", TEXT), (rows[0][1].number, rows[0][1].title)


class PostedMail(PostedFeed):
    name, content_type = "posted mail", "message/rfc822"
    body = "From: a@school.cn\r\nTo: x\r\nSubject: 您好\r\n\r\n我已调任。\r\n".encode("gb18030")

    def read(self, body: bytes) -> tuple[object, object]:
        return ("a@school.cn", "我已调任。"), (mime.parse(body).sender.address, mime.parse(body).text.strip())


class WecomMeeting(Port):
    name, paced = "WeCom meetings", False

    def simulator(self) -> WecomMeetings:
        return WecomMeetings()

    def exchange(self, *, right: bool = True) -> tuple[object, object]:
        at = int(NOW.timestamp())
        member = {"userid": "zhangsan", "first_join_time": at + 60, "last_quit_time": at + 1800}
        told = {"title": "方案讨论", "meeting_start": at, "status": 3, "attendees": {"member": [member]}}
        self.system.meetings["M1"] = told
        self.system.expire()
        with Outbound(self.system.url, LIMITS.timeout_seconds, LIMITS.max_bytes) as client:
            wecom_ = meetings.WecomApi(client, self.system.url, "corp1", "secret" if right else "other", 30)
            found = wecom.held({**wecom_.meeting("M1"), "meetingid": "M1"})
        return ("方案讨论", 1740, "zhangsan"), (found.subject, found.length and found.length.seconds, found.users[0][0])


PORTS: tuple[type[Port], ...] = (
    ProcurementList,
    OldProcurementList,
    ProcurementNotice,
    Imap,
    Smtp,
    ErpHttp,
    VoucherText,
    WecomCallback,
    DingtalkCallback,
    DingtalkRobotCallback,
    PostedFeed,
    PostedMail,
    WecomMeeting,
    WecomRobot,
    DingtalkRobotPort,
    Sms,
)
