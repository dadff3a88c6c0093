"""Conversations by rows and by feeds: they grow, find their customer, and nothing comes twice (S68)."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import conversations_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1.conversations_pb2_grpc import ConversationServiceStub
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_integrations.conversations import wecom
from closedloop_integrations.conversations.growing import grown
from closedloop_integrations.conversations.rules import Recorded, Unreadable, Written

Known = Any


def call(live: Live, id: str, *people: dict[str, str], **given: Any) -> pb.Conversation:
    """A call of an hour ago that somebody of ours made."""
    usual: dict[str, Any] = {
        "kind": pb.CONVERSATION_KIND_CALL,
        "start_time": protos.timestamp(live.now - timedelta(hours=1)),
        "participants": people or [{"person_id": "rep1"}, {"address": "+86 138 0013 8000"}],
        "provenance": Provenance(source="phone_system", source_id=id),
    }
    return pb.Conversation(**{**usual, **given})


def with_words(said: pb.Conversation, *texts: str) -> pb.Conversation:
    for at, text in enumerate(texts):
        said.turns.add(participant=at % len(said.participants), offset=Duration(seconds=10 * at), text=text)
    return said


async def bring(live: Live, *rows: pb.Conversation, dry: bool = False) -> Any:
    stub = live.stub(ConversationServiceStub, "ops", "operations")
    request = pb.ImportConversationsRequest(request_id=str(uuid4()), rows=rows, validate_only=dry)
    return await stub.ImportConversations(request)


@pytest.mark.mission("S68")
async def test_a_record_grows_and_nothing_comes_twice(company: Live, known: Known) -> None:
    first = call(company, "C1")
    rung = call(company, "C1", answered=True, duration=Duration(seconds=90))
    words = with_words(call(company, "C1"), "您好，我是张三。", "你们比别家贵。")
    assert (await bring(company, first, dry=True)).created == 1
    assert not await company.told(events.ConversationReceived)
    counts = [(done.created, done.updated) for row in (first, words, rung) if (done := await bring(company, row))]
    assert counts == [(1, 0), (0, 1), (0, 1)]
    for late in (first, words, rung):
        assert (await bring(company, late, late)).unchanged == 2
    told = [each.conversation for each in await company.told(events.ConversationReceived)]
    assert [each.version for each in told] == [1, 2, 3]
    last = told[-1]
    assert (last.answered, last.duration.seconds, len(last.turns)) == (True, 90, 2)
    assert (last.ownership.owner_id, last.ownership.unit_id, last.account_id) == ("rep1", "east", "")

    nowhere = call(company, "C2")
    nowhere.ClearField("provenance")
    refused = await bring(
        company,
        nowhere,
        pb.Conversation(),
        call(company, "C3", initiator=2),
        call(company, "C4", {"person_id": "nobody"}),
        call(company, "C5", start_time=protos.timestamp(company.now + timedelta(days=1))),
        call(company, "C6"),
    )
    assert [error.reason for error in refused.errors] == [
        "PROVENANCE_MISSING",
        "ROW_INVALID",
        "PARTICIPANT_UNKNOWN",
        "PERSON_UNKNOWN",
        "TIME_IN_FUTURE",
    ]
    assert refused.created == 1


@pytest.mark.mission("S68")
async def test_whose_talk_it_was_is_found_by_number_or_said_and_it_is_told_again(company: Live, known: Known) -> None:
    await bring(company, call(company, "C1"), call(company, "C2", {"person_id": "rep1"}, {"source_user_id": "wm-li"}))
    # Talk among colleagues is nobody's business but theirs.
    await bring(company, call(company, "C3", {"person_id": "rep1"}, {"person_id": "m1"}))
    account = await known.account("济南市第三中学")
    contact = await known.contact("王老师", account, phones=["0086-138-0013-8000"])
    told = [each.conversation for each in await company.told(events.ConversationReceived)]
    assert [(each.provenance.source_id, each.version) for each in told] == [("C1", 1), ("C2", 1), ("C1", 2)]
    assert (told[2].account_id, told[2].participants[1].contact_id) == (account, contact)

    mine = company.stub(ConversationServiceStub, "rep1", "rep")
    listed = pb.ListConversationsRequest(unlinked=True, kind=pb.CONVERSATION_KIND_CALL)
    page = await mine.ListConversations(pb.ListConversationsRequest(page_size=2))
    rest = await mine.ListConversations(pb.ListConversationsRequest(page_size=2, page_token=page.next_page_token))
    assert {each.provenance.source_id for each in (*page.conversations, *rest.conversations)} == {"C1", "C2", "C3"}
    unlinked = {each.provenance.source_id: each for each in (await mine.ListConversations(listed)).conversations}
    assert set(unlinked) == {"C2", "C3"}

    deal = str(uuid4())
    link = pb.LinkConversationRequest(
        request_id=str(uuid4()), id=unlinked["C2"].id, etag=unlinked["C2"].etag, account_id=account,
        opportunity_id=deal, contact_id=contact,
    )  # fmt: skip
    stranger = company.stub(ConversationServiceStub, "rep2", "rep")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await stranger.LinkConversation(link)
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await stranger.GetConversation(pb.GetConversationRequest(id=link.id))
    other = await known.account("青岛二中", "rep2", "north")
    theirs = pb.LinkConversationRequest()
    theirs.CopyFrom(link)
    theirs.account_id, theirs.request_id = other, str(uuid4())
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await mine.LinkConversation(theirs)
    theirs.account_id, theirs.request_id = str(uuid4()), str(uuid4())
    with company.refused("NOT_FOUND", "ACCOUNT_UNKNOWN"):
        await mine.LinkConversation(theirs)
    wrong = await known.contact("李四", other)
    theirs.account_id, theirs.contact_id, theirs.request_id = account, wrong, str(uuid4())
    with company.refused("INVALID_ARGUMENT", "CONTACT_OF_ANOTHER"):
        await mine.LinkConversation(theirs)
    linked = await mine.LinkConversation(link)
    assert (linked.account_id, linked.opportunity_id, linked.version) == (account, deal, 2)
    assert linked.participants[1].contact_id == contact
    link.request_id = str(uuid4())
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await mine.LinkConversation(link)
    # What a person said outlives what comes later.
    grew = with_words(call(company, "C2", {"person_id": "rep1"}, {"source_user_id": "wm-li"}), "您好。", "再见。")
    assert (await bring(company, grew)).updated == 1
    last = (await company.told(events.ConversationReceived))[-1].conversation
    assert (last.account_id, last.opportunity_id, last.version) == (account, deal, 3)
    with company.refused("NOT_FOUND", "CONVERSATION_UNKNOWN"):
        await mine.GetConversation(pb.GetConversationRequest(id=str(uuid4())))


@pytest.mark.mission("S68")
async def test_who_is_erased_is_heard_no_more(company: Live, known: Known) -> None:
    account = await known.account("济南市第三中学")
    contact = await known.contact("王老师", account, "wang@school.cn")
    spoken = with_words(
        call(company, "C1", {"person_id": "rep1"}, {"address": "Wang@School.cn", "name": "王老师"}),
        "您好。",
        "我的电话是…",
    )
    await bring(company, spoken)
    gone = customers.PersonErased()
    gone.records.add(id=contact)
    await company.hear(gone, contact)
    assert (await bring(company, spoken)).unchanged == 1, "what is erased does not come back"
    mine = company.stub(ConversationServiceStub, "rep1", "rep")
    [listed] = (await mine.ListConversations(pb.ListConversationsRequest())).conversations
    bare = await mine.GetConversation(pb.GetConversationRequest(id=listed.id))
    assert [turn.text for turn in bare.turns] == ["", ""]
    assert (bare.participants[1].name, bare.participants[1].address) == ("", "")


@pytest.mark.mission("S68")
async def test_feeds_bring_records_and_the_archive_of_wecom(company: Live) -> None:
    row = json_format.MessageToDict(call(company, "F1"))
    await company.hear(events.FeedFetched(feed="conversations", items=[json.dumps(row), json.dumps({"kind": "x"})]))
    at = int((company.now - timedelta(hours=2)).timestamp() * 1000)
    text = {"action": "send", "msgtype": "text", "from": "wm-wang", "tolist": ["zhangsan"], "roomid": ""}
    archive = [
        {**text, "msgid": "1_external", "msgtime": at, "text": {"content": "报价收到了吗？"}},
        {
            **text,
            "msgid": "2",
            "from": "zhangsan",
            "tolist": ["wm-wang"],
            "msgtime": at + 9000,
            "text": {"content": "收到。"},
        },
        {**text, "msgid": "1_external", "msgtime": at, "text": {"content": "报价收到了吗？"}},
        {**text, "msgid": "3", "action": "recall"},
        {**text, "msgid": "4", "msgtype": "image", "msgtime": at},
        {**text, "msgid": "", "msgtime": at},
    ]
    await company.hear(events.FeedFetched(feed="wecom_archive", items=[json.dumps(each) for each in archive]))
    await company.advance(minutes=31)
    record, chat = [each.conversation for each in await company.told(events.ConversationReceived)]
    assert (record.provenance.source_id, chat.provenance.source) == ("F1", "wecom")
    assert [(turn.participant, turn.text) for turn in chat.turns] == [(0, "报价收到了吗？"), (1, "收到。")]
    found = await company.db.all("SELECT source, kind, reason FROM quarantine ORDER BY kind", {})
    assert [tuple(each.values()) for each in found] == [
        ("phone_system", "conversation", "ROW_INVALID"),
        ("wecom", "wecom_archive", "ITEM_UNREADABLE"),
    ]


def test_what_the_archive_tells() -> None:
    row: dict[str, Any] = {"action": "send", "msgid": "9", "from": "a", "tolist": ["b"], "msgtime": 1594197581203}
    meeting = wecom.archived(
        {**row, "msgtype": "meeting_voice_call", "voiceid": "v1", "meeting_voice_call": {"endtime": 1594197635}}
    )
    assert isinstance(meeting, Recorded)
    assert (meeting.kind, meeting.source_id, meeting.users) == ("meeting", "v1", (("a", ""), ("b", "")))
    assert meeting.length == timedelta(seconds=53, milliseconds=797)
    rung = wecom.archived({**row, "msgtype": "voiptext", "info": {"callduration": 10, "invitetype": 2}})
    assert isinstance(rung, Recorded)
    assert (rung.kind, rung.length) == ("call", timedelta(seconds=10))
    group = wecom.archived({**row, "msgtype": "text", "roomid": "r1", "text": {"content": "hi\0\ud800"}})
    assert isinstance(group, Written)
    assert (group.chat, group.text) == ("r1", "hi?")
    for broken in ({"msgid": ""}, {"msgtime": "x"}, {"msgtime": True}, {"from": None}, {"msgtime": 10**15}):
        with pytest.raises(Unreadable):
            wecom.archived({**row, "msgtype": "text", **broken})


turns = st.lists(st.text("好贵啊", max_size=3), max_size=2)
tellings = st.builds(
    lambda said, subject, seconds, answered, account: with_turns(said, subject, seconds, answered, account),
    turns, st.sampled_from(["", "报价", "方案"]), st.integers(0, 2), st.booleans(), st.sampled_from(["", "a", "b"]),
)  # fmt: skip


def with_turns(said: list[str], subject: str, seconds: int, answered: bool, account: str) -> pb.Conversation:
    made = pb.Conversation(kind=pb.CONVERSATION_KIND_CALL, participants=[{"name": "a"}], subject=subject)
    for text in said:
        made.turns.add(text=text)
    if seconds:
        made.duration.seconds = seconds
    made.answered, made.account_id = answered, account
    return made


@given(st.lists(tellings, min_size=1, max_size=3))
def test_the_order_of_tellings_does_not_matter_and_repeating_changes_nothing(told: list[pb.Conversation]) -> None:
    ends = []
    for order in permutations(told):
        end = order[0]
        for each in (*order, *order):
            end = grown(end, each)
        ends.append(end)
    assert all(end == ends[0] for end in ends)
