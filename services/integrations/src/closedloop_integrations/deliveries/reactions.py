"""Messages other services ask for, what became of a hand-over, and what comes back from recipients."""

from __future__ import annotations

from typing import cast

from closedloop.customers.v1 import accounts_pb2, contacts_pb2, interactions_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.integrations.v1 import mail_pb2
from closedloop_chassis import bulk, errors, ids, protos
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.enums import word, words
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations.deliveries import again, consents, digests, intake, moves, store, wire
from closedloop_integrations.deliveries import rules as delivery_rules
from closedloop_integrations.deliveries.rules import DeliveryRules, Outcome

OUR_CHANNEL = {"email": "mail", "sms": "sms", "wechat": "wecom", "": ""}

reactions = Reactions()


@reactions.on(events.DeliveryRequested)
async def request(event: Heard[events.DeliveryRequested], work: Work) -> None:
    content = event.message.content
    _, refused = bulk.sift([content])
    if refused:
        raise errors.InvalidArgument("CONTENT_INVALID", f"{refused[0].field}: {refused[0].message}")
    try:
        delivery, _ = await intake.prepare(work, work.tx, content)
    except errors.DomainError as error:
        delivery = intake.impossible(work, content, error)
    await intake.request(work, delivery)


@reactions.on(events.DeliveryAttempted)
async def attempted(event: Heard[events.DeliveryAttempted], work: Work) -> None:
    told = event.message
    delivery = await store.lock(work.tx, told.delivery_id)
    # A late truth about an uncertain hand-over is welcome; anything about an earlier attempt is old.
    if delivery is None or delivery.attempts != told.attempt or delivery.state not in ("sending", "uncertain"):
        return
    outcome = cast(Outcome, word(events.AttemptOutcome, told.outcome))
    rules = work.rules(DeliveryRules)
    after = delivery_rules.after_attempt(
        outcome, delivery.attempts, told.bounced, told.retry_after_seconds, rules, work.now
    )
    if after.state == delivery.state:
        return
    if after.due_at is not None:
        # Meanwhile it may have become night there, or they may have said that they want no more.
        await again.look(work, [delivery], after.due_at, after.reason, told.detail)
        return
    if after.state in ("sent", "uncertain"):
        delivery.sent_at = protos.instant(told.time) if told.HasField("time") else work.now
        delivery.gateway_id = told.gateway_id
    moves.move(work, delivery, after.state, after.reason, told.detail)
    wire.report(work, delivery)
    await moves.follow(work, delivery)


@reactions.on(events.DeliveriesOverdue)
async def overdue(event: Heard[events.DeliveriesOverdue], work: Work) -> None:
    waiting = await store.overdue(work.tx, event.message.delivery_ids, work.now)
    if waiting:
        await again.look(work, waiting, work.now, "overdue")


@reactions.on(events.DeliverySeen)
async def seen(event: Heard[events.DeliverySeen], work: Work) -> None:
    told = event.message
    delivery = await store.lock(work.tx, told.delivery_id) if ids.is_id(told.delivery_id) else None
    state = word(events.SeenState, told.state)
    if delivery is not None and state == "unsubscribed":
        said = {"allowed": False, "cause": "unsubscribe", "at": protos.instant(told.time), "channel": "mail"}
        said |= {"source": "mail", "source_id": delivery.id, "brought_by": work.actor}
        said |= {"address": delivery.address, "contact_id": delivery.contact_id}
        await consents.record(work, [store.new_consent(**said)])
    elif delivery is not None and delivery_rules.advances(delivery.state, state):
        moves.move(work, delivery, state, "", told.link[:2000])
        wire.report(work, delivery)


@reactions.on(events.MailReceived)
async def answered(event: Heard[events.MailReceived], work: Work) -> None:
    mail = event.message.mail
    if mail.direction != mail_pb2.MAIL_DIRECTION_INBOUND or not mail.delivery_id or event.message.version > 1:
        return
    delivery = await store.lock(work.tx, mail.delivery_id)
    if delivery is None:
        return
    if mail.nature == mail_pb2.MAIL_NATURE_BOUNCE:
        if delivery_rules.advances(delivery.state, "bounced"):
            moves.move(work, delivery, "bounced", "bounced", mail.subject)
            wire.report(work, delivery, mail_id=mail.id)
        return
    if mail.nature != mail_pb2.MAIL_NATURE_PERSONAL:
        return
    if delivery_rules.advances(delivery.state, "replied"):
        moves.move(work, delivery, "replied", "", mail.subject)
        wire.report(work, delivery, reply=mail.text, mail_id=mail.id)
    if delivery_rules.is_opt_out(mail.text, work.rules(DeliveryRules)):
        said = {"allowed": False, "cause": "reply", "at": work.now, "source": "mail", "source_id": mail.id}
        said |= {"address": getattr(mail, "from").address, "contact_id": delivery.contact_id, "brought_by": work.actor}
        await consents.record(work, [store.new_consent(**said, channel="mail")])


@reactions.on(customers.ConsentChanged)
async def consent_changed(event: Heard[customers.ConsentChanged], work: Work) -> None:
    said = event.message
    channel = word(interactions_pb2.Channel, said.channel)
    if channel not in OUR_CHANNEL:
        return
    given = {
        "channel": OUR_CHANNEL[channel],
        "topic": said.purpose,
        "allowed": said.granted,
        "cause": "customers",
        "at": protos.instant(said.effective_time) if said.HasField("effective_time") else event.time,
        "source": "customers",
        "source_id": event.id,
        "brought_by": event.source,
    }
    rules = work.rules(DeliveryRules)
    addresses = [*said.email_addresses, *said.phones]
    rows = [store.new_consent(**given, address=consents.addressed(each, rules)) for each in addresses]
    if said.record.type == accounts_pb2.RECORD_TYPE_CONTACT and ids.is_id(said.record.id):
        rows.append(store.new_consent(**given, contact_id=said.record.id))
    if rows:
        await consents.record(work, rows)


@reactions.on(customers.ContactChanged)
async def contact_changed(event: Heard[customers.ContactChanged], work: Work) -> None:
    """Nobody is written to where they are no longer, or by a channel they have closed since the message was asked for."""
    contact = event.message
    closed = {OUR_CHANNEL.get(name, name) for name in words(interactions_pb2.Channel, contact.closed_channels)}
    if contact.state != contacts_pb2.CONTACT_STATE_LEFT and not closed:
        return
    asked = {
        "id": contact.contact_id,
        "version": contact.version,
        "closed": sorted(closed),
        "purposes": list(work.rules(DeliveryRules).opt_out_binds),
        "now": work.now,
    }
    stopped = await work.tx.all(store.STOP_CONTACT, asked, into=store.Delivery)
    store.step(work.tx, work.now, [(each.id, each.state, each.reason) for each in stopped])
    for each in stopped:
        wire.report(work, each)


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    store.erase(work.tx, [record.id for record in event.message.records if ids.is_id(record.id)])


@reactions.timer(intake.DIGEST)
async def digest_due(rung: list[Rung], work: Work) -> None:
    await digests.send(work, sorted({each.attributes["person"] for each in rung}))
