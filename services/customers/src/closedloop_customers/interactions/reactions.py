"""Touches that other services saw: the funnel's activities; mails, talks, tickets, orders and page visits from
outside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from closedloop.funnel.v1 import activities_pb2
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import behaviours_pb2, conversations_pb2, mail_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import enums, ids, protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import identifiers, records
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.interactions import desk
from closedloop_customers.interactions.rules import Touch

reactions = Reactions()

# Activity kind → channel, action.
ACTIVITIES = {
    "visit": ("visit", ""),
    "call": ("phone", ""),
    "meeting": ("meeting", ""),
    "demo": ("meeting", "demo"),
    "message": ("wechat", ""),
    "mail": ("email", ""),
    "other": ("event", ""),
}
CONVERSATIONS = {"call": "phone", "meeting": "meeting", "chat": "chat"}
BEHAVIOURS = {
    "page_viewed": "page_view",
    "document_downloaded": "download",
    "video_watched": "video",
    "form_sent": "form",
    "event_attended": "event",
    "product_used": "trial",
    "link_clicked": "click",
}


@reactions.on(funnel.ActivityLogged)
async def activity(event: Heard[funnel.ActivityLogged], work: Work) -> None:
    told = event.message
    channel, action = ACTIVITIES[enums.word(activities_pb2.ActivityKind, told.kind) or "other"]
    touch = Touch(
        kept=_kept("funnel", told.activity_id, "funnel", event.time),
        channel=channel,
        action=action,
        direction="mutual" if channel in ("visit", "meeting") else "outbound",
        occurred_at=_moment(told, "start_time", event.time),
        duration=protos.instant(told.end_time) - protos.instant(told.start_time) if told.HasField("end_time") else None,
        person_id=told.ownership.owner_id,
        summary=told.next_step,
        account_id=told.account_id or None,
        contact_id=next(iter(told.contact_ids), None),
        lead_id=told.lead_id or None,
        opportunity_id=told.opportunity_id or None,
        effective=told.effective,
        version=told.version,
    )
    await _note(work, touch)


@reactions.on(integrations.MailReceived)
async def mail(event: Heard[integrations.MailReceived], work: Work) -> None:
    told = event.message.mail
    nature = enums.word(mail_pb2.MailNature, told.nature)
    inbound = told.direction == mail_pb2.MAIL_DIRECTION_INBOUND
    # `from` is a word of Python.
    outside = [getattr(told, "from"), *told.to]
    account_id, contact_id = await whose(
        work,
        told.account_id,
        [address.contact_id for address in outside],
        [f"mail:{identifiers.mail(address.address)}" for address in (outside[:1] if inbound else outside[1:])],
    )
    touch = Touch(
        kept=_kept("mail", told.id, "integrations", event.time),
        channel="email",
        action=nature if nature in ("bounce", "auto_reply", "bulk") else "",
        direction="inbound" if inbound else "outbound",
        occurred_at=_moment(told, "receive_time" if inbound else "send_time", event.time),
        person_id=told.ownership.owner_id,
        summary=told.subject,
        account_id=account_id,
        contact_id=contact_id,
        opportunity_id=told.opportunity_id or None,
        version=event.message.version,
    )
    await _note(work, touch)


@reactions.on(integrations.ConversationReceived)
async def conversation(event: Heard[integrations.ConversationReceived], work: Work) -> None:
    told = event.message.conversation
    people = list(told.participants)
    account_id, contact_id = await whose(
        work,
        told.account_id,
        [person.contact_id for person in people],
        [f"phone:{identifiers.phone(person.address)}" for person in people if person.address and not person.person_id],
    )
    ours = next((person.person_id for person in people if person.person_id), "")
    began = people[told.initiator] if told.initiator < len(people) else people[0]
    channel = CONVERSATIONS[enums.word(conversations_pb2.ConversationKind, told.kind) or "call"]
    touch = Touch(
        kept=_kept("conversation", told.id, "integrations", event.time),
        channel=channel,
        action="" if told.answered or channel != "phone" else "attempt",
        direction="mutual" if channel == "meeting" else "outbound" if began.person_id else "inbound",
        occurred_at=_moment(told, "start_time", event.time),
        duration=protos.span(told.duration) if told.HasField("duration") else None,
        person_id=ours,
        summary=told.subject or (told.turns[0].text[:200] if told.turns else ""),
        account_id=account_id,
        contact_id=contact_id,
        opportunity_id=told.opportunity_id or None,
        version=told.version,
    )
    await _note(work, touch)


@reactions.on(integrations.TicketReceived)
async def ticket(event: Heard[integrations.TicketReceived], work: Work) -> None:
    told = event.message.ticket
    account_id, contact_id = await whose(work, told.account_id, [told.contact_id], _address_keys(told.contact_address))
    touch = Touch(
        kept=_kept("ticket", told.id or told.number, "integrations", event.time),
        channel="ticket",
        direction="inbound",
        occurred_at=_moment(told, "open_time", event.time),
        summary=told.title,
        product_ids=[told.product_id] if told.product_id else [],
        account_id=account_id,
        contact_id=contact_id,
        version=int(_moment(told, "update_time", event.time).timestamp() * 1_000_000),
    )
    await _note(work, touch)


@reactions.on(integrations.BehaviourObserved)
async def behaviour(event: Heard[integrations.BehaviourObserved], work: Work) -> None:
    told = event.message.behaviour
    account_id, contact_id = await whose(work, told.account_id, [told.contact_id], [])
    touch = Touch(
        kept=_kept("web", told.id or event.id, "integrations", event.time),
        channel="web",
        action=BEHAVIOURS[enums.word(behaviours_pb2.BehaviourKind, told.kind) or "page_viewed"],
        direction="inbound",
        occurred_at=_moment(told, "time", event.time),
        duration=protos.span(told.duration) if told.HasField("duration") else None,
        summary=told.title or told.object,
        product_ids=list(told.product_ids),
        account_id=account_id,
        contact_id=contact_id,
    )
    await _note(work, touch)


@reactions.on(integrations.OrderRecorded)
async def order(event: Heard[integrations.OrderRecorded], work: Work) -> None:
    told = event.message
    if told.cancelled:
        return
    day = protos.day(told.date) if told.HasField("date") else work.home.day(event.time)
    touch = Touch(
        kept=_kept("order", told.number, "integrations", event.time),
        channel="web",
        action="order",
        direction="inbound",
        occurred_at=min(work.home.morning(day), work.now),
        person_id=told.person_id,
        summary=told.number,
        product_ids=[line.product_id for line in told.lines if line.product_id],
        account_id=told.account_id or None,
        opportunity_id=told.opportunity_id or None,
        version=told.version,
    )
    await _note(work, touch)


async def whose(
    work: Work, account_id: str, contact_ids: Iterable[str], keys: Iterable[str]
) -> tuple[str | None, str | None]:
    """Account and contact of an outside touch: as told, else by the address; None where we know neither."""
    known = [id_ for id_ in contact_ids if id_]
    found = await contacts.found_by_keys(work.tx, [key for key in keys if not key.endswith(":")], known)
    contact = next((c for c in found if c.account_id == account_id or not account_id), None)
    return account_id or (contact.account_id if contact else None), contact.id if contact else None


async def _note(work: Work, touch: Touch) -> None:
    """Touches of nobody we know are not ours to keep; records we do not know (yet) are left out."""
    named: list[tuple[str, Any]] = [
        ("account", touch.account_id),
        ("contact", touch.contact_id),
        ("lead", touch.lead_id),
    ]
    wanted = [(type_, id_) for type_, id_ in named if id_ and ids.is_id(id_)]
    found = await records.find(work.tx, wanted) if wanted else {}
    if not found:
        return
    account = next((standing.account_id for standing in found.values() if standing.account_id), None)
    known = {type_: (found[type_, id_].id if (type_, id_) in found else None) for type_, id_ in named if id_}
    await desk.record(
        work, [replace(touch, account_id=account, contact_id=known.get("contact"), lead_id=known.get("lead"))]
    )


def _kept(source: str, source_id: str, brought_by: str, observed: datetime) -> dict[str, Any]:
    return {"source": source, "source_id": source_id, "brought_by": brought_by, "observed_time": observed.isoformat()}


def _moment(message: Any, field: str, otherwise: datetime) -> datetime:
    return protos.instant(getattr(message, field), field) if message.HasField(field) else otherwise


def _address_keys(address: str) -> list[str]:
    if "@" in address:
        return [f"mail:{identifiers.mail(address)}"]
    return [f"phone:{number}"] if (number := identifiers.phone(address)) else []
