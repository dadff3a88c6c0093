"""Our events at the doors of those who subscribed: signed, in order, at least once, and never where they must not go."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.interval_pb2 import Interval

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import webhooks_pb2 as pb
from closedloop.integrations.v1.webhooks_pb2_grpc import WebhookServiceStub
from closedloop_chassis import contract, errors, protos
from closedloop_chassis.courier.database import pool
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.rulebook.shelf import Edition
from closedloop_devstack.simulators.subscriber import Subscriber
from closedloop_devstack.testing.service import Live
from closedloop_integrations.settings import Outside
from closedloop_integrations.webhooks import catalogue, envelope, guard, sender, trying
from closedloop_integrations.webhooks.posting import post
from closedloop_integrations.webhooks.rules import Health, WebhookRules, delay, judge

NOW = datetime(2026, 1, 5, 1, tzinfo=UTC)
CONTACT = "closedloop.customers.contact.changed.v1"
LEADS = "closedloop.customers.lead.*"


class StillDesk(Desk):
    """A desk whose time is the test's."""

    live: Live

    def now(self) -> datetime:
        return self.live.now


@pytest.fixture
def door() -> Iterator[Subscriber]:
    made = Subscriber()
    yield made
    made.close()


@pytest.fixture
async def deliver(company: Live) -> AsyncIterator[Callable[..., Any]]:
    connections = pool(company.process.settings, "integrations")
    desk = StillDesk("integrations", company.process.settings, connections)
    desk.live = company

    async def once(*, settle: bool = True) -> None:
        """A turn, and, unless somebody hangs, until everybody who was begun with is done."""
        await asyncio.to_thread(sender.deliver, desk)
        if settle:
            await asyncio.to_thread(until, lambda: not sender._busy)

    yield once
    connections.close(timeout=1)


def until(holds: Callable[[], bool]) -> None:
    """Raises AssertionError where it does not within a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rid() -> str:
    return str(uuid4())


def stub(live: Live, person: str = "ops", *roles: str) -> Any:
    return live.stub(WebhookServiceStub, person, *(roles or ("operations",)))


async def subscribe(live: Live, url: str, *types: str, **given: Any) -> Any:
    return await stub(live).CreateSubscription(
        pb.CreateSubscriptionRequest(request_id=rid(), name="BI", url=url, event_types=types or [LEADS], **given)
    )


async def state(live: Live, id: str) -> Any:
    return await stub(live).GetSubscription(pb.GetSubscriptionRequest(id=id))


async def attempts(live: Live, id: str, **given: Any) -> list[pb.WebhookAttempt]:
    request = pb.ListWebhookAttemptsRequest(subscription_id=id, **given)
    return list((await stub(live).ListWebhookAttempts(request)).attempts)


async def lead(live: Live, subject: str, unit: str = "east", event_id: str | None = None) -> str:
    event_id = event_id or str(uuid4())
    message = customers.LeadAssigned(lead_id=subject, ownership=Ownership(owner_id="rep1", unit_id=unit))
    await live.hear(message, subject, event_id=event_id)
    return event_id


async def rulebook(live: Live, **body: Any) -> None:
    shelf, name = live.process.rulebooks, WebhookRules.rulebook
    edition = shelf.edition(name, live.now)
    tx = live.process.database.transaction()
    await shelf.publish(tx, Edition(name, edition.version, live.now, edition.body | body, "ops", "test", live.now))
    await tx.commit()
    await live.process.look()


@pytest.mark.mission("U15")
async def test_an_event_arrives_signed_once_and_is_counted(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any]
) -> None:
    outside(webhook_inner_hosts=json.dumps([door.host]))
    made = await subscribe(company, door.url)
    assert made.secret.startswith("whsec_")
    first = await lead(company, "l1")
    await lead(company, "l1", event_id=first)
    await company.hear(funnel.OpportunityWon(), "o1")
    assert (await state(company, made.subscription.id)).backlog == 1
    await deliver()
    await deliver()
    assert door.ids == [first]
    headers, body = door.calls[0]
    assert door.signed(made.secret)
    assert headers["content-type"].startswith("application/cloudevents+json")
    event = json.loads(body)
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", first, "closedloop.customers.lead.assigned.v1")
    assert (event["source"], event["subject"], event["data"]["leadId"]) == ("closedloop/customers", "l1", "l1")
    now = await state(company, made.subscription.id)
    assert (now.backlog, now.consecutive_failures, now.HasField("last_success_time")) == (0, 0, True)
    [attempt] = await attempts(company, now.id)
    assert (attempt.status, attempt.acknowledged, attempt.attempt, attempt.answer) == (200, True, 1, "thanks")
    audited = await company.db.all(
        "SELECT action, changes::text AS changes FROM audit_entry WHERE subject = %(id)s", {"id": now.id}
    )
    assert [row["action"] for row in audited] == ["subscribe"]
    assert made.secret not in str(audited)


@pytest.mark.mission("U15")
async def test_what_failed_goes_again_in_order_and_nothing_is_lost(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any]
) -> None:
    """Of one subject the second waits for the first; another subject does not."""
    outside(webhook_inner_hosts=json.dumps([door.host]))
    made = await subscribe(company, door.url)
    door.says(500)
    first, second, other = await lead(company, "l1"), await lead(company, "l1"), await lead(company, "l2")
    await deliver()
    assert door.ids == [first, other]
    [failed] = await attempts(company, made.subscription.id, failed_only=True)
    assert (failed.status, failed.answer, failed.event_id) == (500, "no", first)
    assert failed.next_attempt_time.ToDatetime(tzinfo=UTC) == company.now + timedelta(seconds=5)
    await deliver()
    assert len(door.calls) == 2, "not before its time"
    company.process.time.stop_at(company.now + timedelta(seconds=6))
    await deliver()
    assert door.ids == [first, other, first, second]
    assert [a.attempt for a in await attempts(company, made.subscription.id, event_id=first)] == [2, 1]


@pytest.mark.mission("U15")
async def test_who_dies_between_sending_and_noting_sends_again_with_the_same_id(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside(webhook_inner_hosts=json.dumps([door.host]))
    made = await subscribe(company, door.url)
    first = await lead(company, "l1")
    with monkeypatch.context() as broken:
        broken.setattr(sender, "_settle", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        await deliver()
    assert door.ids == [first]
    assert (await state(company, made.subscription.id)).backlog == 1
    await deliver()
    assert door.ids == [first], "the lease of the dead one still holds"
    tx = company.process.database.transaction()
    tx.do("UPDATE webhook_subscription SET leased_until = clock_timestamp() - interval '1 s'", {})
    await tx.commit()
    await deliver()
    assert door.ids == [first, first]
    assert (await state(company, made.subscription.id)).backlog == 0


@pytest.mark.mission("U15")
async def test_who_fails_for_too_long_is_stopped_and_goes_on_where_it_stopped(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any]
) -> None:
    outside(webhook_inner_hosts=json.dumps([door.host]))
    await rulebook(company, breaker_failures=2, stop_failures=3, stop_hours=0)
    made = await subscribe(company, door.url)
    ids = [await lead(company, f"l{number}") for number in range(4)]
    door.says(503, 503, 503)
    await deliver()
    assert len(door.calls) == 2, "its circuit is open"
    await deliver()
    assert len(door.calls) == 2
    company.process.time.stop_at(company.now + timedelta(minutes=1))
    await deliver()
    stopped = await state(company, made.subscription.id)
    assert (stopped.state, stopped.consecutive_failures, stopped.backlog) == (pb.SUBSCRIPTION_STATE_FAILING, 3, 4)
    ids.append(await lead(company, "l5"))
    company.process.time.stop_at(company.now + timedelta(hours=2))
    await deliver()
    assert len(door.calls) == 3, "nobody calls"
    again = pb.UpdateSubscriptionRequest(
        request_id=rid(),
        id=stopped.id,
        etag=stopped.etag,
        subscription=pb.Subscription(state=pb.SUBSCRIPTION_STATE_ACTIVE),
        update_mask=FieldMask(paths=["state"]),
    )
    assert (await stub(company).UpdateSubscription(again)).consecutive_failures == 0
    await deliver()
    assert sorted(door.ids[3:]) == sorted(ids)
    door.says(410)
    await lead(company, "l6")
    await deliver()
    assert (await state(company, stopped.id)).state == pb.SUBSCRIPTION_STATE_FAILING, "410 means: no more"


@pytest.mark.mission("U15")
async def test_one_that_hangs_delays_nobody_else(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any]
) -> None:
    slow = Subscriber()
    slow.hold.clear()
    try:
        outside(webhook_inner_hosts=json.dumps([door.host, slow.host]))
        await subscribe(company, slow.url)
        await subscribe(company, door.url)
        first = await lead(company, "l1")
        await deliver(settle=False)
        await asyncio.to_thread(until, lambda: door.ids == [first] and slow.ids == [first] and len(sender._busy) == 1)
        second = await lead(company, "l2")
        await deliver(settle=False)
        await asyncio.to_thread(until, lambda: door.ids == [first, second])
        assert slow.ids == [first], "one call at a time"
    finally:
        slow.close()
        await asyncio.to_thread(until, lambda: not sender._busy)


@pytest.mark.mission("U15")
async def test_trials_that_hang_take_nothing_from_the_rest_of_the_api(company: Live, outside: Any) -> None:
    """They have threads of their own, and few: who tries more is told to come again, also while the caller has left."""
    slow = Subscriber()
    slow.hold.clear()
    await rulebook(company, tests_at_once=2)
    try:
        outside(webhook_inner_hosts=json.dumps([slow.host]))
        made = [(await subscribe(company, slow.url)).subscription.id for _ in range(3)]

        def trial(id: str) -> Any:
            return stub(company).TestSubscription(pb.TestSubscriptionRequest(request_id=rid(), id=id))

        left = [asyncio.ensure_future(trial(id)) for id in made[:2]]
        await asyncio.to_thread(until, lambda: len(slow.calls) == 2)
        for each in left:
            each.cancel()
        for id in (made[0], made[2]):
            with company.refused("RESOURCE_EXHAUSTED", "TESTS_BUSY"):
                await trial(id)
        # Threads for files and the like are all there.
        assert await asyncio.gather(*(asyncio.to_thread(time.sleep, 0) for _ in range(64))) == [None] * 64
        slow.hold.set()
        await asyncio.to_thread(until, lambda: not trying._under_way)
        assert (await trial(made[2])).acknowledged
    finally:
        slow.close()


@pytest.mark.mission("U15")
async def test_a_secret_is_shown_once_and_rotated_with_an_overlap(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any]
) -> None:
    outside(webhook_inner_hosts=json.dumps([door.host]))
    made = await subscribe(company, door.url)
    assert made.secret not in str(await state(company, made.subscription.id))
    rotated = await stub(company).RotateSecret(pb.RotateSecretRequest(request_id=rid(), id=made.subscription.id))
    assert rotated.secret != made.secret
    assert rotated.old_secret_end_time.ToDatetime(tzinfo=UTC) == company.now + timedelta(hours=24)
    await lead(company, "l1")
    await deliver()
    assert door.signed(made.secret)
    assert door.signed(rotated.secret)
    company.process.time.stop_at(company.now + timedelta(hours=25))
    await lead(company, "l2")
    await deliver()
    assert (door.signed(made.secret), door.signed(rotated.secret)) == (False, True)


@pytest.mark.mission("U15")
async def test_what_was_sent_can_be_had_again_and_a_test_says_how_it_went(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any]
) -> None:
    outside(webhook_inner_hosts=json.dumps([door.host]))
    made = await subscribe(company, door.url)
    id = made.subscription.id
    sent = [await lead(company, "l1"), await lead(company, "l2")]
    await deliver()
    replay = pb.ReplayWebhooksRequest(request_id=rid(), subscription_id=id, event_ids=[sent[1]])
    assert (await stub(company).ReplayWebhooks(replay)).queued == 1
    await deliver()
    assert door.ids == [*sent, sent[1]]
    period = Interval(start_time=protos.timestamp(company.now - timedelta(hours=1)))
    everything = pb.ReplayWebhooksRequest(request_id=rid(), subscription_id=id, period=period)
    assert (await stub(company).ReplayWebhooks(everything)).queued == 2
    await deliver()
    everything.request_id, everything.failed_only = rid(), True
    assert (await stub(company).ReplayWebhooks(everything)).queued == 0
    with company.refused("INVALID_ARGUMENT", "REPLAY_OF_NOTHING"):
        await stub(company).ReplayWebhooks(pb.ReplayWebhooksRequest(request_id=rid(), subscription_id=id))

    door.says(418)
    tried = await stub(company).TestSubscription(pb.TestSubscriptionRequest(request_id=rid(), id=id))
    assert (tried.status, tried.acknowledged, tried.event_type) == (
        418,
        False,
        "closedloop.integrations.webhook.test.v1",
    )
    assert door.signed(made.secret)
    assert (await state(company, id)).consecutive_failures == 0, "a test says nothing about its health"
    door.close()
    gone = await stub(company).TestSubscription(pb.TestSubscriptionRequest(request_id=rid(), id=id))
    assert (gone.status, gone.acknowledged, gone.answer != "") == (0, False, True)


@pytest.mark.mission("U15")
async def test_only_what_is_on_offer_and_where_it_may_go(company: Live, outside: Any) -> None:
    outside(webhook_hosts='["hooks.example.cn", "*.example.com"]')
    for url, types, reason in (
        ("http://hooks.example.cn/x", [LEADS], "URL_NOT_HTTPS"),
        ("https://evil.example.cn/x", [LEADS], "HOST_NOT_ALLOWED"),
        ("https://example.com/x", [LEADS], "HOST_NOT_ALLOWED"),
        ("https://user:pw@hooks.example.cn/x", [LEADS], "HOST_NOT_ALLOWED"),
        ("https://hooks.example.cn@evil.cn/x", [LEADS], "HOST_NOT_ALLOWED"),
        ("https://hooks.example.cn\\@evil.cn/x", [LEADS], "HOST_NOT_ALLOWED"),
        ("https://[::1", [LEADS], "HOST_NOT_ALLOWED"),
        ("https://hooks.example.cn/x", ["closedloop.integrations.mail.fetched.v1"], "EVENT_TYPE_UNKNOWN"),
        ("https://hooks.example.cn/x", ["nothing.*"], "EVENT_TYPE_UNKNOWN"),
    ):
        with company.refused("INVALID_ARGUMENT", reason):
            await subscribe(company, url, *types)
    await subscribe(company, "https://a.example.com/x")
    offered = (await stub(company).ListEventTypes(pb.ListEventTypesRequest(page_size=1000))).event_types
    assert {"closedloop.funnel.opportunity.won.v1", CONTACT} <= {each.type for each in offered}
    assert all(each.description and each.message.startswith("closedloop.") for each in offered)
    first = await stub(company).ListEventTypes(pb.ListEventTypesRequest(page_size=10))
    rest = await stub(company).ListEventTypes(
        pb.ListEventTypesRequest(page_size=1000, page_token=first.next_page_token)
    )
    assert [*first.event_types, *rest.event_types] == list(offered)
    with company.refused("NOT_FOUND", "UNIT_UNKNOWN"):
        await subscribe(company, "https://a.example.com/x", unit_id="nowhere")


@pytest.mark.mission("U15")
async def test_a_program_sees_its_own_and_gets_nothing_personal(
    company: Live, outside: Any, door: Subscriber, deliver: Callable[..., Any]
) -> None:
    outside(webhook_inner_hosts=json.dumps([door.host]))
    ours = (await subscribe(company, door.url, CONTACT, include_personal=True)).subscription
    program = stub(company, "bi", "integration")
    create = pb.CreateSubscriptionRequest(request_id=rid(), name="BI", url=door.url, event_types=[CONTACT])
    own = (await program.CreateSubscription(create)).subscription
    assert own.owner_id == "bi"
    assert [each.id for each in (await program.ListSubscriptions(pb.ListSubscriptionsRequest())).subscriptions] == [
        own.id
    ]
    listed = await stub(company).ListSubscriptions(pb.ListSubscriptionsRequest(event_type=CONTACT))
    assert len(listed.subscriptions) == 2
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await program.GetSubscription(pb.GetSubscriptionRequest(id=ours.id))
    create.request_id, create.include_personal = rid(), True
    with company.refused("PERMISSION_DENIED", "PERSONAL_NEEDS_OPERATIONS"):
        await program.CreateSubscription(create)
    more = pb.UpdateSubscriptionRequest(
        request_id=rid(), id=own.id, etag=own.etag, update_mask=FieldMask(paths=["include_personal"])
    )
    more.subscription.include_personal = True
    with company.refused("PERMISSION_DENIED", "PERSONAL_NEEDS_OPERATIONS"):
        await program.UpdateSubscription(more)
    contact = customers.ContactChanged(contact_id=str(uuid4()), name="张三", phones=["13812345678"], version=1)
    await company.hear(contact, contact.contact_id)
    await deliver()
    personal = sorted(json.dumps(body["data"], ensure_ascii=False) for body in door.bodies)
    assert ["13812345678" in text for text in personal].count(True) == 1

    contact.version = 2
    await company.hear(contact, contact.contact_id)
    less = pb.UpdateSubscriptionRequest(request_id=rid(), id=ours.id, etag=ours.etag)
    less.update_mask.paths[:] = ["include_personal"]
    less.subscription.SetInParent()
    await stub(company).UpdateSubscription(less)
    period = Interval(start_time=protos.timestamp(company.now - timedelta(hours=1)))
    again = pb.ReplayWebhooksRequest(request_id=rid(), subscription_id=ours.id, period=period)
    assert (await stub(company).ReplayWebhooks(again)).queued == 2
    door.calls.clear()
    await deliver()
    assert "13812345678" not in str(door.bodies), "neither what waited nor what was kept"
    assert ["data" in body for body in door.bodies].count(False) == 2


async def test_an_event_of_another_unit_or_of_none_is_not_theirs(company: Live, outside: Any, door: Subscriber) -> None:
    outside(webhook_inner_hosts=json.dumps([door.host]))
    east = (await subscribe(company, door.url, unit_id="east")).subscription
    whole = (await subscribe(company, door.url, unit_id="co")).subscription
    for unit in ("east", "north", ""):
        await lead(company, f"l-{unit}", unit)
    assert ((await state(company, east.id)).backlog, (await state(company, whole.id)).backlog) == (1, 2)
    deleted = await stub(company).DeleteSubscription(
        pb.DeleteSubscriptionRequest(request_id=rid(), id=east.id, etag=east.etag)
    )
    assert (deleted.state, deleted.backlog) == (pb.SUBSCRIPTION_STATE_DELETED, 0)
    assert await attempts(company, east.id) == []
    with company.refused("FAILED_PRECONDITION", "SUBSCRIPTION_DELETED"):
        await stub(company).RotateSecret(pb.RotateSecretRequest(request_id=rid(), id=east.id))
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        stale = pb.DeleteSubscriptionRequest(request_id=rid(), id=whole.id, etag='"99"')
        await stub(company).DeleteSubscription(stale)
    with company.refused("NOT_FOUND", "SUBSCRIPTION_UNKNOWN"):
        await stub(company).GetSubscription(pb.GetSubscriptionRequest(id=rid()))
    paused = pb.UpdateSubscriptionRequest(request_id=rid(), id=whole.id, etag=whole.etag)
    paused.subscription.state = pb.SUBSCRIPTION_STATE_DELETED
    paused.update_mask.paths[:] = ["state"]
    with company.refused("INVALID_ARGUMENT", "STATE_NOT_CHOSEN"):
        await stub(company).UpdateSubscription(paused)
    paused.update_mask.paths[:] = ["secret_time"]
    paused.request_id = rid()
    with company.refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await stub(company).UpdateSubscription(paused)


def test_a_host_that_is_allowed_no_longer_is_not_called(outside: Callable[..., None]) -> None:
    outside(webhook_hosts='["other.example.cn"]')
    outcome = post("https://hooks.example.cn/x", "e1", "{}", ("whsec_AAAA",), WebhookRules())
    assert (outcome.status, outcome.answer.partition(":")[0]) == (0, "HOST_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("status", "retry_after", "attempt", "failures", "message", "next_seconds", "retry_seconds"),
    [
        (204, 0, 1, 5, "taken", None, None),
        (500, 0, 1, 0, "waiting", 5, None),
        (0, 0, 3, 2, "waiting", 20, 5),
        (0, 0, 3, 4, "waiting", 20, 20),
        (404, 0, 4, 9, "waiting", 40, None),
        (429, 90, 1, 0, "waiting", 90, 90),
        (302, 0, 1, 0, "waiting", 5, None),
        (500, 0, 15, 0, "given_up", None, None),
        (500, 1e9, 1, 0, "waiting", 21_600, 21_600),
    ],
)
def test_what_follows_from_an_answer(
    status: int, retry_after: float, attempt: int, failures: int, message: str, next_seconds: Any, retry_seconds: Any
) -> None:
    verdict = judge(status, retry_after, attempt, Health(failures, NOW if failures else None), WebhookRules(), NOW)
    assert (verdict.message, verdict.failures, verdict.stopped) == (
        message,
        0 if message == "taken" else failures + 1,
        False,
    )
    assert verdict.next_at == (next_seconds and NOW + timedelta(seconds=next_seconds))
    assert verdict.retry_at == (retry_seconds and NOW + timedelta(seconds=retry_seconds))


def test_a_subscriber_is_stopped_after_a_day_of_failures_or_by_its_own_word() -> None:
    rules, since = WebhookRules(), NOW - timedelta(hours=25)
    assert judge(500, 0, 2, Health(19, since), rules, NOW).stopped
    assert not judge(500, 0, 2, Health(18, since), rules, NOW).stopped
    assert not judge(500, 0, 2, Health(19, NOW - timedelta(hours=23)), rules, NOW).stopped
    assert judge(410, 0, 1, Health(0, None), rules, NOW).stopped
    assert sum(delay(attempt, rules) for attempt in range(1, rules.attempts)) > 15 * 3600


def test_what_is_too_long_goes_without_its_data_and_what_is_personal_does_not_go() -> None:
    contact = customers.ContactChanged(contact_id="c", name="张三", phones=["13812345678"])
    whole = json.loads(envelope.cloud_event("i", "customers", "t", "s", NOW, contact, 10_000))
    assert whole["data"]["phones"] == ["13812345678"]
    short = json.loads(envelope.cloud_event("i", "customers", "t", "s", NOW, contact, 200))
    assert ("data" in short, short["dataomitted"] > 200) == (False, True)
    bare = envelope.impersonal(contact)
    assert "13812345678" not in str(bare)
    assert contact.phones == ["13812345678"], "the event itself stays whole"
    told = events.NoticeMatched()
    told.match.ownership.unit_id = "east"
    assert envelope.unit_of(told) == "east"


def test_what_is_on_offer_is_a_fact_that_its_owner_alone_tells() -> None:
    assert len(catalogue.offered()) >= 30
    for type, (route, message) in catalogue.offered().items():
        assert "integrations" in route.consumers, type
        assert route.may_come_from(route.owner)
        assert not route.may_come_from("elsewhere"), type
        assert contract.route(message).type == type
    with pytest.raises(errors.InvalidArgument):
        guard.check("ftp://x", Outside())
