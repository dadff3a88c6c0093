"""Tickets by rows and by signed webhook: whatever comes twice, late or out of order changes nothing."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf import json_format

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import behaviours_pb2, conversations_pb2, sources_pb2
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import tickets_pb2 as pb
from closedloop.integrations.v1.behaviours_pb2_grpc import BehaviourServiceStub
from closedloop.integrations.v1.conversations_pb2_grpc import ConversationServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop.integrations.v1.tickets_pb2_grpc import TicketServiceStub
from closedloop_chassis import errors, protos
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_devstack.testing.service import Live
from closedloop_integrations import feeds
from closedloop_integrations.feeds import FeedRules

Known = Any


def ticket(live: Live, number: str, minutes: int = 0, **given: Any) -> pb.Ticket:
    usual: dict[str, Any] = {
        "number": number,
        "state": pb.TICKET_STATE_OPEN,
        "title": "灯不亮",
        "text": "教室的灯不亮",
        "provenance": Provenance(source="support", source_id=number),
    }
    made = pb.Ticket(**{**usual, **given})
    made.open_time.FromDatetime(live.now)
    made.update_time.FromDatetime(live.now + timedelta(minutes=minutes))
    return made


async def bring(live: Live, *rows: pb.Ticket, dry: bool = False) -> Any:
    stub = live.stub(TicketServiceStub, "ops", "operations")
    return await stub.ImportTickets(pb.ImportTicketsRequest(request_id=str(uuid4()), rows=rows, validate_only=dry))


@pytest.mark.mission("S72")
async def test_late_double_and_out_of_order_tickets_change_nothing(company: Live, known: Known) -> None:
    solved = ticket(company, "T1", 30, state=pb.TICKET_STATE_RESOLVED)
    tried = await bring(company, solved, dry=True)
    assert (tried.created, len(await company.told(events.TicketReceived))) == (1, 0)
    first, last = ticket(company, "T1"), ticket(company, "T1", 10, state=pb.TICKET_STATE_WAITING)
    # Of one delivery the newest counts, wherever it stands.
    done = await bring(company, last, solved, first)
    assert (done.created, done.updated, done.rejected) == (1, 0, 0)
    for late in (solved, first, last):
        assert (await bring(company, late)).updated == 0
    nowhere = ticket(company, "T2")
    nowhere.ClearField("provenance")
    refused = await bring(company, nowhere, pb.Ticket())
    assert [error.reason for error in sorted(refused.errors, key=lambda each: each.row)] == [
        "PROVENANCE_MISSING",
        "ROW_INVALID",
    ]
    [told] = await company.told(events.TicketReceived)
    assert (told.ticket.number, told.ticket.state, told.ticket.account_id) == ("T1", pb.TICKET_STATE_RESOLVED, "")
    assert (await bring(company, ticket(company, "T1", 31, state=pb.TICKET_STATE_CLOSED))).updated == 1
    assert [each.ticket.state for each in await company.told(events.TicketReceived)] == [3, 4]


@pytest.mark.mission("S72")
async def test_whose_a_ticket_is_may_be_learned_later_and_it_is_told_again(company: Live, known: Known) -> None:
    await bring(
        company, ticket(company, "T1", account_code="K1"), ticket(company, "T2", contact_address=" Wang@School.cn ")
    )
    ops = company.stub(TicketServiceStub, "ops", "operations")
    assert len((await ops.ListTickets(pb.ListTicketsRequest(unlinked=True))).tickets) == 2
    account = str(uuid4())
    message = customers.AccountChanged(account_id=account, name="济南市第三中学", version=1)
    message.ownership.owner_id, message.ownership.unit_id = "rep1", "east"
    message.provenances.add(source="support", source_id="K1")
    await company.hear(message, account)
    contact = await known.contact("王老师", account, "wang@school.cn")
    told = await company.told(events.TicketReceived)
    assert [(each.ticket.number, each.ticket.account_id, each.ticket.contact_id) for each in told[2:]] == [
        ("T1", account, ""),
        ("T2", account, contact),
    ]
    mine = company.stub(TicketServiceStub, "rep1", "rep")
    page = await mine.ListTickets(pb.ListTicketsRequest(page_size=1))
    rest = await mine.ListTickets(pb.ListTicketsRequest(page_size=1, page_token=page.next_page_token))
    assert sorted(each.number for each in (*page.tickets, *rest.tickets)) == ["T1", "T2"]
    [found] = (await mine.ListTickets(pb.ListTicketsRequest(query="T2", states=[pb.TICKET_STATE_OPEN]))).tickets
    assert (await mine.GetTicket(pb.GetTicketRequest(id=found.id))).text == "教室的灯不亮"
    stranger = company.stub(TicketServiceStub, "rep2", "rep")
    assert not (await stranger.ListTickets(pb.ListTicketsRequest())).tickets
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await stranger.GetTicket(pb.GetTicketRequest(id=found.id))
    with company.refused("NOT_FOUND", "TICKET_UNKNOWN"):
        await mine.GetTicket(pb.GetTicketRequest(id=str(uuid4())))
    gone = customers.PersonErased()
    gone.records.add(id=contact)
    await company.hear(gone, contact)
    bare = await mine.GetTicket(pb.GetTicketRequest(id=found.id))
    assert (bare.number, bare.text, bare.title, bare.contact_address) == ("T2", "", "", "")


@pytest.mark.mission("S72", "U15")
async def test_a_signed_webhook_brings_tickets_once_and_what_is_broken_waits(company: Live, outside: Any) -> None:
    # A new secret, and the old one while support still signs with it.
    outside(webhook_secret="whsec_bmV3IG5ldyBuZXcgbmV3IQ== whsec_MDEyMzQ1Njc4OWFiY2RlZg==")
    connections = pool(company.process.settings, "integrations")
    desk = Desk("integrations", company.process.settings, connections)

    def post(name: str, body: Any, secret: str = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==") -> Response:
        raw, at = json.dumps(body).encode(), str(int(time.time()))
        headers = {"webhook-id": name, "webhook-timestamp": at}
        headers["webhook-signature"] = signatures.sign(secret, name, at, raw)
        return feeds.receive(desk, Request("POST", "/hooks/tickets", headers, {}, raw), feed="tickets")

    good = json_format.MessageToDict(ticket(company, "T7"))
    del good["provenance"]
    bad = {**good, "number": "T8", "state": "TICKET_STATE_LOST"}
    try:
        assert [post(name, [good, bad]).status for name in ("a", "a", "b")] == [201, 200, 201]
        with pytest.raises(errors.Unauthenticated):
            post("c", good, "whsec_AAAA")
    finally:
        connections.close(timeout=1)
    await company.settle()
    [told] = await company.told(events.TicketReceived)
    assert (told.ticket.number, told.ticket.provenance.source, told.ticket.provenance.source_id) == (
        "T7",
        "support",
        "T7",
    )
    operations = company.stub(SourceServiceStub, "ops", "operations")
    runs = (await operations.ListRuns(sources_pb2.ListRunsRequest(source="support"))).runs
    assert [(run.summary.read, run.summary.rejected, run.quarantined, run.poll) for run in runs] == [(2, 1, 1, "")] * 2
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="support"))).items
    assert (item.row, item.run_id) == (1, runs[1].id)
    assert (item.reason, item.message.split()[0]) == ("ROW_INVALID", "state")
    mended = sources_pb2.QuarantineResolution(id=item.id, mended=json.dumps({**bad, "state": "TICKET_STATE_OPEN"}))
    await operations.ResolveQuarantine(sources_pb2.ResolveQuarantineRequest(request_id=str(uuid4()), rows=[mended]))
    assert [each.ticket.number for each in await company.told(events.TicketReceived)] == ["T7", "T8"]


@pytest.mark.mission("S68", "S72", "U11")
async def test_what_was_a_merged_customers_is_the_survivors_until_it_is_unmerged(company: Live, known: Known) -> None:
    lost, kept = await known.account("济南三中", codes=("K1",)), await known.account("济南市第三中学", "rep2", "north")
    person = await known.contact("王老师", lost, "wang@school.cn")
    provenance = {"source": "support", "source_id": "x"}
    await bring(company, ticket(company, "T1", contact_address="wang@school.cn"))
    now = protos.timestamp(company.now)
    seen = {
        "kind": behaviours_pb2.BEHAVIOUR_KIND_PAGE_VIEWED,
        "time": now,
        "contact_id": person,
        "provenance": provenance,
    }
    await company.stub(BehaviourServiceStub, "ops", "operations").ImportBehaviours(
        behaviours_pb2.ImportBehavioursRequest(request_id=str(uuid4()), rows=[behaviours_pb2.Behaviour(**seen)])
    )
    talk = {"kind": conversations_pb2.CONVERSATION_KIND_CALL, "start_time": now, "provenance": provenance}
    talk |= {"participants": [{"address": "wang@school.cn"}]}
    await company.stub(ConversationServiceStub, "ops", "operations").ImportConversations(
        conversations_pb2.ImportConversationsRequest(
            request_id=str(uuid4()), rows=[conversations_pb2.Conversation(**talk)]
        )
    )

    async def whose(account: str, person: str) -> set[str]:
        tickets = company.stub(TicketServiceStub, person, "rep").ListTickets(pb.ListTicketsRequest(account_id=account))
        behaviours = company.stub(BehaviourServiceStub, person, "rep").ListBehaviours(
            behaviours_pb2.ListBehavioursRequest(account_id=account)
        )
        talks = company.stub(ConversationServiceStub, person, "rep").ListConversations(
            conversations_pb2.ListConversationsRequest(account_id=account)
        )
        found = [*(await tickets).tickets, *(await behaviours).behaviours, *(await talks).conversations]
        assert len(found) in (0, 3)
        return {each.account_id for each in found}

    assert (await whose(lost, "rep1"), await whose(kept, "rep2")) == ({lost}, set())
    await known.account("济南三中", id=lost, merged_into_id=kept)
    assert (await whose(lost, "rep1"), await whose(kept, "rep2")) == (set(), {kept})
    await known.account("济南三中", id=lost)
    assert (await whose(lost, "rep1"), await whose(kept, "rep2")) == ({lost}, set())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "FEED_UNREADABLE"),
        (b"[]", "FEED_UNREADABLE"),
        (b"[1]", "FEED_UNREADABLE"),
        (b'{"a": "\\ud800"}', "FEED_UNREADABLE"),
        (b"[" * 100_000, "FEED_UNREADABLE"),
        (b'[{"a":1},{"a":2},{"a":3}]', "FEED_TOO_LARGE"),
        (json.dumps({"a": "x" * 2000}).encode(), "FEED_TOO_LARGE"),
    ],
)
def test_what_is_no_feed_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        feeds.items(body, FeedRules(most_items=2, longest_item=1024))
    assert refused.value.reason == reason
