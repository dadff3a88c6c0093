"""A message that waited, or was not taken, is looked at again before it leaves: no wish and no quiet hour is as old as the
message's request.

While it waits, an opt-out stops it at once (`consents.record`), and so does a contact that leaves; what happens while a courier
holds it is seen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop_chassis.work import Work
from closedloop_integrations.deliveries import intake, moves, preferences, store, wire
from closedloop_integrations.deliveries import rules as delivery_rules
from closedloop_integrations.deliveries.rules import NO_WISHES, Circumstances, DeliveryRules, Passage
from closedloop_integrations.deliveries.store import Delivery


async def look(work: Work, waiting: Sequence[Delivery], due: datetime, reason: str, detail: str = "") -> None:
    """Moves each to where it may be: queued from `due` on for `reason`, held for quiet hours, or suppressed. `detail` is what
    its life says; who is found where it was moves in silence."""
    moved, steps = [], []
    for delivery, passage in zip(waiting, await _passages(work, waiting, due, reason), strict=True):
        before = delivery.state, delivery.reason
        delivery.due_at, delivery.quiet_at = max(delivery.due_at, passage.due_at), passage.quiet_at
        if passage.rule or passage.explanation:
            delivery.rule, delivery.explanation = passage.rule, passage.explanation
            delivery.rule_version = work.process.rulebooks.version(DeliveryRules, work.now)
        moved.append(delivery)
        if (passage.state, passage.reason) != before:
            steps.append(moves.change(work, delivery, passage.state, passage.reason, detail))
            if passage.state != "queued":
                wire.report(work, delivery)
                await moves.follow(work, delivery)
    store.step(work.tx, work.now, steps)
    store.move(work.tx, moved)


async def _passages(work: Work, waiting: Sequence[Delivery], due: datetime, reason: str) -> list[Passage]:
    rules = work.rules(DeliveryRules)
    contacts = await store.contacts(work.tx, (each.contact_id or "" for each in waiting))
    wishes = await preferences.wishes(work.tx, (each.person_id for each in waiting))
    asked = [
        {"address": each.address, "contact_id": each.contact_id, "purpose": each.purpose, "since": work.now}
        for each in waiting
    ]
    found = []
    for delivery, (_, consents) in zip(waiting, await store.standing(work.tx, asked), strict=True):
        if not delivery.content:
            found.append(Passage("suppressed", work.now, "erased", "contact", "the recipient was erased"))
            continue
        content = pb.DeliveryContent.FromString(delivery.content)
        contact: dict[str, Any] = contacts.get(delivery.contact_id or "", {})
        person, wish = work.org.person(delivery.person_id), wishes.get(delivery.person_id, NO_WISHES)
        unit = work.org.unit(person.unit_id) if person else None
        theirs = (wish.time_zone, person.time_zone if person else "", unit.time_zone if unit else "")
        circumstances = Circumstances(
            purpose=delivery.purpose,
            channel=delivery.channel,
            topic=content.topic,
            zone=intake.zone(
                next(filter(None, (content.recipient.time_zone, *theirs, contact.get("time_zone"))), ""), work
            ),
            urgent=content.urgent,
            not_before=None,
            expires_at=delivery.expires_at,
            consents=consents,
            channel_closed=intake.CUSTOMERS_CHANNEL.get(delivery.channel, delivery.channel)
            in contact.get("closed_channels", ()),
            contact_gone=contact.get("state") in ("left", "erased")
            or bool(delivery.person_id and (person is None or not person.active)),
            recent=0,
            wishes=wish,
        )
        found.append(delivery_rules.again(circumstances, rules, work.now, due, reason))
    return found
