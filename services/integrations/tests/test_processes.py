"""Integrations as it runs: api and courier as processes of their own, the outside simulated, one of them killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import grpc
import psycopg
import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.integrations.v1 import deliveries_pb2 as deliveries
from closedloop.integrations.v1 import erp_pb2, mail_pb2, notices_pb2, sources_pb2, webhooks_pb2
from closedloop.integrations.v1.deliveries_pb2_grpc import DeliveryServiceStub
from closedloop.integrations.v1.erp_pb2_grpc import ErpServiceStub
from closedloop.integrations.v1.mail_pb2_grpc import MailServiceStub
from closedloop.integrations.v1.notices_pb2_grpc import NoticeServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop.integrations.v1.webhooks_pb2_grpc import WebhookServiceStub
from closedloop_devstack.simulators.chat import ChatRobots
from closedloop_devstack.simulators.erp import ErpServer
from closedloop_devstack.simulators.mail import MailServer
from closedloop_devstack.simulators.procurement import Notice, ProcurementSite
from closedloop_devstack.simulators.subscriber import Subscriber
from closedloop_integrations.sources.rules import PollRules, SourceRules

pytestmark = pytest.mark.timeout(180)

OURS = "sales@closedloop.test"
SHORT_LEASE = """
INSERT INTO rulebook (name, version, effective_at, body, author_id, reason, created_at)
VALUES ('integrations.deliveries', 1, now(), '{"lease_seconds": 10}', 'test', 'test', now()),
       ('integrations.webhooks', 1, now(), '{"lease_seconds": 10}', 'test', 'test', now());
UPDATE memory_revision SET value = value + 1 WHERE name = 'rulebook';
"""
PUBLISH = """
INSERT INTO rulebook (name, version, effective_at, body, author_id, reason, created_at)
VALUES (%(name)s, 1, now(), %(body)s, 'test', 'test', now())
"""
# Longer than anything else here takes.
HANGS_SECONDS = 120.0

Eventually = Callable[[Callable[[], Any], str], Any]


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[ProcurementSite, MailServer, ChatRobots]]:
    with ProcurementSite(limit=0) as site, MailServer() as post, ChatRobots() as chat:
        yield site, post, chat


@pytest.fixture(scope="module")
def subscriber() -> Iterator[Subscriber]:
    with Subscriber() as door:
        yield door


@pytest.fixture(scope="module")
def books() -> Iterator[ErpServer]:
    with ErpServer() as server:
        yield server


@pytest.fixture(scope="module")
def running(
    platform: Callable[..., Any],
    world: tuple[ProcurementSite, MailServer, ChatRobots],
    subscriber: Subscriber,
    books: ErpServer,
) -> Any:
    site, post, chat = world
    login = f"{quote(OURS, safe='')}:closedloop@127.0.0.1"
    outside = {
        "PROCUREMENT_URL": site.url,
        "SMTP_URL": f"smtp://{login}:{post.port}",
        "IMAP_URL": f"imap://{login}:{post.imap_port}",
        "MAIL_FROM": f"Closedloop <{OURS}>",
        "ERP_URL": books.url,
        "ERP_APP_KEY": "demo-key",
        "ERP_APP_SECRET": "demo-secret",
        "WEBHOOK_INNER_HOSTS": json.dumps([subscriber.host]),
        "WECOM_ROBOTS": json.dumps({"default": chat.wecom_url()}),
    }
    environment = {f"CLOSEDLOOP_INTEGRATIONS_{name}": value for name, value in outside.items()}
    return platform(services=("integrations",), environment=environment)


@pytest.fixture
def stub(running: Any) -> Iterator[Callable[[Any], Any]]:
    channel = grpc.insecure_channel(running.address("integrations"))
    credentials = (("authorization", f"Bearer {running.token('ops', 'operations')}"),)

    class Bearing:
        """Calls of a stub with the token."""

        def __init__(self, made: Any) -> None:
            self._made = made

        def __getattr__(self, name: str) -> Any:
            return lambda request: getattr(self._made, name)(
                request, metadata=credentials, timeout=10, wait_for_ready=True
            )

    yield lambda make: Bearing(make(channel))
    channel.close()


def eventually(found: Callable[[], Any], what: str, seconds: float = 40) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := found():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def written(key: str, **recipient: str) -> deliveries.RequestDeliveryRequest:
    content = deliveries.DeliveryContent(
        dedupe_key=key,
        origin="test",
        purpose=deliveries.DELIVERY_PURPOSE_INTERNAL,
        recipient=deliveries.Recipient(**recipient),
        written=deliveries.WrittenBody(subject="通知", text=f"消息 {key}"),
        urgent=True,
    )
    return deliveries.RequestDeliveryRequest(request_id=str(uuid4()), content=content)


@pytest.mark.mission("S69", "S70", "S73")
def test_the_courier_polls_sends_and_receives(running: Any, stub: Any, world: Any) -> None:
    site, post, _ = world
    published = Notice(
        title="济南市第三中学智慧黑板采购", buyer="济南市第三中学", published=datetime.now(UTC), body="采购。"
    )
    site.publish(published)
    notices, sources = stub(NoticeServiceStub), stub(SourceServiceStub)
    eventually(lambda: sources.GetSource(sources_pb2.GetSourceRequest(name="procurement")).polls, "it was polled once")
    sources.PollSource(sources_pb2.PollSourceRequest(request_id=str(uuid4()), name="procurement"))
    [notice] = eventually(lambda: notices.ListNotices(notices_pb2.ListNoticesRequest()).notices, "the notice is here")
    assert notice.buyer == "济南市第三中学"

    asked = stub(DeliveryServiceStub).RequestDelivery(written(str(uuid4()), address_only="wang@school.cn"))
    received = eventually(lambda: post.mailbox("wang@school.cn").messages, "the mail has left")
    post.reply(received[0], "收到，谢谢。", "王老师 <wang@school.cn>")
    mails = stub(MailServiceStub)
    answer = mail_pb2.ListMailsRequest(direction=mail_pb2.MAIL_DIRECTION_INBOUND)
    [mail] = eventually(lambda: mails.ListMails(answer).mails, "the answer is here")
    assert mail.delivery_id == asked.id

    def replied() -> bool:
        delivery = stub(DeliveryServiceStub).GetDelivery(deliveries.GetDeliveryRequest(id=asked.id))
        return bool(delivery.state == deliveries.DELIVERY_STATE_REPLIED)

    eventually(replied, "the delivery knows its answer")


@pytest.mark.mission("S70", "S71", "S73")
def test_a_system_that_takes_our_call_and_never_answers_slows_nobody_else(
    running: Any, stub: Any, world: Any, books: ErpServer
) -> None:
    """The ERP hangs in every call; the courier reads the procurement site and sends mail as ever meanwhile."""
    site, post, _ = world
    polls = SourceRules().polls | {"erp": PollRules(timeout_seconds=HANGS_SECONDS)}
    with psycopg.connect(running.database("integrations")) as connection:
        body = SourceRules(polls=polls).model_dump_json()
        connection.execute(PUBLISH, {"name": SourceRules.rulebook, "body": body})
    sources, notices = stub(SourceServiceStub), stub(NoticeServiceStub)
    asked = sources_pb2.GetSourceRequest(name="erp")
    eventually(lambda: sources.GetSource(asked).HasField("last_success_time"), "the ERP has answered before")
    books.faults = type(books.faults)(delay=HANGS_SECONDS * 2)
    sources.PollSource(sources_pb2.PollSourceRequest(request_id=str(uuid4()), name="erp"))
    eventually(lambda: books.held, "the ERP has our call, and says nothing")

    title = f"青岛市第{uuid4().hex[:6]}中学智慧黑板采购"
    site.publish(Notice(title=title, buyer="青岛市中学", published=datetime.now(UTC), body="采购。"))
    sources.PollSource(sources_pb2.PollSourceRequest(request_id=str(uuid4()), name="procurement"))
    stub(DeliveryServiceStub).RequestDelivery(written(str(uuid4()), address_only="li@school.cn"))
    listed = notices_pb2.ListNoticesRequest(query=title)
    eventually(lambda: notices.ListNotices(listed).notices, "the notice is here all the same")
    eventually(lambda: post.mailbox("li@school.cn").messages, "and the mail has left")
    still = sources.GetSource(asked)
    assert still.circuit.consecutive_failures == 0, "that call was not given up yet: it hung all the while"
    assert books.held
    books.faults = books.no_faults()


@pytest.mark.mission("S73")
def test_a_courier_killed_in_mid_send_sends_nothing_twice(running: Any, stub: Any, world: Any) -> None:
    chat = world[2]
    with psycopg.connect(running.database("integrations")) as connection:
        connection.execute(SHORT_LEASE)
    time.sleep(1.5)
    chat.faults = type(chat.faults)(delay=4.0)
    asked = stub(DeliveryServiceStub).RequestDelivery(written(str(uuid4()), robot="default"))

    def sending() -> bool:
        with psycopg.connect(running.database("integrations")) as connection:
            row = connection.execute("SELECT state FROM delivery WHERE id = %s", (asked.id,)).fetchone()
        return row is not None and row[0] == "sending"

    eventually(sending, "it is being handed over")
    time.sleep(1.0)
    [courier] = [name for name in running.processes if "courier" in name]
    os.kill(running.processes[courier].pid, signal.SIGKILL)

    def settled() -> Any:
        delivery = stub(DeliveryServiceStub).GetDelivery(deliveries.GetDeliveryRequest(id=asked.id))
        return delivery if delivery.state != deliveries.DELIVERY_STATE_QUEUED else None

    delivery = eventually(settled, "its lease has run out", seconds=60)
    assert (delivery.state, delivery.attempts) == (deliveries.DELIVERY_STATE_UNCERTAIN, 1)
    chat.faults = type(chat.faults)()
    again = stub(DeliveryServiceStub).RequestDelivery(written(str(uuid4()), robot="default"))

    def sent() -> bool:
        state = stub(DeliveryServiceStub).GetDelivery(deliveries.GetDeliveryRequest(id=again.id)).state
        return bool(state == deliveries.DELIVERY_STATE_SENT)

    eventually(sent, "the courier that came back sends on")
    texts = [message.text for message in chat.messages]
    assert len(texts) == len(set(texts)) <= 2


@pytest.mark.mission("U15")
def test_a_courier_killed_while_a_subscriber_thinks_delivers_again_under_the_same_id(
    running: Any, stub: Any, subscriber: Subscriber
) -> None:
    """After the test above, whose lease of ten seconds is in force."""
    created = stub(WebhookServiceStub).CreateSubscription(
        webhooks_pb2.CreateSubscriptionRequest(
            request_id=str(uuid4()), name="BI", url=subscriber.url, event_types=["closedloop.integrations.order.*"]
        )
    )
    subscriber.hold.clear()
    order = erp_pb2.Transaction(
        number="SO-1",
        date=Date(year=2026, month=1, day=5),
        currency="CNY",
        order=erp_pb2.Order(lines=[erp_pb2.OrderLine(line=1, net_amount=Money(currency_code="CNY", units=100))]),
        provenance=Provenance(source="erp", source_id="so-1"),
    )
    stub(ErpServiceStub).ImportTransactions(erp_pb2.ImportTransactionsRequest(request_id=str(uuid4()), rows=[order]))
    eventually(lambda: subscriber.calls, "the subscriber was called")
    [courier] = [name for name in running.processes if "courier" in name]
    os.kill(running.processes[courier].pid, signal.SIGKILL)
    subscriber.hold.set()
    asked = webhooks_pb2.GetSubscriptionRequest(id=created.subscription.id)

    def taken() -> bool:
        found = stub(WebhookServiceStub).GetSubscription(asked)
        return bool(found.HasField("last_success_time") and not found.backlog)

    eventually(taken, "it was delivered by the courier that came back", seconds=60)
    assert len(subscriber.ids) == 2
    assert len(set(subscriber.ids)) == 1
    assert subscriber.signed(created.secret)
    assert subscriber.bodies[-1]["data"]["number"] == "SO-1"
