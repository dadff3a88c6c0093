"""Mails the courier has fetched, ours that went out, and contacts that become known."""

from __future__ import annotations

import base64

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import ids, protos
from closedloop_chassis.events import forgetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.traces import Traces
from closedloop_chassis.work import Heard, Work
from closedloop_integrations import quarantine
from closedloop_integrations.mail import intake, store
from closedloop_integrations.mail.mime import NotMailError

reactions = Reactions()


@reactions.on(events.MailFetched)
async def read_mail(event: Heard[events.MailFetched], work: Work) -> None:
    fetched = event.message
    received = protos.instant(fetched.receive_time) if fetched.HasField("receive_time") else event.time
    try:
        where = {"source": fetched.source, "source_id": fetched.source_id}
        await intake.take_in(work, fetched.raw, **where, received_at=received)
    except NotMailError as error:
        quarantine.set_aside(
            work.tx,
            work.now,
            source=fetched.source,
            kind="mail",
            key=fetched.source_id,
            reason="MAIL_UNREADABLE",
            message=str(error),
            raw=base64.b64encode(fetched.raw[: quarantine.MAX_RAW // 2]).decode(),
        )


@reactions.on(events.DeliveryAttempted)
async def keep_ours(event: Heard[events.DeliveryAttempted], work: Work) -> None:
    told = event.message
    if told.outcome == events.ATTEMPT_OUTCOME_ACCEPTED:
        await intake.went_out(
            work, told.delivery_id, protos.instant(told.time) if told.HasField("time") else event.time
        )


@reactions.on(customers.ContactChanged)
async def became_known(event: Heard[customers.ContactChanged], work: Work) -> None:
    contact = event.message
    addresses = [address.strip().casefold() for address in contact.email_addresses]
    if not contact.account_id or not addresses:
        return
    linked = await store.became_known(work.tx, contact.contact_id, contact.account_id, addresses, contact.version)
    owner = await store.account(work.tx, contact.account_id) if linked else None
    for mail in linked:
        intake.tell(work, mail, owner or {})


@reactions.on(customers.PersonErased)
async def erase(event: Heard[customers.PersonErased], work: Work) -> None:
    named = [record.id for record in event.message.records if ids.is_id(record.id)]
    store.erase(work.tx, named)
    await forgetting.forget(work, Traces(frozenset(named), frozenset(event.message.address_digests)))
    if event.message.personal_data_request_id:
        forgetting.forget_answers(work, named)


@quarantine.reader("mail")
async def read_again(work: Work, item: quarantine.Item) -> str:
    """The item is base64 of the raw mail."""
    try:
        raw = base64.b64decode(item.raw, validate=True)
        await intake.take_in(work, raw, source=item.source, source_id=item.key, received_at=work.now)
    except ValueError as error:
        return str(error)
    return ""
