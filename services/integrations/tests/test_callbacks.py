"""WeCom and DingTalk call back: known answers of their documentation, one suite for both, and whatever is forged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from closedloop.integrations.v1 import conversations_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import sources_pb2
from closedloop.integrations.v1.conversations_pb2_grpc import ConversationServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_chassis import errors
from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_chassis.rulebook.shelf import Edition
from closedloop_devstack.simulators.callbacks import Dingtalk, Posted, Wecom
from closedloop_devstack.simulators.meetings import WecomMeetings
from closedloop_devstack.testing.service import Live
from closedloop_integrations import settings
from closedloop_integrations.conversations import callbacks, meetings, wecom
from closedloop_integrations.conversations.rules import ConversationRules, TalkEvent

Outside = Callable[..., None]
Platform = Wecom | Dingtalk
AES_KEY, OTHER_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><xml><Encrypt>&a;</Encrypt></xml>', "CALLBACK_UNSAFE"),
        ('<!DOCTYPE xml SYSTEM "http://127.0.0.1/x"><xml/>', "CALLBACK_UNSAFE"),
        ("<xml>" + "<a>" * 50 + "</a>" * 50 + "</xml>", "CALLBACK_UNREADABLE"),
        ("<xml><Encrypt>", "CALLBACK_UNREADABLE"),
        ("", "CALLBACK_UNREADABLE"),
        ("{}", "CALLBACK_UNREADABLE"),
    ],
)
def test_xml_without_entities(xml: str, reason: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        wecom.fields(xml)
    assert refused.value.reason == reason


Call = Callable[..., Response]


@pytest.fixture(params=[Wecom, Dingtalk], ids=["wecom", "dingtalk"])
def platform(request: pytest.FixtureRequest) -> Platform:
    made: Platform = request.param("token", AES_KEY, "corp1")
    return made


@pytest.fixture
def call(company: Live, outside: Outside, platform: Platform) -> Iterator[Call]:
    """`call(posted)` brings it to the courier's address of the application "sales"."""
    outside(callbacks=json.dumps(keys(platform)))
    connections = pool(company.process.settings, "integrations")
    desk = Desk("integrations", company.process.settings, connections)

    def bring(posted: Posted, application: str = "sales") -> Response:
        receive = callbacks.from_wecom if platform.source == "wecom" else callbacks.from_dingtalk
        path = f"/hooks/{platform.source}/{application}"
        values = {"application": application}
        return receive(desk, Request(posted.method, path, posted.headers, posted.query, posted.body, values))

    yield bring
    connections.close(timeout=1)


def keys(*platforms: Platform) -> dict[str, Any]:
    told = [{"token": each.token, "aes_key": each.aes_key, "receiver": each.receiver} for each in platforms]
    robots = [{"app_secret": each.app_secret} for each in platforms if each.source == "dingtalk"]
    return {platforms[0].source: {"sales": [*told, *robots]}}


def sealed(platform: Platform, text: str) -> Posted:
    """What comes in an envelope: with WeCom everything, with DingTalk events."""
    return (
        platform.written("z", text, 1) if platform.source == "wecom" else platform.event("change_contact", 1, Text=text)
    )


def refused(call: Call, posted: Posted, *application: str) -> str:
    with pytest.raises(errors.DomainError) as raised:
        call(posted, *application)
    return raised.value.reason


@pytest.mark.mission("S68")
async def test_an_address_is_proved_and_what_is_forged_is_refused(
    company: Live, platform: Platform, call: Call, outside: Outside
) -> None:
    answer = call(asked := platform.verification())
    assert platform.verified(answer.status, answer.body)
    assert call(asked).status == 200, "asked again it is proved again"

    posted = sealed(platform, "您好")
    name = "msg_signature" if platform.source == "wecom" else "signature"
    assert refused(call, posted.but(**{name: "0" * 40})) == "SIGNATURE_WRONG"
    assert refused(call, posted.but(**{name: ""})) == "SIGNATURE_WRONG"
    assert refused(call, posted.but(nonce="other")) == "SIGNATURE_WRONG"
    other = sealed(platform, "别的话")
    assert refused(call, posted.but(other.body)) == "SIGNATURE_WRONG"
    for stamp in ("", "0", "-1", "٣", "9" * 30, str(int(posted.query["timestamp"]) // 2)):
        assert refused(call, posted.but(timestamp=stamp)) == "SIGNATURE_EXPIRED"
    kind = type(platform)
    assert refused(call, sealed(kind("token", AES_KEY, "corp2"), "x")) == "RECEIVER_WRONG"
    assert refused(call, sealed(kind("guessed", AES_KEY, "corp1"), "x")) == "SIGNATURE_WRONG"
    assert refused(call, sealed(kind("token", OTHER_KEY, "corp1"), "x")) == "CALLBACK_UNREADABLE"
    for ahead in (-301.0, 301.0):
        assert refused(call, sealed(kind("token", AES_KEY, "corp1", ahead=ahead), "x")) == "SIGNATURE_EXPIRED"
    assert refused(call, sealed(platform, "长" * 90_000)) == "CALLBACK_TOO_LARGE"
    if isinstance(platform, Dingtalk):
        forged_at_the_robot(call, platform)
    else:
        for body in (b"<Encrypt>a</Encrypt><Encrypt>b</Encrypt>", b"<Encrypt><a>1</a></Encrypt>"):
            assert refused(call, posted.but(b"<xml>" + body + b"</xml>")) == "CALLBACK_UNREADABLE"
    assert refused(call, posted.but(b"\xff\xfe")) == "CALLBACK_UNREADABLE"
    assert refused(call, posted, "unknown") == "WEBHOOK_NOT_CONFIGURED"
    await company.settle()
    assert not await company.told(events.ConversationReceived)


def forged_at_the_robot(call: Call, platform: Dingtalk) -> None:
    """Its messages are plain, signed by their headers with the application's secret, and good for an hour."""
    said = platform.written("zhang", "您好", 1)
    assert refused(call, said.headed(sign="")) == "SIGNATURE_WRONG"
    assert refused(call, said.headed(sign="签")) == "SIGNATURE_WRONG"
    assert refused(call, said.headed(timestamp=str(int(said.headers["timestamp"]) + 1))) == "SIGNATURE_WRONG"
    assert refused(call, Dingtalk("token", AES_KEY, "corp1", "guessed").written("z", "x", 1)) == "SIGNATURE_WRONG"
    for ahead in (-3601.0, 3601.0):
        late = Dingtalk("token", AES_KEY, "corp1", ahead=ahead).written("z", "x", 1)
        assert refused(call, late) == "SIGNATURE_EXPIRED"
    for stamp in ("", "-1", "٣", "9" * 30):
        assert refused(call, said.headed(timestamp=stamp)) == "SIGNATURE_EXPIRED"
    # A header that was overheard opens nothing else within its hour: what is told in envelopes is believed of envelopes alone.
    event = json.dumps({"EventType": "meeting_end", "MeetingId": "M1"}).encode()
    for body in (event, platform.event("meeting_end", 1).body, b"[]", b"{", b"\xff\xfe", b"[" * 100_000):
        reason = refused(call, said.but(body)) if b"encrypt" not in body else "CALLBACK_UNREADABLE"
        assert reason == "CALLBACK_UNREADABLE"
    assert refused(call, platform.written("z", "长" * 90_000, 1)) == "CALLBACK_TOO_LARGE"
    assert refused(call, said, "unknown") == "WEBHOOK_NOT_CONFIGURED"


@pytest.mark.mission("S68")
async def test_keys_are_exchanged_while_it_runs(
    company: Live,
    platform: Platform,
    call: Call,
    outside: Outside,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, file = type(platform), tmp_path / "closedloop_integrations_callbacks"
    monkeypatch.setattr(settings, "LOOK_SECONDS", 0.0)
    monkeypatch.delenv("CLOSEDLOOP_INTEGRATIONS_CALLBACKS")
    outside(secrets=str(tmp_path))
    old, new = platform, kind("token2", OTHER_KEY, "corp1", "app-secret-2")
    assert refused(call, old.verification()) == "WEBHOOK_NOT_CONFIGURED"
    for listed, held, gone in (([old], [old], [new]), ([new, old], [new, old], []), ([new], [new], [old])):
        file.write_text(json.dumps(keys(*listed), indent=len(listed)))
        for each in held:
            answer = call(each.verification())
            assert each.verified(answer.status, answer.body)
            answer = call(each.written("zhang", "您好", company.now.timestamp()))
            assert each.content(answer.status, answer.body)
        for each in gone:
            assert refused(call, each.verification()) == "SIGNATURE_WRONG"
            assert refused(call, each.written("zhang", "您好", 1)) == "SIGNATURE_WRONG"
    file.write_text("{half")
    assert call(new.verification()).status == 200, "a file that is being written takes nothing away"


@pytest.mark.mission("S68")
async def test_a_chat_is_one_conversation_in_whatever_order_it_comes(
    company: Live, platform: Platform, call: Call, known: Any
) -> None:
    at = company.now.timestamp()
    posted = [
        platform.written("customer", "你们的报价比别家贵。", at + 5, "m2"),
        platform.written("customer", "您好，想了解智慧黑板。", at, "m1"),
        platform.written("customer", "先这样，再联系。", at + 60, "m3"),
    ]
    for each in (*posted, posted[0], platform.written("customer", "先这样，再联系。", at + 60, "m3")):
        answer = call(each)
        assert platform.content(answer.status, answer.body)
        await company.settle()
    assert not await company.told(events.ConversationReceived), "it still goes on"
    await company.advance(minutes=31)
    [told] = await company.told(events.ConversationReceived)
    talk = told.conversation
    assert [turn.text for turn in talk.turns] == ["您好，想了解智慧黑板。", "你们的报价比别家贵。", "先这样，再联系。"]
    assert [turn.offset.seconds for turn in talk.turns] == [0, 5, 60]
    assert (talk.kind, talk.version, talk.account_id) == (pb.CONVERSATION_KIND_CHAT, 1, "")
    assert (talk.provenance.source, talk.participants[0].source_user_id) == (platform.source, "customer")

    call(platform.written("customer", "下午再谈。", at + 1860, "m4"))
    await company.settle()
    await company.advance(hours=2)
    [_, later] = await company.told(events.ConversationReceived)
    assert (later.conversation.version, [turn.text for turn in later.conversation.turns]) == (1, ["下午再谈。"])
    for each in posted:
        call(each)
    await company.settle()
    await company.advance(hours=2)
    assert len(await company.told(events.ConversationReceived)) == 2, "what was read is not read again"


@pytest.mark.mission("S68")
async def test_events_the_rulebook_knows_are_talk_and_the_rest_is_acknowledged(
    company: Live, platform: Platform, call: Call, known: Any
) -> None:
    shape = TalkEvent(
        kind="meeting", id="MeetingId", begin="Begin", end="End", people=("Host", "Members"), subject="Title"
    )
    await rules(company, {"events": {platform.source: {"meeting_end": shape.model_dump()}}})
    account = await known.account("济南市第三中学")
    contact = await known.contact("王老师", account, wechat_id="wm-wang")
    await handle(company, "rep1", platform.source, "zhangsan")
    at = company.now.timestamp()
    told = {"MeetingId": "M1", "Begin": int(at - 3600), "End": int(at - 60), "Host": "zhangsan", "Members": "wm-wang"}
    for event in (
        platform.event("meeting_end", at, **told, Title="方案讨论"),
        platform.event("change_contact", at, UserID="x"),
        platform.event("meeting_end", at, **{**told, "MeetingId": ""}),
        platform.event(
            "meeting_end", at, **{**told, "MeetingId": "M2", "Begin": int(at + 7200), "End": int(at + 7300)}
        ),
    ):
        answer = call(event)
        assert platform.content(answer.status, answer.body)
    await company.settle()
    [received] = await company.told(events.ConversationReceived)
    talk = received.conversation
    assert (talk.kind, talk.subject, talk.duration.seconds) == (pb.CONVERSATION_KIND_MEETING, "方案讨论", 3540)
    assert (talk.account_id, talk.ownership.owner_id) == (account, "rep1")
    assert [(each.person_id, each.contact_id) for each in talk.participants] == [("rep1", ""), ("", contact)]
    operations = company.stub(SourceServiceStub, "ops", "operations")
    request = sources_pb2.ListQuarantineRequest(source=platform.source)
    assert {item.message for item in (await operations.ListQuarantine(request)).items} == {
        "an event without id, begin or people",
        "it has not begun yet",
    }
    mine = company.stub(ConversationServiceStub, "rep1", "rep")
    [listed] = (await mine.ListConversations(pb.ListConversationsRequest(contact_id=contact))).conversations
    assert listed.id == talk.id


@pytest.mark.mission("S68")
async def test_a_meeting_that_wecom_names_is_asked_for_until_it_has_ended(
    company: Live, outside: Outside, known: Any
) -> None:
    wecom_ = Wecom("token", AES_KEY, "corp1")
    account = await known.account("济南市第三中学")
    guest = await known.contact("王老师", account, wechat_id="wo-wang")
    await handle(company, "rep1", "wecom", "zhangsan")
    at = int(company.now.timestamp())

    def joined(name: str, user: str, first: int, last: int) -> dict[str, Any]:
        return {name: user, "first_join_time": first, "last_quit_time": last}

    members = [joined("userid", "lisi", 0, 0), joined("userid", "zhangsan", at + 60, at + 1800)]
    guests = [joined("tmp_external_userid", "wo-wang", at + 90, at + 1700)]
    meeting = {
        "admin_userid": "zhangsan",
        "title": "方案讨论",
        "meeting_start": at,
        "meeting_duration": 1800,
        "status": 1,
    }
    meeting["attendees"] = {"member": members, "tmp_external_user": guests}
    connections = pool(company.process.settings, "integrations")
    desk = StillDesk("integrations", company.process.settings, connections)
    desk.live = company
    with WecomMeetings() as platform:
        outside(
            callbacks=json.dumps(keys(wecom_)), wecom_api_url=platform.url, wecom_corp_id="corp1", wecom_secret="secret"
        )
        platform.meetings["M1"] = meeting

        async def called(id: str) -> None:
            posted = wecom_.event("meeting_change", at, ChangeType="modify_meeting", MeetingId=id)
            request = Request("POST", "/hooks/wecom/sales", {}, posted.query, posted.body, {"application": "sales"})
            assert callbacks.from_wecom(desk, request).status == 200
            await company.settle()

        async def poll() -> None:
            await asyncio.to_thread(meetings.poll, desk)
            await company.settle()

        # One it does not tell of, whyever, keeps none behind it.
        platform.meetings["M0"] = {"errcode": 60111}
        await called("M0")
        await called("M1")
        await called("gone")
        await poll()
        assert platform.asked[0] == "M0"
        assert sorted(platform.asked) == ["M0", "M1", "gone"]
        assert not await company.db.value("SELECT failures FROM source WHERE name = 'wecom_meetings'")
        del platform.meetings["M0"]
        await company.advance(minutes=20)
        await poll()
        assert platform.asked.count("M1") == 1, "it is not over yet"
        platform.meetings["M1"] = {**meeting, "status": 3}
        platform.expire()
        await company.advance(minutes=20)
        await poll()
        await called("M1")
        await company.advance(minutes=1)
        await poll()
    connections.close(timeout=1)
    [told] = await company.told(events.ConversationReceived)
    talk = told.conversation
    assert (talk.kind, talk.subject, talk.duration.seconds) == (pb.CONVERSATION_KIND_MEETING, "方案讨论", 1740)
    assert (talk.account_id, talk.ownership.owner_id, talk.version) == (account, "rep1", 1)
    assert [(each.person_id, each.contact_id) for each in talk.participants] == [("rep1", ""), ("", guest)]
    assert not await company.db.all("SELECT id FROM meeting_wanted", {})


class StillDesk(Desk):
    """A desk whose time is the test's."""

    live: Live

    def now(self) -> datetime:
        return self.live.now


async def rules(live: Live, body: dict[str, Any]) -> None:
    name, shelf = ConversationRules.rulebook, live.process.rulebooks
    whole = shelf.edition(name, live.now).body | body
    tx = live.process.database.transaction()
    edition = Edition(name, shelf.edition(name, live.now).version, live.now, whole, "ops", "test", live.now)
    await shelf.publish(tx, edition)
    await tx.commit()
    await live.process.look()


async def handle(live: Live, person: str, platform: str, name: str) -> None:
    tx = live.process.database.transaction()
    tx.do(
        "UPDATE org_person SET handles = jsonb_build_object(%(platform)s::text, %(name)s::text) WHERE id = %(id)s",
        {"id": person, "platform": platform, "name": name},
    )
    tx.do("UPDATE memory_revision SET value = value + 1 WHERE name = 'org'")
    await tx.commit()
    await live.process.look()
