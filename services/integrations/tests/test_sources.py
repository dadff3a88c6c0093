"""Sources through the contract: what is configured, how it fares, who may pause it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from closedloop.common.v1 import common_pb2
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import sources_pb2 as pb
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_chassis import errors
from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Webhook
from closedloop_devstack.simulators.poster import Poster
from closedloop_devstack.testing.service import Live
from closedloop_integrations import courier, hearing

FAILING = """
UPDATE source SET configured = true, failures = 5, opened_at = %(now)s, retry_at = %(retry)s, last_failure_at = %(now)s,
       last_error = 'ConnectError: refused', durations = '{0.1,0.2}' WHERE name = 'erp'
"""
POLL = """
INSERT INTO poll (source, name, cursor, next_at, read, failures, retry_at)
VALUES ('erp', 'saleorder', '{"modified": "x"}', %(next)s, 7, 5, %(next)s)
"""


def request_id() -> str:
    return str(uuid4())


async def write(live: Live, sql: str, **params: Any) -> None:
    tx = live.process.database.transaction()
    tx.do(sql, params)
    await tx.commit()


async def test_every_adapter_is_listed_before_it_is_configured(company: Live) -> None:
    stub = company.stub(SourceServiceStub, "m1", "manager")
    sources = (await stub.ListSources(pb.ListSourcesRequest())).sources
    assert [source.name for source in sources] == [
        *("behaviours", "conversations", "dingtalk", "dingtalk_callbacks", "erp", "mail", "mail_out", "mail_webhook"),
        *("procurement", "sms", "tickets", "wecom", "wecom_archive", "wecom_callbacks", "wecom_meetings"),
    ]
    assert {source.state for source in sources} == {pb.SOURCE_STATE_NOT_CONFIGURED}
    [erp] = (await stub.ListSources(pb.ListSourcesRequest(kind=pb.SOURCE_KIND_ERP))).sources
    assert (erp.protocol, erp.light) == ("http", common_pb2.LIGHT_NONE)
    first = await stub.ListSources(pb.ListSourcesRequest(page_size=8))
    rest = await stub.ListSources(pb.ListSourcesRequest(page_size=8, page_token=first.next_page_token))
    assert [source.name for source in (*first.sources, *rest.sources)] == [source.name for source in sources]
    with company.refused("NOT_FOUND", "SOURCE_UNKNOWN"):
        await stub.GetSource(pb.GetSourceRequest(name="none"))
    with company.refused("PERMISSION_DENIED"):
        await company.stub(SourceServiceStub, "rep1", "rep").ListSources(pb.ListSourcesRequest())


@pytest.mark.mission("S71")
async def test_an_open_circuit_is_red_and_can_be_closed_by_a_person(company: Live) -> None:
    await write(company, FAILING, now=company.now, retry=company.now + timedelta(minutes=5))
    await write(company, POLL, next=company.now + timedelta(minutes=5))
    stub = company.stub(SourceServiceStub, "ops", "operations")
    erp = await stub.GetSource(pb.GetSourceRequest(name="erp"))
    assert (erp.light, erp.circuit.state, erp.circuit.consecutive_failures) == (
        common_pb2.LIGHT_RED,
        pb.CIRCUIT_STATE_OPEN,
        5,
    )
    assert (erp.last_error, erp.polls[0].name, erp.polls[0].read) == ("ConnectError: refused", "saleorder", 7)
    assert 0.19 < erp.call_p99.ToTimedelta().total_seconds() <= 0.2
    assert [
        source.name for source in (await stub.ListSources(pb.ListSourcesRequest(light=common_pb2.LIGHT_YELLOW))).sources
    ] == ["erp"]
    with company.refused("RESOURCE_EXHAUSTED", "POLL_TOO_SOON"):
        await stub.PollSource(pb.PollSourceRequest(request_id=request_id(), name="erp"))
    change = pb.ChangeSourceStateRequest(request_id=request_id(), name="erp", etag=erp.etag, reason="已修复")
    change.action = pb.SOURCE_ACTION_CLOSE_CIRCUIT
    closed = await stub.ChangeSourceState(change)
    assert (closed.circuit.state, closed.circuit.consecutive_failures) == (pb.CIRCUIT_STATE_CLOSED, 0)
    polled = await stub.PollSource(pb.PollSourceRequest(request_id=request_id(), name="erp", poll="saleorder"))
    assert polled.polls[0].next_time.ToDatetime() == company.now.replace(tzinfo=None)
    change.request_id = request_id()
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await stub.ChangeSourceState(change)
    actions = await company.db.all("SELECT action FROM audit_entry WHERE subject = 'source/erp' ORDER BY id")
    assert [row["action"] for row in actions] == ["close_circuit", "poll"]


async def test_a_paused_source_is_not_polled(company: Live) -> None:
    await write(company, POLL, next=company.now)
    stub = company.stub(SourceServiceStub, "ops", "operations")
    etag = (await stub.GetSource(pb.GetSourceRequest(name="erp"))).etag
    pause = pb.ChangeSourceStateRequest(
        request_id=request_id(), name="erp", etag=etag, action=pb.SOURCE_ACTION_PAUSE, reason="月结"
    )
    assert (await stub.ChangeSourceState(pause)).state == pb.SOURCE_STATE_PAUSED
    with company.refused("FAILED_PRECONDITION", "SOURCE_PAUSED"):
        await stub.PollSource(pb.PollSourceRequest(request_id=request_id(), name="erp"))
    with company.refused("FAILED_PRECONDITION", "SOURCE_NOT_POLLED"):
        await stub.PollSource(pb.PollSourceRequest(request_id=request_id(), name="mail_out"))


@pytest.mark.mission("S68", "S72")
async def test_who_posts_to_us_has_a_health_too(company: Live, outside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "_refused", {})
    secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="
    outside(webhook_secret=secret)
    connections = pool(company.process.settings, "integrations")
    desk = Desk("integrations", company.process.settings, connections)
    [tickets] = [part for part in courier.PARTS if isinstance(part, Webhook) and part.path == "/hooks/tickets"]
    stub = company.stub(SourceServiceStub, "ops", "operations")

    async def post(poster: Poster, body: bytes = b'{"number": "T1", "state": "TICKET_STATE_LOST"}') -> int:
        call = poster.post(body)
        request = Request(call.method, tickets.path, call.headers, call.query, call.body)
        return (await asyncio.to_thread(tickets.run, desk, request)).status

    async def health() -> pb.Source:
        return await stub.GetSource(pb.GetSourceRequest(name="tickets"))

    support, stranger = Poster(secret), Poster("whsec_c3RyYW5nZXI=")
    try:
        await asyncio.to_thread(hearing.look, desk)
        assert (await health()).state == pb.SOURCE_STATE_ACTIVE
        assert (
            await stub.GetSource(pb.GetSourceRequest(name="wecom_callbacks"))
        ).state == pb.SOURCE_STATE_NOT_CONFIGURED
        assert [await post(support), await post(support)] == [201, 201]
        await company.settle()
        seen = await health()
        assert (seen.received, seen.rejected, seen.quarantined, seen.light) == (2, 0, 1, common_pb2.LIGHT_NONE)
        assert seen.HasField("last_success_time")

        # Whoever has another secret is seen, and does not make us write each time.
        for _ in range(50):
            with pytest.raises(errors.Unauthenticated):
                await post(stranger)
        first = (await health()).rejected
        assert first < 50
        monkeypatch.setattr(hearing, "QUIET_SECONDS", 0.0)
        await asyncio.to_thread(hearing.look, desk)
        seen = await health()
        assert (seen.received, seen.rejected, seen.circuit.consecutive_failures) == (2, 50, 50)
        assert (seen.light, seen.last_error.split(":")[0]) == (common_pb2.LIGHT_BLUE, "SIGNATURE_WRONG")
        assert await post(support) == 201
        assert (await health()).light == common_pb2.LIGHT_NONE

        pause = pb.ChangeSourceStateRequest(request_id=request_id(), name="tickets", etag=seen.etag, reason="盘点")
        pause.action = pb.SOURCE_ACTION_PAUSE
        await stub.ChangeSourceState(pause)
        with pytest.raises(errors.Unavailable, match="paused"):
            await post(support)
        assert (await health()).received == 3
    finally:
        connections.close(timeout=1)


async def test_refused_items_wait_in_quarantine_once(company: Live) -> None:
    refused = events.ItemRefused(
        source="procurement", kind="notice_row", key="http://x", reason="LINK_MISSING", raw="<li>\0</li>"
    )
    await company.hear(refused, "procurement", source="integrations.courier")
    await company.hear(refused, "procurement", source="integrations.courier")
    stub = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await stub.ListQuarantine(pb.ListQuarantineRequest())).items
    assert (item.reason, item.raw) == ("LINK_MISSING", "<li>\ufffd</li>")
    retry = pb.QuarantineResolution(id=item.id, retry=True)
    summary = await stub.ResolveQuarantine(pb.ResolveQuarantineRequest(request_id=request_id(), rows=[retry]))
    assert [error.reason for error in summary.errors] == ["STILL_UNREADABLE"]
    discard = pb.QuarantineResolution(id=item.id, discard="空行")
    summary = await stub.ResolveQuarantine(pb.ResolveQuarantineRequest(request_id=request_id(), rows=[discard]))
    assert summary.updated == 1
    [resolved] = (await stub.ListQuarantine(pb.ListQuarantineRequest(include_resolved=True))).items
    assert resolved.resolved_by == "ops"
