"""What happened is owed to whoever subscribed to it, in the transaction that hears of it; the courier delivers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from google.protobuf.message import Message

from closedloop.customers.v1 import events_pb2 as customers
from closedloop_chassis import ids
from closedloop_chassis.contract import EventRoute
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations.webhooks import catalogue, envelope, rules, store
from closedloop_integrations.webhooks.rules import WebhookRules
from closedloop_integrations.webhooks.store import Subscription

reactions = Reactions()


async def owe(events: Sequence[Heard[Any]], work: Work, *, route: EventRoute) -> None:
    """Nobody listens, nothing is written: most companies subscribe to little."""
    asking = [
        each
        for each in await store.listening(work.tx)
        if any(rules.fits(asked, route.type) for asked in each.event_types)
    ]
    if not asking:
        return
    most_bytes = work.rules(WebhookRules).most_bytes
    owed: list[dict[str, Any]] = []
    for event in events:
        unit = envelope.unit_of(event.message)
        bodies: dict[bool, str] = {}
        for subscription in asking:
            if not _concerns(subscription, unit, work):
                continue
            personal = subscription.include_personal
            if personal not in bodies:
                data: Message = event.message if personal else envelope.impersonal(event.message)
                bodies[personal] = envelope.cloud_event(
                    event.id, event.source, route.type, event.subject, event.time, data, most_bytes
                )
            owed.append(
                {
                    "subscription_id": subscription.id,
                    "event_id": event.id,
                    "type": route.type,
                    "subject": event.subject,
                    "body": bodies[personal],
                    "due_at": work.now,
                    "created_at": work.now,
                }
            )
    store.owe(work.tx, owed)


def _concerns(subscription: Subscription, unit: str, work: Work) -> bool:
    """What says no unit is nobody's who asked for one unit's events."""
    return not subscription.unit_id or unit in work.org.subtree(subscription.unit_id)


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    gone = [record.id for record in event.message.records if ids.is_id(record.id)]
    if gone:
        work.tx.do(store.FORGET, {"patterns": [f"%{id}%" for id in gone]})


for _route, _message in catalogue.offered().values():
    reactions.batch(_message)(partial(owe, route=_route))
