"""What the courier runs, against simulated outside systems and a real database: polled, handed over, judged by the reactor."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import html
import json
import re
import smtplib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from closedloop.common.v1 import common_pb2
from closedloop.integrations.v1 import deliveries_pb2, mail_pb2, notices_pb2, sources_pb2
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1.deliveries_pb2_grpc import DeliveryServiceStub
from closedloop.integrations.v1.notices_pb2_grpc import NoticeServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_chassis import errors
from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Poller, Request, Response
from closedloop_chassis.courier.pollers import Leadership, Polling
from closedloop_chassis.rulebook.shelf import Edition
from closedloop_devstack.simulators.chat import ChatRobots
from closedloop_devstack.simulators.erp import ErpServer
from closedloop_devstack.simulators.erp_records import CostEntry, SaleDocument, SaleLine
from closedloop_devstack.simulators.mail import MailServer
from closedloop_devstack.simulators.procurement import Notice as Published
from closedloop_devstack.simulators.procurement import ProcurementSite
from closedloop_devstack.simulators.ratelimit import SlidingWindow
from closedloop_devstack.simulators.sms import SmsPlatform
from closedloop_devstack.testing.service import Live
from closedloop_integrations import courier
from closedloop_integrations.deliveries import links, sender
from closedloop_integrations.deliveries.gateway import Letter, Receipt
from closedloop_integrations.deliveries.smtp import SmtpGateway
from closedloop_integrations.erp import poller as erp
from closedloop_integrations.mail import listening, webhook
from closedloop_integrations.mail import poller as mail
from closedloop_integrations.mail.imap import ImapMailbox
from closedloop_integrations.notices import poller as notices
from closedloop_integrations.outbound import Answer, LostError
from closedloop_integrations.paced import PacedImap
from closedloop_integrations.sources.rules import PollRules

Known = Any
Outside = Callable[..., None]
Run = Callable[..., Any]

OURS = "sales@closedloop.test"


class StillDesk(Desk):
    """A desk whose time is the test's."""

    live: Live

    def now(self) -> datetime:
        return self.live.now


@pytest.fixture
async def desk(company: Live) -> AsyncIterator[StillDesk]:
    connections = pool(company.process.settings, "integrations")
    made = StillDesk("integrations", company.process.settings, connections)
    made.live = company
    yield made
    connections.close(timeout=1)


@pytest.fixture
def run(desk: StillDesk, company: Live) -> Run:
    """`await run(poll)`: one run in a thread, as the courier would, then the reactor applies what was observed."""

    async def once(part: Callable[[Desk], None], *, settle: bool = True) -> None:
        await asyncio.to_thread(part, desk)
        if settle:
            await company.settle()

    return once


@pytest.fixture
def site(company: Live) -> Iterator[ProcurementSite]:
    with ProcurementSite(limit=0) as running:
        yield running


def publish(site: ProcurementSite, number: int, buyer: str = "济南市第三中学", **given: Any) -> Published:
    usual = {
        "title": f"{buyer}第{number}批智慧黑板采购",
        "published": datetime(2026, 1, 4, tzinfo=UTC) + timedelta(minutes=number),
    }
    return site.publish(
        Published(**{**usual, "buyer": buyer, "amount": "10万元", "region": "山东省", "body": "采购黑板。", **given})
    )


async def source(live: Live, name: str) -> sources_pb2.Source:
    return await live.stub(SourceServiceStub, "ops", "operations").GetSource(sources_pb2.GetSourceRequest(name=name))


async def rules(live: Live, name: str, body: dict[str, Any]) -> None:
    """Publishes a rulebook, in force at once."""
    shelf = live.process.rulebooks
    whole = shelf.edition(name, live.now).body | body
    tx = live.process.database.transaction()
    await shelf.publish(
        tx, Edition(name, shelf.edition(name, live.now).version, live.now, whole, "ops", "test", live.now)
    )
    await tx.commit()
    await live.process.look()


@pytest.mark.mission("S70")
async def test_notices_are_polled_page_by_page_and_once(
    company: Live, known: Known, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    outside(procurement_url=site.url)
    account = await known.account("济南市第三中学")
    for number in range(45):
        publish(site, number, buyer="济南市第三中学" if number == 7 else f"某市第{number}中学")
    await run(notices.poll)
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    assert len((await stub.ListNotices(notices_pb2.ListNoticesRequest(page_size=100))).notices) == 45
    [told] = await company.told(events.NoticeMatched)
    assert told.match.account_id == account
    found = await source(company, "procurement")
    assert (found.state, found.light, found.polls[0].read) == (
        sources_pb2.SOURCE_STATE_ACTIVE,
        common_pb2.LIGHT_NONE,
        45,
    )
    assert found.received == 45

    asked = len(site.requests)
    await run(notices.poll)
    assert len(site.requests) == asked, "it is not due yet"
    await company.advance(minutes=2)
    await run(notices.poll)
    await company.advance(minutes=2)
    before = len(site.requests)
    await run(notices.poll)
    assert len(site.requests) == before + 1, "an unchanged list costs one conditional request"
    publish(site, 46)
    await company.advance(minutes=2)
    await run(notices.poll)
    assert len(await company.told(events.NoticeMatched)) == 2
    assert all(request.startswith("/search") for request in site.requests[before : before + 2])


@pytest.mark.mission("S70")
@pytest.mark.parametrize("untagged", [False, True], ids=["by tag", "by date"])
async def test_a_notice_the_list_speaks_of_anew_is_asked_for_only_if_it_has_changed(
    company: Live, site: ProcurementSite, outside: Outside, run: Run, untagged: bool
) -> None:
    """The list corrects the second of a publication, which is no other notice; then the buyer corrects the notice."""
    outside(procurement_url=site.url)
    site.faults = type(site.faults)(untagged=untagged)
    first, _ = publish(site, 1), publish(site, 2)
    page = site.notice_url(first).removeprefix(site.url)
    versions = "SELECT version FROM notice ORDER BY publish_date, source_id"

    async def turn() -> tuple[int, int]:
        """How often the page was asked for, and found unchanged."""
        asked, unchanged = site.requests.count(page), site.unchanged.count(page)
        await company.advance(minutes=2)
        await run(notices.poll)
        return site.requests.count(page) - asked, site.unchanged.count(page) - unchanged

    assert await turn() == (1, 0)
    site.publish(replace(first, published=first.published + timedelta(seconds=20)))
    assert await turn() == (1, 1), "sent under a condition"
    assert await turn() == (0, 0), "and not again"
    assert [row["version"] for row in await company.db.all(versions)] == [1, 1]
    site.publish(replace(first, published=first.published + timedelta(seconds=40), body="采购黑板，数量增至八十块。"))
    assert await turn() == (1, 0)
    assert [row["version"] for row in await company.db.all(versions)] == [2, 1]
    assert site.unchanged.count(page) == 1
    [found] = (await source(company, "procurement")).polls
    assert found.read == 3


@pytest.mark.mission("S70")
async def test_a_notice_that_is_corrected_without_a_word_in_the_list_is_seen_within_a_day(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    """The amount stands on the page alone. What was corrected back is seen as well; what is old is left alone."""
    outside(procurement_url=site.url)
    old = publish(site, 1, published=company.now - timedelta(days=9))
    first, steady, gone = publish(site, 2), publish(site, 3), publish(site, 4)
    kept = "SELECT version, amount_minor / 1000000 AS amount FROM notice WHERE source_id = %(id)s"

    async def day() -> int:
        """How many pages were asked for."""
        before = len(site.requests)
        await company.advance(hours=25)
        for _ in range(2):
            await run(notices.poll)
            await company.advance(minutes=2)
        return sum(asked.startswith("/notices") for asked in site.requests[before:])

    assert await day() == 4
    for amount in ("12万元", "10万元"):
        site.publish(replace(first, amount=amount))
        assert await day() == 3, "the recent ones"
    [found] = await company.db.all(kept, {"id": first.id})
    assert found == {"version": 3, "amount": 10}
    [found] = await company.db.all(kept, {"id": steady.id})
    assert found["version"] == 1
    assert site.unchanged.count(site.notice_url(steady).removeprefix(site.url)) == 2, "under a condition"
    assert sum(f"{old.id}.htm" in asked for asked in site.requests) == 1
    site.notices = [notice for notice in site.notices if notice.id != gone.id]
    assert await day() == 3
    assert await day() == 2, "what is gone is asked for no more"


def test_a_page_is_asked_for_by_what_it_said_of_itself() -> None:
    def told(**headers: str) -> dict[str, str]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return notices.conditions(*notices.validators(Answer(200, given, b"")))

    day = "Mon, 02 Mar 2026 01:30:00 GMT"
    assert told() == {}
    assert told(etag='W/"1"') == {"If-None-Match": 'W/"1"'}
    assert told(last_modified=day) == {"If-Modified-Since": day}
    assert told(etag='"1"', last_modified=day) == {"If-None-Match": '"1"', "If-Modified-Since": day}
    for nobody_can_send in ("x" * 501, '"标"', '"a\tb"'):
        assert told(etag=nobody_can_send) == {}


@pytest.mark.mission("S70")
async def test_a_site_that_says_wait_is_left_alone_and_gone_on_with_where_it_stopped(
    company: Live, outside: Outside, run: Run
) -> None:
    with ProcurementSite(limit=12, window=3600) as site:
        outside(procurement_url=site.url)
        for number in range(30):
            publish(site, number)
        await run(notices.poll)
        stub = company.stub(NoticeServiceStub, "ops", "operations")
        first = len((await stub.ListNotices(notices_pb2.ListNoticesRequest())).notices)
        assert first == 11
        found = await source(company, "procurement")
        assert (found.circuit.state, found.circuit.consecutive_failures) == (sources_pb2.CIRCUIT_STATE_CLOSED, 0)
        wait = found.polls[0].next_time.ToDatetime(tzinfo=UTC) - company.now
        assert timedelta(minutes=59) < wait <= timedelta(hours=1)
        await company.advance(minutes=50)
        await run(notices.poll)
        assert len(site.requests) == 13
        site._window.limit = 0
        await company.advance(minutes=20)
        await run(notices.poll)
        assert len((await stub.ListNotices(notices_pb2.ListNoticesRequest())).notices) == 30
        details = [request for request in site.requests if "/notices/" in request]
        assert len(details) == len(set(details)) + 1, "only the one that was refused was asked for again"


@pytest.mark.mission("S70")
async def test_several_searches_are_one_caller_to_the_site(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    """There is a pause between any two calls; and who is told to wait asks nothing else meanwhile, whatever comes first then."""
    outside(procurement_url=site.url)
    searches = ["黑板", "班班通", "课桌", "实验室", "图书"]
    await rules(
        company, "integrations.sources", {"polls": {"procurement": {"pause_seconds": 0.2, "every_seconds": 60}}}
    )
    await rules(company, "integrations.procurement", {"searches": searches})
    begun = time.monotonic()
    await run(notices.poll)
    assert len(site.requests) == len(searches)
    assert time.monotonic() - begun >= 0.8

    site._window = SlidingWindow(2, 3600)
    site.requests.clear()
    await company.advance(minutes=2)
    await run(notices.poll)
    await company.advance(seconds=5)
    await run(notices.poll)
    assert len(site.requests) == 3, "two were answered, one was told to wait"
    site._window = SlidingWindow(0, 1)
    site.requests.clear()
    await company.advance(hours=2)
    await run(notices.poll)
    assert len(site.requests) == len(searches)


@pytest.mark.mission("S70")
async def test_a_turn_has_its_limits_and_broken_rows_are_set_aside(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    outside(procurement_url=site.url)
    await rules(company, "integrations.sources", {"polls": {"procurement": {"max_requests": 10, "pause_seconds": 0}}})
    for number in range(25):
        publish(site, number)
    site.faults = type(site.faults)(malformed=True, charset="gb18030")
    for _ in range(4):
        await run(notices.poll)
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    assert len((await stub.ListNotices(notices_pb2.ListNoticesRequest())).notices) == 25
    operations = company.stub(SourceServiceStub, "ops", "operations")
    items = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="procurement"))).items
    assert {item.reason for item in items} == {"LINK_MISSING"}


@pytest.mark.mission("S70")
async def test_a_notice_that_cannot_be_had_keeps_out_no_other(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    """One page that always fails, one that says "wait" for ever, one that is too long, two on other hosts: each is set
    aside, soon or at once, and the walk goes on to the last page."""
    # The rulebook names a host within our own network; operations have said that it may be called, or it would not be.
    outside(procurement_url=site.url, webhook_inner_hosts=json.dumps([f"localhost:{site.port}"]))
    near = f"http://localhost:{site.port}"
    polls = {"procurement": {"max_bytes": 60_000, "pause_seconds": 0}}
    await rules(company, "integrations.sources", {"polls": polls})
    await rules(company, "integrations.procurement", {"hosts": [near]})
    made = [publish(site, number) for number in range(25)]
    fails, waits, long, away, close, odd = (made[number].id for number in (3, 10, 14, 15, 16, 17))
    site.faults = type(site.faults)(
        broken={fails: 500, waits: 503},
        swollen={long: 100_000},
        moved={away: "http://www.other.example", close: near, odd: "http://[half:1234567"},
    )
    for _ in range(8):
        await run(notices.poll)
        await company.advance(minutes=2)
    assert await company.db.value("SELECT count(*) FROM notice") == 20, "one of another host of the site, too"
    operations = company.stub(SourceServiceStub, "ops", "operations")
    items = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="procurement"))).items
    assert sorted(item.reason for item in items) == [
        "LINK_MISSING",
        "PAGE_ELSEWHERE",
        "PAGE_TOO_LARGE",
        "PAGE_UNREACHABLE",
        "PAGE_UNREACHABLE",
    ]
    gone = next(item for item in items if "500" in item.message)
    assert "济南市第三中学第3批智慧黑板采购" in gone.raw, "who works it off reads what the list said"
    found = await source(company, "procurement")
    assert (found.light, found.circuit.consecutive_failures) == (common_pb2.LIGHT_NONE, 0)
    assert sum(f"{fails}.htm" in asked for asked in site.requests) == 3
    publish(site, 30)
    await run(notices.poll)
    assert await company.db.value("SELECT count(*) FROM notice") == 21, "what is new is read as ever"

    outside(webhook_inner_hosts="[]")
    within = publish(site, 31)
    site.faults = replace(site.faults, moved={**site.faults.moved, within.id: near})
    await company.advance(minutes=2)
    await run(notices.poll)
    assert await company.db.value("SELECT count(*) FROM notice") == 21
    items = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="procurement"))).items
    assert (items[0].reason, items[0].message) == (
        "PAGE_ELSEWHERE",
        "HOST_NOT_ALLOWED: localhost lies within our own network",
    )


@pytest.mark.mission("S70")
async def test_a_page_in_other_words_waits_until_the_rulebook_knows_them_and_is_read_again(company: Live) -> None:
    url = "http://site.example/notices/t1.htm"
    html = (
        '<h2 class="tc">智慧黑板采购</h2><span id="pubTime">2026年01月04日 09:00</span>'
        '<table class="summary"><tr><td>需求单位</td><td>济南市第三中学</td></tr></table>'
    )
    fetched = events.NoticeFetched(source="procurement", url=url, html=html)
    await company.hear(fetched, url, source="integrations.courier")
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="procurement"))).items
    assert item.reason == "BUYER_MISSING"
    labels = ["采购人", "采购单位", "需求单位"]
    await rules(company, "integrations.procurement", {"pages": {"labels": {"buyer": labels}}})
    again = sources_pb2.QuarantineResolution(id=item.id, retry=True)
    request = sources_pb2.ResolveQuarantineRequest(request_id=str(uuid4()), rows=[again])
    assert (await operations.ResolveQuarantine(request)).updated == 1
    assert await company.db.value("SELECT buyer FROM notice") == "济南市第三中学"


@pytest.mark.mission("S70")
async def test_a_page_of_the_list_that_always_fails_keeps_nobody_from_what_is_new(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    outside(procurement_url=site.url)
    await rules(company, "integrations.sources", {"polls": {"procurement": {"pause_seconds": 0}}})
    for number in range(45):
        publish(site, number)
    site.faults = type(site.faults)(unlisted={"2": 500})
    for _ in range(3):
        await run(notices.poll)
        await company.advance(minutes=2)
    publish(site, 50)
    for _ in range(2):
        await run(notices.poll)
        await company.advance(minutes=2)
    assert await company.db.value("SELECT count(*) FROM notice") == 21, "the first page is read again"
    assert (await source(company, "procurement")).circuit.consecutive_failures == 5, (
        "and that the list is broken is seen"
    )
    site.faults = site.no_faults()
    for _ in range(2):
        await company.advance(minutes=20)
        await run(notices.poll)
    assert await company.db.value("SELECT count(*) FROM notice") == 46


@pytest.mark.mission("S70")
async def test_a_site_whose_pages_all_fail_opens_its_circuit_and_loses_none(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    outside(procurement_url=site.url)
    for number in range(20):
        publish(site, number)
    site.faults = type(site.faults)(broken={"": 500})
    for _ in range(6):
        await run(notices.poll)
        await company.advance(minutes=2)
    found = await source(company, "procurement")
    assert (found.light, found.circuit.consecutive_failures) == (common_pb2.LIGHT_RED, 6)
    assert await company.db.value("SELECT count(*) FROM quarantine") == 0
    site.faults = site.no_faults()
    for _ in range(2):
        await company.advance(minutes=20)
        await run(notices.poll)
    assert await company.db.value("SELECT count(*) FROM notice") == 20
    assert (await source(company, "procurement")).light == common_pb2.LIGHT_NONE


@pytest.mark.mission("S71")
async def test_orders_and_invoices_are_fetched_once_and_again_when_they_change(
    company: Live, known: Known, outside: Outside, run: Run
) -> None:
    with ErpServer(clock=lambda: company.now) as server:
        outside(erp_url=server.url, erp_app_key="demo-key", erp_app_secret="demo-secret")
        account = await known.account("济南市第三中学")
        line = SaleLine(cinvcode="B86", cinvname="智慧黑板", iquantity=Decimal(3), itaxunitprice=Decimal("9999.99"))
        document = SaleDocument(
            ccuscode="C001", ccusname="济南市第三中学", entry=(line,), cpersoncode="rep1", ddate=date(2026, 1, 5)
        )
        server.put("saleorder", document)
        server.put("saleinvoice", document)
        server.put("salereturn", document)
        server.put("cost", CostEntry(ccostcode="F1", imoney=Decimal("12.30"), ccuscode="C001"))
        await run(erp.poll)
        [order] = await company.told(events.OrderRecorded)
        assert (order.account_id, order.person_id, order.unit_id) == (account, "rep1", "east")
        assert (order.net_amount.units, order.net_amount.nanos) == (26548, 650_000_000)
        invoices = await company.told(events.InvoiceRecorded)
        assert sorted((told.credit_note, told.net_amount.units) for told in invoices) == [
            (False, 26548),
            (True, -26548),
        ]
        found = await source(company, "erp")
        assert {poll.name: poll.read for poll in found.polls} == {
            "cost": 1,
            "currentstock": 0,
            "saleinvoice": 1,
            "saleorder": 1,
            "salereturn": 1,
        }
        await company.advance(minutes=1)
        await run(erp.poll)
        assert sum(poll.read for poll in (await source(company, "erp")).polls) == 4
        changed = document.model_copy(
            update={"ccode": order.number, "entry": (line.model_copy(update={"iquantity": Decimal(4)}),)}
        )
        server.put("saleorder", changed)
        await company.advance(minutes=1)
        await run(erp.poll)
        assert [(told.number, told.version) for told in await company.told(events.OrderRecorded)] == [
            (order.number, 1),
            (order.number, 2),
        ]
        await company.advance(hours=3)
        await run(erp.poll)
        assert (await source(company, "erp")).circuit.consecutive_failures == 0, "a token that ran out is renewed"


@pytest.mark.mission("S71")
async def test_many_documents_come_in_pages(company: Live, outside: Outside, run: Run) -> None:
    await rules(company, "integrations.erp", {"rows_per_page": 10, "lists": ["cost"]})
    with ErpServer(clock=lambda: company.now) as server:
        outside(erp_url=server.url, erp_app_key="demo-key", erp_app_secret="demo-secret")
        for number in range(35):
            server.put("cost", CostEntry(ccostcode="F1", imoney=Decimal(number)))
        await run(erp.poll)
    assert await company.db.value("SELECT count(*) FROM erp_transaction") == 35
    assert await company.db.value("SELECT count(*) FROM inbox") == 4


@pytest.mark.mission("S71")
@pytest.mark.parametrize("calls", [2, 4])
async def test_more_documents_of_one_second_than_a_turn_may_read_come_all_the_same(
    company: Live, outside: Outside, run: Run, calls: int
) -> None:
    await rules(company, "integrations.erp", {"rows_per_page": 4, "lists": ["cost"]})
    await rules(company, "integrations.sources", {"polls": {"erp": {"max_requests": calls, "pause_seconds": 0}}})
    taken = "SELECT count(*) FROM erp_transaction"
    with ErpServer(clock=lambda: company.now) as server:
        outside(erp_url=server.url, erp_app_key="demo-key", erp_app_secret="demo-secret")
        for number in range(40):
            server.put("cost", CostEntry(ccostcode="F1", imoney=Decimal(number)))
        for _ in range(6):
            await run(erp.poll, settle=False)
        # One of those read already is changed: it moves behind the others, which all move up by one.
        await company.advance(minutes=1)
        [first, *_] = server.tables["cost"]
        server.put("cost", CostEntry(ccode=first, ccostcode="F1", imoney=Decimal("0.5")))
        for _ in range(12):
            await run(erp.poll, settle=False)
        await company.settle()
        assert await company.db.value(taken + " WHERE in_force") == 40
        await company.advance(minutes=1)
        server.put("cost", CostEntry(ccostcode="F2", imoney=Decimal(9)))
        await run(erp.poll)
        assert await company.db.value(taken + " WHERE in_force") == 41, "the next second is read as ever"
    assert (await source(company, "erp")).light == common_pb2.LIGHT_NONE


@pytest.mark.mission("S70", "S71")
async def test_a_slip_of_the_other_side_silences_nobody(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    """A date of the year 2099 moves no cursor, and NUL in one document keeps out no other."""
    await rules(company, "integrations.erp", {"lists": ["cost"]})
    with ErpServer(clock=lambda: company.now) as server:
        outside(procurement_url=site.url, erp_url=server.url, erp_app_key="demo-key", erp_app_secret="demo-secret")
        publish(site, 1, published=datetime(2099, 1, 4, tzinfo=UTC))
        for number in range(2):
            server.put("cost", CostEntry(ccostcode="F1", imoney=Decimal(number)))
        odd = next(iter(server.tables["cost"].values()))
        odd["dmodifysystime"], odd["ccostname"] = "2099-01-01 00:00:00", "a\0b"
        await run(erp.poll)
        await run(notices.poll)
        await company.advance(minutes=2)
        publish(site, 2)
        server.put("cost", CostEntry(ccostcode="F2", imoney=Decimal(9)))
        await run(erp.poll)
        await run(notices.poll)
    assert await company.db.value("SELECT count(*) FROM erp_transaction") == 2
    assert await company.db.value("SELECT count(*) FROM notice") == 2
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="erp"))).items
    assert (item.reason, item.message) == ("DOCUMENT_UNREADABLE", "a text holds NUL")
    runs = (await operations.ListRuns(sources_pb2.ListRunsRequest(source="procurement"))).runs
    assert [(run.poll, run.summary.read, run.summary.created, run.error) for run in runs] == [("all", 1, 1, "")] * 2


@pytest.mark.mission("S70", "S71")
async def test_a_system_that_is_down_opens_its_own_circuit_and_slows_nobody(
    company: Live, site: ProcurementSite, outside: Outside, run: Run
) -> None:
    await rules(company, "integrations.erp", {"lists": ["saleorder"]})
    with ErpServer(clock=lambda: company.now) as server:
        outside(procurement_url=site.url, erp_url=server.url, erp_app_key="demo-key", erp_app_secret="demo-secret")
        server.faults = type(server.faults)(failures=6)
        erp.TOKEN.forget()
        publish(site, 1)
        for _ in range(6):
            await run(erp.poll)
            await company.advance(seconds=31)
        found = await source(company, "erp")
        assert (found.circuit.state, found.light) == (sources_pb2.CIRCUIT_STATE_OPEN, common_pb2.LIGHT_RED)
        assert "500" in found.last_error
        failed = sources_pb2.ListRunsRequest(source="erp", failed_only=True)
        runs = (await company.stub(SourceServiceStub, "ops", "operations").ListRuns(failed)).runs
        assert [("500" in run.error, run.summary.read) for run in runs] == [(True, 0)] * 6
        await run(notices.poll)
        assert (await source(company, "procurement")).received == 1
        await company.advance(minutes=10)
        await run(erp.poll)
        healed = await source(company, "erp")
        assert (healed.circuit.state, healed.circuit.consecutive_failures) == (sources_pb2.CIRCUIT_STATE_CLOSED, 0)


@pytest.mark.mission("S71")
async def test_one_list_that_is_dead_among_healthy_ones_is_seen_and_holds_up_none(
    company: Live, outside: Outside, run: Run
) -> None:
    lists = ["cost", "payslip", "saleorder"]  # the ERP knows no list of payslips
    await rules(company, "integrations.erp", {"lists": lists})
    stub = company.stub(SourceServiceStub, "ops", "operations")
    with ErpServer(clock=lambda: company.now) as server:
        outside(erp_url=server.url, erp_app_key="demo-key", erp_app_secret="demo-secret")
        for number in range(5):
            server.put("cost", CostEntry(ccostcode="F1", imoney=Decimal(number)))
            await run(erp.poll)
            found = await source(company, "erp")
            assert found.circuit.consecutive_failures == number + 1, "the others' success is not its own"
            await company.advance(seconds=29)
            await run(erp.poll)
            await company.advance(seconds=2)
        assert (found.light, found.circuit.state) == (common_pb2.LIGHT_RED, sources_pb2.CIRCUIT_STATE_OPEN)
        assert await company.db.value("SELECT count(*) FROM erp_transaction") == 5, "the others go on"
        ask = sources_pb2.PollSourceRequest(request_id=str(uuid4()), name="erp", poll="cost")
        await stub.PollSource(ask)
        await company.advance(minutes=5)
        await run(erp.poll)
        assert (await source(company, "erp")).circuit.consecutive_failures == 6
        # It is not asked for any longer: what it was is forgotten, once it is overdue.
        await rules(company, "integrations.erp", {"lists": ["cost"]})
        await company.advance(hours=1)
        await run(erp.poll)
        healed = await source(company, "erp")
        assert (healed.light, healed.circuit.consecutive_failures) == (common_pb2.LIGHT_NONE, 0)


@pytest.mark.mission("S70")
async def test_the_metrics_tell_that_a_source_fails_and_when_it_is_well_again(
    company: Live, site: ProcurementSite, outside: Outside, desk: StillDesk
) -> None:
    """The alert on pollers that fail looks for errors without a success between them, over a quarter of an hour."""
    outside(procurement_url=site.url)
    leads = Leadership(company.process.settings.dsn, "integrations")
    polling = Polling(Poller("notices_told", timedelta(seconds=1), notices.poll), desk, leads)

    async def ticks() -> dict[str, float]:
        before = {outcome: counted(outcome) for outcome in ("error", "ok", "idle")}
        for _ in range(3):
            await asyncio.to_thread(polling.step)
        return {outcome: counted(outcome) - count for outcome, count in before.items()}

    def counted(outcome: str) -> float:
        labels = {"poller": "notices_told", "outcome": outcome}
        return REGISTRY.get_sample_value("closedloop_poll_seconds_count", labels) or 0

    def held() -> float | None:
        labels = {"source": "procurement", "poll": "all"}
        return REGISTRY.get_sample_value("closedloop_source_circuit_open", labels)

    assert (await ticks(), held()) == ({"error": 0, "ok": 1, "idle": 2}, 0)
    site.faults = type(site.faults)(failures=5)
    for _ in range(4):
        await company.advance(minutes=2)
        assert (await ticks(), held()) == ({"error": 1, "ok": 0, "idle": 2}, 0), "in between nothing is told"
    await company.advance(minutes=2)
    assert (await ticks(), held()) == ({"error": 3, "ok": 0, "idle": 0}, 1), "while it is open it fails"
    await company.advance(minutes=2)
    assert (await ticks(), held()) == ({"error": 0, "ok": 1, "idle": 2}, 0)
    leads.close()


@pytest.fixture
def post(company: Live) -> Iterator[MailServer]:
    with MailServer(clock=lambda: company.now) as server:
        yield server


@pytest.fixture
def by_mail(post: MailServer, outside: Outside) -> None:
    login = f"{quote(OURS, safe='')}:closedloop@127.0.0.1"
    outside(
        smtp_url=f"smtp://{login}:{post.port}",
        imap_url=f"imap://{login}:{post.imap_port}/INBOX",
        mail_from=f"Closedloop <{OURS}>",
    )


async def asked(live: Live, contact: str, key: str = "k") -> deliveries_pb2.Delivery:
    content = deliveries_pb2.DeliveryContent(
        dedupe_key=key,
        origin="customers",
        purpose=deliveries_pb2.DELIVERY_PURPOSE_SERVICE,
        recipient=deliveries_pb2.Recipient(contact_id=contact),
        written=deliveries_pb2.WrittenBody(subject="新品上市：智慧黑板", text="王老师您好，新品已上市。"),
        sender_id="rep1",
    )
    stub = live.stub(DeliveryServiceStub, "ops", "operations")
    return await stub.RequestDelivery(deliveries_pb2.RequestDeliveryRequest(request_id=str(uuid4()), content=content))


async def standing(live: Live, delivery: deliveries_pb2.Delivery) -> deliveries_pb2.Delivery:
    stub = live.stub(DeliveryServiceStub, "ops", "operations")
    return await stub.GetDelivery(deliveries_pb2.GetDeliveryRequest(id=delivery.id))


send_mail = partial(sender.send, channel="mail")


async def test_a_mail_the_server_cannot_give_is_set_aside_and_those_behind_it_are_read(
    company: Live, post: MailServer, by_mail: None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        post.deliver(f"From: a{number}@school.cn\r\nSubject: h{number}\r\n\r\nhello {number}\r\n".encode(), OURS)
    asking = PacedImap.uid

    def uid(imap: PacedImap, command: str, *arguments: str) -> tuple[str, list[Any]]:
        if command == "FETCH" and arguments[0] == "2":
            return "NO", [b"[SERVERBUG] it cannot be converted"]
        return asking(imap, command, *arguments)

    monkeypatch.setattr(PacedImap, "uid", uid)
    for _ in range(3):
        await run(mail.poll)
        await company.advance(minutes=1)
    assert await company.db.value("SELECT string_agg(from_address, ' ' ORDER BY from_address) FROM mail") == (
        "a0@school.cn a2@school.cn"
    )
    found = await source(company, "mail")
    assert (found.circuit.consecutive_failures, found.quarantined) == (0, 1)
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="mail"))).items
    assert (item.reason, "SERVERBUG" in item.message) == ("MAIL_NOT_GIVEN", True)


async def test_addresses_nobody_can_write_to_keep_no_other_mail(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run
) -> None:
    account = await known.account("济南市第三中学")
    wrong = []
    # Of a release that asked for anything with an @.
    for number, address in enumerate(
        ("a@b@c.cn", "li@school..cn", "a@[1.2.3", "王@school.cn", "li@x.cn\nRCPT TO:<b@x.cn>")
    ):
        delivery = await asked(
            company, await known.contact(f"错{number}", account, f"{number}@school.cn"), f"k{number}"
        )
        tx = company.process.database.transaction()
        tx.do("UPDATE delivery SET address = %(to)s WHERE id = %(id)s", {"to": address, "id": delivery.id})
        await tx.commit()
        wrong.append(delivery)
    fair = [
        await asked(company, await known.contact("好", account, address), address)
        for address in ("wang@学校.cn", "good@school.cn")
    ]
    await run(send_mail)
    assert [(await standing(company, each)).state for each in fair] == [deliveries_pb2.DELIVERY_STATE_SENT] * 2
    assert [(await standing(company, each)).state for each in wrong] == [deliveries_pb2.DELIVERY_STATE_BOUNCED] * 5
    assert (await source(company, "mail_out")).circuit.consecutive_failures == 0


@pytest.mark.mission("S69")
async def test_what_arrives_is_heard_and_not_waited_for(
    company: Live, post: MailServer, by_mail: None, run: Run, desk: StillDesk
) -> None:
    """The next turn would be ten seconds away."""
    await run(mail.poll)
    [before] = (await source(company, "mail")).polls
    assert before.next_time.ToDatetime(tzinfo=UTC) > company.now
    login = f"imap://{quote(OURS, safe='')}:closedloop@127.0.0.1:{post.imap_port}/INBOX"

    def heard() -> bool:
        with ImapMailbox(login, PollRules()) as mailbox:
            return mailbox.wait(30)

    def silence() -> bool:
        with ImapMailbox(login, PollRules()) as mailbox:
            return mailbox.wait(0.3)

    assert not await asyncio.to_thread(silence)
    waiting = asyncio.create_task(asyncio.to_thread(heard))
    while not waiting.done():
        post.deliver(b"From: a@school.cn\r\nTo: x\r\nSubject: hello\r\n\r\nhello\r\n", OURS)
        await asyncio.wait({waiting}, timeout=0.5)
    assert waiting.result()
    await asyncio.to_thread(listening.wake, desk)
    [after] = (await source(company, "mail")).polls
    assert after.next_time.ToDatetime(tzinfo=UTC) == company.now
    await run(mail.poll)
    assert await company.db.value("SELECT count(*) FROM mail") > 0


@pytest.mark.mission("S69", "S73", "S32")
async def test_a_mail_leaves_its_answer_comes_back_and_says_the_job_has_changed(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run
) -> None:
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    delivery = await asked(company, contact)
    await run(send_mail)
    [received] = post.mailbox("wang@school.cn").messages
    assert received.subject == "新品上市：智慧黑板"
    assert received.text.startswith("王老师您好，新品已上市。\n\n-- \n张三")
    assert received.message["message-id"] == f"<{delivery.id}@closedloop.test>"
    assert str(received.message["from"]) == f"张三 <{OURS}>"
    assert (await standing(company, delivery)).state == deliveries_pb2.DELIVERY_STATE_SENT
    await run(send_mail)
    assert len(post.mailbox("wang@school.cn").messages) == 1

    post.reply(received, "您好，我已调任信息中心主任。", "王老师 <wang@school.cn>")
    await run(mail.poll)
    outbound, inbound = [told.mail for told in await company.told(events.MailReceived)]
    assert outbound.thread_id == inbound.thread_id
    assert inbound.facts[0].kind == mail_pb2.MAIL_FACT_KIND_JOB_CHANGE
    assert (await standing(company, delivery)).state == deliveries_pb2.DELIVERY_STATE_REPLIED
    assert post.mailbox(OURS).messages[0].flags == set(), "reading leaves no trace"
    await company.advance(seconds=30)
    post.mailbox(OURS).renumber()
    await run(mail.poll)
    assert len(await company.told(events.MailReceived)) == 2, "renumbered mails are known by their content"


@pytest.mark.mission("S73")
async def test_an_unknown_address_bounces_and_a_busy_server_is_tried_again(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run
) -> None:
    account = await known.account("济南市第三中学")
    gone = await asked(company, await known.contact("走了", account, "gone@school.cn"), "k1")
    busy = await asked(company, await known.contact("在", account, "here@school.cn"), "k2")
    post.refused = {"gone@school.cn"}
    post.deferrals = 1
    await run(send_mail)
    assert (await standing(company, gone)).state == deliveries_pb2.DELIVERY_STATE_BOUNCED
    waiting = await standing(company, busy)
    assert (waiting.state, waiting.attempts, waiting.reason) == (deliveries_pb2.DELIVERY_STATE_QUEUED, 1, "retry")
    await company.advance(seconds=31)
    await run(send_mail)
    assert (await standing(company, busy)).state == deliveries_pb2.DELIVERY_STATE_SENT
    assert len(post.mailbox("here@school.cn").messages) == 1


@pytest.mark.mission("S73")
async def test_a_server_that_is_away_costs_an_attempt_and_a_sender_that_died_leaves_no_second_mail(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run, desk: StillDesk
) -> None:
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    delivery = await asked(company, contact)
    post.stop()
    await run(send_mail)
    assert (await standing(company, delivery)).state == deliveries_pb2.DELIVERY_STATE_QUEUED
    assert (await source(company, "mail_out")).circuit.consecutive_failures == 1
    post.start()
    await company.advance(minutes=1)
    # As a courier that was killed in mid-send leaves it.
    with desk.connection() as connection:
        claim = sender._claim(connection, "mail", company.now, 180)
        assert claim is not None
        connection.execute("UPDATE delivery SET leased_until = clock_timestamp() - interval '1 second'")
    await run(send_mail)
    await run(sender.give_up_leases)
    await run(sender.give_up_leases)
    uncertain = await standing(company, delivery)
    assert (uncertain.state, uncertain.attempts) == (deliveries_pb2.DELIVERY_STATE_UNCERTAIN, 2)
    await company.advance(days=1)
    await run(send_mail)
    assert post.mailbox("wang@school.cn").messages == [], "nobody sends it again by himself"


@pytest.mark.mission("S73")
async def test_what_could_not_leave_by_day_does_not_leave_by_night(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run
) -> None:
    """The channel was paused when it was due; when it opens again, it is 21:30 there."""
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    delivery = await asked(company, contact)
    await company.move_to(datetime(2026, 1, 5, 13, 30, tzinfo=UTC))
    await run(send_mail)
    assert post.mailbox("wang@school.cn").messages == []
    await run(sender.look_again)
    await run(sender.look_again)
    held = await standing(company, delivery)
    assert (held.state, held.reason, held.rule.rule) == (
        deliveries_pb2.DELIVERY_STATE_HELD,
        "quiet_hours",
        "quiet.service",
    )
    await company.move_to(datetime(2026, 1, 6, 0, 1, tzinfo=UTC))
    await run(sender.look_again)
    await run(send_mail)
    assert len(post.mailbox("wang@school.cn").messages) == 1
    assert (await standing(company, delivery)).attempts == 1


@pytest.mark.mission("S73")
async def test_a_gateway_that_fails_in_words_of_its_own_may_have_taken_it(
    company: Live, known: Known, by_mail: None, run: Run, post: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who says that nothing was taken is tried again."""
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    delivery = await asked(company, contact)
    hand_over = SmtpGateway.send

    def broken(gateway: SmtpGateway, letter: Letter) -> Receipt:
        hand_over(gateway, letter)
        raise LostError("the answer was lost on the way")

    monkeypatch.setattr(SmtpGateway, "send", broken)
    await run(send_mail)
    monkeypatch.undo()
    assert (await standing(company, delivery)).state == deliveries_pb2.DELIVERY_STATE_UNCERTAIN
    await company.advance(days=1)
    await run(send_mail)
    assert len(post.mailbox("wang@school.cn").messages) == 1


async def test_an_expired_message_is_not_handed_over(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run
) -> None:
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    content = deliveries_pb2.DeliveryContent(
        dedupe_key="k",
        origin="x",
        purpose=deliveries_pb2.DELIVERY_PURPOSE_SERVICE,
        recipient=deliveries_pb2.Recipient(contact_id=contact),
        written=deliveries_pb2.WrittenBody(text="今天有效"),
    )
    content.expire_time.FromDatetime(company.now + timedelta(hours=1))
    await company.hear(events.DeliveryRequested(content=content), "x")
    await company.advance(hours=2)
    await run(send_mail)
    [report] = await company.told(events.DeliveryReported)
    assert (report.state, report.reason) == (deliveries_pb2.DELIVERY_STATE_SUPPRESSED, "expired")
    assert post.mailbox("wang@school.cn").messages == []


async def test_a_mail_that_is_too_large_is_set_aside_unread(
    company: Live, post: MailServer, by_mail: None, run: Run
) -> None:
    await rules(company, "integrations.sources", {"polls": {"mail": {"max_bytes": 2000}}})
    post.deliver(b"From: a@b.cn\r\nSubject: big\r\n\r\n" + b"x" * 5000, OURS)
    post.deliver(b"From: a@b.cn\r\nSubject: small\r\n\r\nhello", OURS)
    await run(mail.poll)
    assert [told.mail.subject for told in await company.told(events.MailReceived)] == ["small"]
    operations = company.stub(SourceServiceStub, "ops", "operations")
    [item] = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="mail"))).items
    assert item.reason == "MAIL_TOO_LARGE"


@pytest.mark.mission("S73")
@pytest.mark.parametrize("channel", ["wecom", "dingtalk"])
async def test_chat_robots_are_told_signed_and_with_the_colleague_mentioned(
    company: Live, outside: Outside, run: Run, channel: str
) -> None:
    with ChatRobots() as chat:
        dingtalk = {"default": {"url": chat.dingtalk_url(), "secret": "SEC-demo"}}
        outside(wecom_robots=json.dumps({"default": chat.wecom_url()}), dingtalk_robots=json.dumps(dingtalk))
        content = deliveries_pb2.DeliveryContent(
            dedupe_key="k",
            origin="approvals",
            channel=deliveries_pb2.Channel.Value(f"CHANNEL_{channel.upper()}"),
            purpose=deliveries_pb2.DELIVERY_PURPOSE_INTERNAL,
            recipient=deliveries_pb2.Recipient(person_id="rep1", address="zhangsan"),
            written=deliveries_pb2.WrittenBody(subject="待审批", text="请处理 25% 折扣"),
        )
        await company.hear(events.DeliveryRequested(content=content), "x")
        await run(partial(sender.send, channel=channel))
        [message] = chat.messages
        assert (message.platform, message.text, message.mentions) == (channel, "待审批\n请处理 25% 折扣", ("zhangsan",))
        [report] = await company.told(events.DeliveryReported)
        assert report.state == deliveries_pb2.DELIVERY_STATE_SENT


async def test_a_robot_that_is_told_too_fast_waits_and_a_wrong_key_fails(
    company: Live, outside: Outside, run: Run
) -> None:
    with ChatRobots(limit=1) as chat:
        outside(wecom_robots=json.dumps({"default": chat.wecom_url(), "wrong": chat.wecom_url("none")}))
        for number, robot in enumerate(("default", "default", "wrong")):
            content = deliveries_pb2.DeliveryContent(
                dedupe_key=f"k{number}",
                origin="x",
                purpose=deliveries_pb2.DELIVERY_PURPOSE_INTERNAL,
                recipient=deliveries_pb2.Recipient(robot=robot),
                written=deliveries_pb2.WrittenBody(text=f"第{number}条"),
            )
            await company.hear(events.DeliveryRequested(content=content), "x")
        await run(partial(sender.send, channel="wecom"))
        states = {
            row["dedupe_key"]: row["state"] for row in await company.db.all("SELECT dedupe_key, state FROM delivery")
        }
        assert states == {"k0": "sent", "k1": "queued", "k2": "failed"}
        assert await company.db.value("SELECT due_at FROM delivery WHERE dedupe_key = 'k1'") == company.now + timedelta(
            minutes=1
        )


@pytest.mark.mission("S73")
async def test_short_messages_leave_under_an_approved_template(
    company: Live, known: Known, outside: Outside, run: Run
) -> None:
    account = await known.account("济南市第三中学")
    teacher = await known.contact("王老师", account, phones=["+8613812345678"])
    landline = await known.contact("李老师", account, phones=["+8602112345678"])
    stub = company.stub(DeliveryServiceStub, "ops", "operations")

    async def ask(key: str, contact: str) -> deliveries_pb2.Delivery:
        content = deliveries_pb2.DeliveryContent(
            dedupe_key=key,
            origin="customers",
            channel=deliveries_pb2.CHANNEL_SMS,
            purpose=deliveries_pb2.DELIVERY_PURPOSE_SERVICE,
            recipient=deliveries_pb2.Recipient(contact_id=contact),
            written=deliveries_pb2.WrittenBody(text="工程师周一上门 & 请开门"),
        )
        return await stub.RequestDelivery(
            deliveries_pb2.RequestDeliveryRequest(request_id=str(uuid4()), content=content)
        )

    async def told(key: str) -> tuple[str, str, str]:
        row = await company.db.one(
            "SELECT state, reason, gateway_id FROM delivery WHERE dedupe_key = %(k)s", {"k": key}
        )
        return row["state"], row["reason"], row["gateway_id"]

    send = partial(sender.send, channel="sms")
    with SmsPlatform(limit=1) as platform:
        way = {"sms_url": platform.url, "sms_key_id": platform.key_id, "sms_sign": platform.sign}
        outside(**way, sms_key_secret=platform.key_secret)
        with company.refused("FAILED_PRECONDITION", "SMS_TEMPLATE_MISSING"):
            await ask("k0", teacher)
        await rules(company, "integrations.deliveries", {"sms_templates": {"service": {"code": "SMS_1"}}})
        await ask("k1", teacher)
        await ask("k2", landline)
        await ask("k3", teacher)
        await run(send)
        [message] = platform.messages
        assert (message.number, message.text) == ("+8613812345678", "【闭环】工程师周一上门 & 请开门。退订回TD")
        assert await told("k1") == ("sent", "", message.biz_id)
        assert (await told("k2"))[:2] == ("bounced", "address_unknown"), "no mobile number"
        assert (await told("k3"))[0] == "queued", "one number hears so often an hour"
        outside(**way, sms_key_secret="other")
        await company.advance(hours=2)
        await run(send)
        assert (await told("k3"))[0] == "failed"
        assert len(platform.messages) == 1


@pytest.mark.mission("S69", "U15")
async def test_a_signed_webhook_brings_a_mail_once(company: Live, desk: StillDesk, outside: Outside) -> None:
    secret = base64.b64encode(b"0123456789abcdef").decode()
    outside(webhook_secret=f"whsec_{secret}")
    raw = b"From: wang@school.cn\r\nSubject: hello\r\n\r\nhi"

    def request(body: bytes = raw, stamp: int | None = None, signed: bytes = raw) -> Request:
        at = str(stamp or int(time.time()))
        digest = hmac.new(b"0123456789abcdef", f"m1.{at}.".encode() + signed, hashlib.sha256).digest()
        headers = {
            "webhook-id": "m1",
            "webhook-timestamp": at,
            "webhook-signature": f"v1,AAAA v1,{base64.b64encode(digest).decode()}",
        }
        return Request("POST", "/hooks/mail", headers, {}, body)

    answers = [(await asyncio.to_thread(webhook.receive, desk, request())).status for _ in range(2)]
    assert answers == [201, 200]
    await company.settle()
    assert [told.mail.subject for told in await company.told(events.MailReceived)] == ["hello"]
    for wrong, reason in (
        (request(signed=b"other"), "SIGNATURE_WRONG"),
        (request(stamp=int(time.time()) - 3600), "SIGNATURE_EXPIRED"),
        (Request("POST", "/hooks/mail", {}, {}, raw), "SIGNATURE_EXPIRED"),
        # More digits than Python makes a number of.
        (request(stamp=int(time.time()) * 10**4000), "SIGNATURE_EXPIRED"),
        (
            Request("POST", "/hooks/mail", {"webhook-id": "m1", "webhook-timestamp": "9" * 5000}, {}, raw),
            "SIGNATURE_EXPIRED",
        ),
    ):
        with pytest.raises(errors.Unauthenticated) as refused:
            webhook.receive(desk, wrong)
        assert refused.value.reason == reason


@pytest.mark.mission("S27")
async def test_opens_and_clicks_are_counted_once_by_signed_links_alone(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run, desk: StillDesk, outside: Outside
) -> None:
    outside(public_url="https://go.closedloop.test/", link_secret="s3cret")
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    content = deliveries_pb2.DeliveryContent(
        dedupe_key="wake",
        origin="customers",
        purpose=deliveries_pb2.DELIVERY_PURPOSE_MARKETING,
        recipient=deliveries_pb2.Recipient(contact_id=contact),
        written=deliveries_pb2.WrittenBody(subject="新品", text="请看 https://x.cn/p?a=1&b=<2。"),
        sender_id="rep1",
    )
    stub = company.stub(DeliveryServiceStub, "ops", "operations")
    delivery = await stub.RequestDelivery(
        deliveries_pb2.RequestDeliveryRequest(request_id=str(uuid4()), content=content)
    )
    await run(send_mail)
    [received] = post.mailbox("wang@school.cn").messages
    page = received.message.get_body(("html",)).get_content()
    [target, picture] = [html.unescape(found) for found in re.findall(r'(?:href|src)="([^"]+)"', page)]
    assert ">https://x.cn/p?a=1&amp;b=</a>" in page
    assert target in received.text.replace("\n", "")

    async def asked_for(address: str, part: Callable[[Desk, Request], Response]) -> Response:
        url = urlsplit(address)
        delivery_id = url.path.rpartition("/")[2]
        request = Request("GET", url.path, {}, dict(parse_qsl(url.query)), b"", {"delivery": delivery_id})
        return await asyncio.to_thread(part, desk, request)

    for _ in range(3):
        seen = await asked_for(picture, links.opened)
        assert (seen.status, seen.body[:3]) == (200, b"GIF")
    await company.settle()
    assert (await standing(company, delivery)).state == deliveries_pb2.DELIVERY_STATE_OPENED
    for _ in range(3):
        led = await asked_for(target, links.clicked)
        assert (led.status, led.headers["location"]) == (302, "https://x.cn/p?a=1&b=")
    await asked_for(picture, links.opened)
    await company.settle()
    assert (await standing(company, delivery)).state == deliveries_pb2.DELIVERY_STATE_CLICKED
    states = [one.state for one in await company.told(events.DeliveryReported)]
    assert states.count(deliveries_pb2.DELIVERY_STATE_OPENED) == 1
    assert states.count(deliveries_pb2.DELIVERY_STATE_CLICKED) == 1
    # Elsewhere, for another message, of another kind, unsigned: nobody is led anywhere, nothing is counted.
    other = str(uuid4())
    for forged, part in (
        (target.replace("x.cn", "evil.cn"), links.clicked),
        (target.replace(delivery.id, other), links.clicked),
        (picture.replace("/open/", "/click/"), links.clicked),
        (picture.partition("?")[0], links.opened),
        (f"{picture}é", links.opened),
    ):
        with pytest.raises(errors.Unauthenticated) as refused:
            await asked_for(forged, part)
        assert refused.value.reason == "SIGNATURE_WRONG"
    outside(link_secret="n3w s3cret")
    assert (await asked_for(target, links.clicked)).status == 302, (
        "what lies in mailboxes outlives the change of a secret"
    )
    signed = links.signed()
    assert signed is not None
    assert signed.link(delivery.id, "https://x.cn/p") != links.Signed(signed.base, ("s3cret",)).link(
        delivery.id, "https://x.cn/p"
    )
    outside(link_secret="")
    with pytest.raises(errors.NotFound):
        await asked_for(target, links.clicked)


@pytest.mark.mission("S27", "S73")
async def test_mail_that_nobody_asked_for_is_unsubscribed_from_in_one_click(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run, desk: StillDesk, outside: Outside
) -> None:
    outside(public_url="https://go.closedloop.test", link_secret="s3cret")
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    stub = company.stub(DeliveryServiceStub, "ops", "operations")

    async def ask(key: str, purpose: deliveries_pb2.DeliveryPurpose.ValueType) -> deliveries_pb2.Delivery:
        content = deliveries_pb2.DeliveryContent(
            dedupe_key=key,
            origin="customers",
            purpose=purpose,
            recipient=deliveries_pb2.Recipient(contact_id=contact),
            written=deliveries_pb2.WrittenBody(subject=key, text="您好"),
            sender_id="rep1",
        )
        return await stub.RequestDelivery(
            deliveries_pb2.RequestDeliveryRequest(request_id=str(uuid4()), content=content)
        )

    service, marketing = deliveries_pb2.DELIVERY_PURPOSE_SERVICE, deliveries_pb2.DELIVERY_PURPOSE_MARKETING
    await ask("service", service)
    await ask("news", marketing)
    await run(send_mail)
    letters = {one.message["Subject"]: one.message for one in post.mailbox("wang@school.cn").messages}
    assert letters["service"]["List-Unsubscribe"] is None
    assert letters["news"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = urlsplit(letters["news"]["List-Unsubscribe"].strip("<>"))

    async def called(method: str, query: str, body: bytes = b"") -> Response:
        values = {"delivery": url.path.rpartition("/")[2]}
        request = Request(method, url.path, {}, dict(parse_qsl(query)), body, values)
        return await asyncio.to_thread(links.left, desk, request)

    with pytest.raises(errors.Unauthenticated):
        await called("POST", f"{url.query}x", b"List-Unsubscribe=One-Click")
    page = await called("GET", url.query)
    assert b'<form method="post">' in page.body
    await company.settle()
    assert not await company.told(events.ConsentChanged), "a scanner that follows links unsubscribes nobody"
    for _ in range(2):
        assert (await called("POST", url.query, b"List-Unsubscribe=One-Click")).status == 200
    await company.settle()
    [said] = await company.told(events.ConsentChanged)
    assert (said.consent.allowed, said.consent.cause, said.consent.address) == (False, "unsubscribe", "wang@school.cn")
    assert (await ask("more", marketing)).state == deliveries_pb2.DELIVERY_STATE_SUPPRESSED
    assert (await ask("again", service)).state == deliveries_pb2.DELIVERY_STATE_QUEUED


async def test_nothing_is_called_that_is_not_configured(company: Live, outside: Outside, run: Run) -> None:
    for part in courier.PARTS:
        if isinstance(part, Poller):
            await run(part.run)
    stub = company.stub(SourceServiceStub, "ops", "operations")
    states = {s.state for s in (await stub.ListSources(sources_pb2.ListSourcesRequest())).sources}
    assert states == {sources_pb2.SOURCE_STATE_NOT_CONFIGURED}


async def test_a_paused_source_is_left_alone(company: Live, site: ProcurementSite, outside: Outside, run: Run) -> None:
    outside(procurement_url=site.url)
    stub = company.stub(SourceServiceStub, "ops", "operations")
    etag = (await source(company, "procurement")).etag
    pause = sources_pb2.ChangeSourceStateRequest(request_id=str(uuid4()), name="procurement", etag=etag, reason="x")
    pause.action = sources_pb2.SOURCE_ACTION_PAUSE
    await stub.ChangeSourceState(pause)
    await run(notices.poll)
    assert site.requests == []


@pytest.mark.mission("S73")
@pytest.mark.parametrize("answer", [(-1, b"?? queued"), (354, b"go on"), (220, b"hello")])
async def test_an_answer_nobody_understands_leaves_a_mail_uncertain_and_sent_once(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    taken = smtplib.SMTP.data

    def data(self: smtplib.SMTP, content: Any) -> tuple[int, bytes]:
        taken(self, content)
        return answer

    monkeypatch.setattr(smtplib.SMTP, "data", data)
    delivery = await asked(
        company, await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    )
    for _ in range(3):
        await run(send_mail)
        await company.advance(hours=2)
    assert (await standing(company, delivery)).state == deliveries_pb2.DELIVERY_STATE_UNCERTAIN
    assert len(post.mailbox("wang@school.cn").messages) == 1


@pytest.mark.mission("S73")
async def test_a_contact_and_his_address_are_one_person_to_a_key(
    company: Live, known: Known, post: MailServer, by_mail: None, run: Run
) -> None:
    contact = await known.contact("王老师", await known.account("济南市第三中学"), "wang@school.cn")
    delivery = await asked(company, contact)
    content = deliveries_pb2.DeliveryContent()
    content.CopyFrom(
        deliveries_pb2.DeliveryContent(
            dedupe_key="k",
            origin="customers",
            purpose=deliveries_pb2.DELIVERY_PURPOSE_SERVICE,
            recipient=deliveries_pb2.Recipient(address_only="Wang@school.cn"),
            written=deliveries_pb2.WrittenBody(subject="新品", text="您好"),
        )
    )
    stub = company.stub(DeliveryServiceStub, "ops", "operations")
    again = await stub.RequestDelivery(deliveries_pb2.RequestDeliveryRequest(request_id=str(uuid4()), content=content))
    assert again.id == delivery.id
    other = deliveries_pb2.DeliveryContent()
    other.CopyFrom(content)
    other.dedupe_key = "k2"
    both = deliveries_pb2.DeliveryContent()
    both.CopyFrom(other)
    both.recipient.contact_id = contact
    summary = await stub.BulkRequestDeliveries(
        deliveries_pb2.BulkRequestDeliveriesRequest(request_id=str(uuid4()), rows=[content, other, both])
    )
    assert summary.created == 1
    await run(send_mail)
    assert len(post.mailbox("wang@school.cn").messages) == 2
