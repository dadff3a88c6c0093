"""WebhookService."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

from closedloop.integrations.v1 import webhooks_pb2 as pb
from closedloop_chassis import errors, etags, masks, pages, protos
from closedloop_chassis.enums import number, word, words
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.settings import outside
from closedloop_integrations.webhooks import catalogue, guard, rules, store, trying
from closedloop_integrations.webhooks.rules import WebhookRules
from closedloop_integrations.webhooks.store import Attempt, Subscription

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LAST_MOMENT = "9999-12-31T00:00:00+00:00"
SECRET_BYTES = 32
TEST = "closedloop.integrations.webhook.test.v1"
CHANGEABLE = frozenset({"name", "url", "event_types", "unit_id", "include_personal", "state"})
# Only these may let personal data leave the house.
KEEPERS = "operations"

rpcs = Rpcs("closedloop.integrations.v1.WebhookService")


@rpcs.method
async def create_subscription(request: pb.CreateSubscriptionRequest, call: Call) -> pb.CreateSubscriptionResponse:
    subscription = Subscription(
        id=new_id(),
        name=request.name,
        url=request.url,
        event_types=list(dict.fromkeys(request.event_types)),
        unit_id=request.unit_id,
        include_personal=request.include_personal,
        state="active",
        owner_id=call.caller.subject,
        created_at=call.now,
        secret=_secret(),
        secret_at=call.now,
    )
    _check(subscription, call)
    call.tx.do(store.ONE_AT_A_TIME)
    most = call.rules(WebhookRules).most_subscriptions
    if await call.tx.value(store.COUNT, {}) >= most:
        raise errors.FailedPrecondition(
            "TOO_MANY_SUBSCRIPTIONS", f"there are {most} already; delete one that is not needed"
        )
    store.put(call.tx, subscription)
    call.audit(subscription.id, "subscribe", after=_audited(subscription))
    return pb.CreateSubscriptionResponse(subscription=_message(subscription), secret=subscription.secret)


@rpcs.method
async def get_subscription(request: pb.GetSubscriptionRequest, call: Call) -> pb.Subscription:
    return _message(_theirs(await store.get(call.db, request.id), request.id, call))


@rpcs.method
async def list_subscriptions(request: pb.ListSubscriptionsRequest, call: Call) -> pb.ListSubscriptionsResponse:
    at, id = pages.after(request, LAST_MOMENT, LAST_ID)
    asked = {
        **call.scope.params,
        "at": at,
        "id": id,
        "states": words(pb.SubscriptionState, request.states),
        "event_type": request.event_type,
        "limit": pages.size(request) + 1,
    }
    found = await store.listed(call.db, asked)
    shown, token = pages.split(found, request, lambda each: (each.created_at.isoformat(), each.id))
    return pb.ListSubscriptionsResponse(subscriptions=[_message(each) for each in shown], next_page_token=token)


@rpcs.method
async def update_subscription(request: pb.UpdateSubscriptionRequest, call: Call) -> pb.Subscription:
    mask, given = masks.some(request.update_mask, CHANGEABLE), request.subscription
    before = _living(await store.lock(call.tx, request.id), request.id, call)
    etags.check(request.etag, before.version)
    changed: dict[str, Any] = {name: getattr(given, name) for name in mask - {"state", "event_types"}}
    if "event_types" in mask:
        changed["event_types"] = list(dict.fromkeys(given.event_types))
    if "state" in mask:
        changed["state"] = word(pb.SubscriptionState, given.state)
        if changed["state"] not in ("active", "paused"):
            raise errors.InvalidArgument(
                "STATE_NOT_CHOSEN", "active or paused", {"subscription.state": "active or paused"}
            )
    after = replace(before, **changed, version=before.version + 1)
    if after.state == "active" and (before.state != "active" or before.url != after.url):
        # It begins anew, with all it has missed.
        after = replace(after, consecutive_failures=0, failing_since=None, retry_at=None)
        call.tx.do(store.DUE_NOW, {"id": after.id, "now": call.now})
    if before.include_personal and not after.include_personal:
        call.tx.do(store.STRIP, {"id": after.id})
    _check(after, call, before)
    store.put(call.tx, after)
    call.audit(after.id, "change", before=_audited(before), after=_audited(after))
    return _message(after)


@rpcs.method
async def delete_subscription(request: pb.DeleteSubscriptionRequest, call: Call) -> pb.Subscription:
    before = _living(await store.lock(call.tx, request.id), request.id, call)
    etags.check(request.etag, before.version)
    # Nobody can sign with it any more.
    after = replace(before, state="deleted", secret="", old_secret="", backlog=0, version=before.version + 1)
    store.put(call.tx, after)
    call.tx.do(store.DROP, {"id": after.id})
    call.audit(after.id, "delete", before=_audited(before), after=_audited(after))
    return _message(after)


@rpcs.method
async def rotate_secret(request: pb.RotateSecretRequest, call: Call) -> pb.RotateSecretResponse:
    before = _living(await store.lock(call.tx, request.id), request.id, call)
    until = call.now + timedelta(hours=call.rules(WebhookRules).overlap_hours)
    after = replace(
        before,
        secret=_secret(),
        secret_at=call.now,
        old_secret=before.secret,
        old_secret_until=until,
        version=before.version + 1,
    )
    store.put(call.tx, after)
    call.audit(after.id, "rotate_secret", before={"secret_at": before.secret_at}, after={"secret_at": after.secret_at})
    return pb.RotateSecretResponse(
        subscription=_message(after), secret=after.secret, old_secret_end_time=protos.timestamp(until)
    )


@rpcs.method
async def test_subscription(request: pb.TestSubscriptionRequest, call: Call) -> pb.WebhookAttempt:
    """Read outside the transaction: nothing is held while the other side thinks. It says nothing about the health."""
    found = _living(await store.get(call.db, request.id), request.id, call)
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": new_id(),
        "source": "closedloop/integrations",
        "type": TEST,
        "subject": found.id,
        "time": call.now.isoformat(),
        "datacontenttype": "application/json",
        "data": {"subscriptionId": found.id, "name": found.name},
    }
    old = found.old_secret if found.old_secret_until and found.old_secret_until > call.now else ""
    body, secrets_ = json.dumps(event, ensure_ascii=False), (found.secret, old)
    outcome = await trying.attempt(found.id, found.url, event["id"], body, secrets_, call.rules(WebhookRules))
    attempt = Attempt(
        id=new_id(),
        subscription_id=found.id,
        event_id=event["id"],
        type=TEST,
        subject=found.id,
        attempt=1,
        at=call.now,
        status=outcome.status,
        latency_ms=outcome.latency_ms,
        answer=outcome.answer,
        taken=outcome.status // 100 == 2,
        next_at=None,
    )
    store.put_attempt(call.tx, attempt)
    call.audit(found.id, "test", after={"status": outcome.status})
    return _attempt(attempt)


@rpcs.method
async def list_webhook_attempts(request: pb.ListWebhookAttemptsRequest, call: Call) -> pb.ListWebhookAttemptsResponse:
    _theirs(await store.get(call.db, request.subscription_id), request.subscription_id, call)
    at, id = pages.after(request, LAST_MOMENT, LAST_ID)
    begin, end = protos.bounds(request.sent)
    asked = {
        "subscription_id": request.subscription_id,
        "at": at,
        "id": id,
        "event_id": request.event_id or None,
        "failed": request.failed_only,
        "begin": begin,
        "end": end,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.ATTEMPTS, asked, into=Attempt)
    shown, token = pages.split(found, request, lambda each: (each.at.isoformat(), each.id))
    return pb.ListWebhookAttemptsResponse(attempts=[_attempt(each) for each in shown], next_page_token=token)


@rpcs.method
async def replay_webhooks(request: pb.ReplayWebhooksRequest, call: Call) -> pb.ReplayWebhooksResponse:
    begin, end = protos.bounds(request.period)
    if not request.event_ids and begin is None and end is None:
        raise errors.InvalidArgument(
            "REPLAY_OF_NOTHING", "name events, or a period", {"event_ids": "or a period is required"}
        )
    found = _living(await store.lock(call.tx, request.subscription_id), request.subscription_id, call)
    asked = {
        "id": found.id,
        "event_ids": list(request.event_ids),
        "begin": begin,
        "end": end,
        "failed": request.failed_only,
        "now": call.now,
    }
    queued = await call.tx.value(store.REPLAYED, asked)
    call.audit(found.id, "replay", after={"queued": queued, "failed_only": request.failed_only})
    return pb.ReplayWebhooksResponse(queued=queued)


@rpcs.method
async def list_event_types(request: pb.ListEventTypesRequest, call: Call) -> pb.ListEventTypesResponse:
    (after,) = pages.after(request, "")
    offered = [(type, *what) for type, what in catalogue.offered().items() if type > after]
    shown, token = pages.split(offered, request, lambda each: (each[0],))
    types = [
        pb.EventTypeInfo(type=type, message=message.DESCRIPTOR.full_name, description=route.offered_as)
        for type, route, message in shown
    ]
    return pb.ListEventTypesResponse(event_types=types, next_page_token=token)


def _check(after: Subscription, call: Call, before: Subscription | None = None) -> None:
    """Raises what the contract names; whoever may not see personal data can neither ask for it nor lead it elsewhere."""
    guard.check(after.url, outside())
    wrong = rules.unknown(after.event_types, catalogue.offered())
    if wrong or not after.event_types:
        what = f"not on offer: {', '.join(wrong)[:200]}" if wrong else "at least one is required"
        raise errors.InvalidArgument("EVENT_TYPE_UNKNOWN", what, {"event_types": what})
    if after.unit_id and after.unit_id not in call.org.units:
        raise errors.NotFound("UNIT_UNKNOWN", f"no unit {after.unit_id}")
    loosened = before is None or (
        (before.include_personal, before.url, before.event_types, before.unit_id)
        != (after.include_personal, after.url, after.event_types, after.unit_id)
    )
    if after.include_personal and loosened and KEEPERS not in call.caller.roles:
        raise errors.PermissionDenied(
            "PERSONAL_NEEDS_OPERATIONS", "only operations may have personal data sent out, and say where to and what"
        )


def _theirs(found: Subscription | None, id: str, call: Call) -> Subscription:
    if found is None:
        raise errors.NotFound("SUBSCRIPTION_UNKNOWN", f"no subscription {id}")
    call.authorize(found.owner_id, "")
    return found


def _living(found: Subscription | None, id: str, call: Call) -> Subscription:
    subscription = _theirs(found, id, call)
    if subscription.state == "deleted":
        raise errors.FailedPrecondition("SUBSCRIPTION_DELETED", "it was deleted; make another one")
    return subscription


def _secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def _audited(subscription: Subscription) -> dict[str, Any]:
    kept = ("name", "url", "event_types", "unit_id", "include_personal", "state")
    return {name: getattr(subscription, name) for name in kept}


def _message(subscription: Subscription) -> pb.Subscription:
    return pb.Subscription(
        id=subscription.id,
        name=subscription.name,
        url=subscription.url,
        event_types=subscription.event_types,
        unit_id=subscription.unit_id,
        include_personal=subscription.include_personal,
        state=number(pb.SubscriptionState, subscription.state),
        owner_id=subscription.owner_id,
        create_time=protos.timestamp(subscription.created_at),
        last_success_time=protos.timestamp(subscription.last_success_at),
        consecutive_failures=subscription.consecutive_failures,
        backlog=subscription.backlog,
        secret_time=protos.timestamp(subscription.secret_at),
        etag=etags.of(subscription.version),
    )


def _attempt(attempt: Attempt) -> pb.WebhookAttempt:
    return pb.WebhookAttempt(
        id=attempt.id,
        subscription_id=attempt.subscription_id,
        event_id=attempt.event_id,
        event_type=attempt.type,
        subject=attempt.subject,
        attempt=attempt.attempt,
        time=protos.timestamp(attempt.at),
        status=attempt.status,
        latency_ms=attempt.latency_ms,
        answer=attempt.answer,
        acknowledged=attempt.taken,
        next_attempt_time=protos.timestamp(attempt.next_at),
    )
