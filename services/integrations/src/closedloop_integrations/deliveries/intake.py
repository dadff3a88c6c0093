"""A message is asked for: who is meant, by which channel, in which words, and may it go now?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.json_format import MessageToDict

from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.enums import word
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations.deliveries import rules as delivery_rules
from closedloop_integrations.deliveries import store, wire
from closedloop_integrations.deliveries.rules import Circumstances, DeliveryRules
from closedloop_integrations.deliveries.store import Delivery
from closedloop_integrations.deliveries.templates import FieldMissing, TemplateRules, fill, words_of
from closedloop_integrations.settings import outside

# How customers' records call our channels.
CUSTOMERS_CHANNEL = {"mail": "email", "sms": "sms", "wecom": "wechat"}


@dataclass(slots=True)
class Target:
    """Whom a message is for, as far as we know them."""

    key: str
    channel: str
    address: str
    robot: str = ""
    name: str = ""
    language: str = ""
    zone: str = ""
    person_id: str = ""
    contact_id: str | None = None
    account_id: str | None = None
    owner_id: str = ""
    unit_id: str = ""
    participant_ids: Collection[str] = ()
    closed_channels: Collection[str] = field(default_factory=tuple)
    gone: bool = False


async def prepare(work: Work, read: Reader | Transaction, content: pb.DeliveryContent) -> tuple[Delivery, Target]:
    """The delivery as it would be kept; nothing is written.

    Raises InvalidArgument TEMPLATE_UNKNOWN, TEMPLATE_FIELD_MISSING; FailedPrecondition ADDRESS_UNKNOWN,
    CHANNEL_NOT_CONFIGURED."""
    target = await _target(work, read, content)
    subject, text = _words(work, content, target)
    delivery = wire.of_content(content, id=new_id(), now=work.now)
    delivery.recipient_key = target.key
    delivery.channel, delivery.address, delivery.robot = target.channel, target.address, target.robot
    delivery.recipient_name, delivery.subject, delivery.text = target.name, subject, text
    delivery.person_id, delivery.contact_id, delivery.account_id = (
        target.person_id,
        target.contact_id,
        target.account_id,
    )
    delivery.owner_id, delivery.unit_id = target.owner_id, target.unit_id
    sender = work.org.person(content.sender_id)
    delivery.sender_name = sender.name if sender else ""
    if target.channel == "mail":
        delivery.message_id = f"<{delivery.id}@{outside().mail_domain}>"
        if content.reply_to_mail_id:
            delivery.in_reply_to = delivery.references_ = await store.message_id_of_mail(read, content.reply_to_mail_id)
    await _admit(work, read, content, target, delivery)
    return delivery, target


async def request(work: Work, delivery: Delivery) -> Delivery:
    """Keeps it with its first step and tells what a reader could care about; the first of its key is answered."""
    if not await store.add(work.tx, delivery):
        return await store.find(work.tx, delivery.dedupe_key, delivery.recipient_key) or delivery
    store.step(work.tx, delivery.id, work.now, delivery.state, delivery.reason)
    work.audit(
        delivery.id, "request", after={"state": delivery.state, "channel": delivery.channel, "reason": delivery.reason}
    )
    if delivery.state != "queued":
        wire.report(work, delivery)
    return delivery


def impossible(work: Work, content: pb.DeliveryContent, error: errors.DomainError) -> Delivery:
    """A delivery that cannot be: kept as failed, so that the asker hears of it."""
    delivery = wire.of_content(content, id=new_id(), now=work.now)
    delivery.recipient_key = wire.recipient_key(content.recipient)
    delivery.person_id = content.recipient.person_id
    delivery.contact_id = content.recipient.contact_id or None
    delivery.owner_id = content.sender_id or content.recipient.person_id
    delivery.state, delivery.reason, delivery.explanation = "failed", error.reason.lower(), error.message
    delivery.ended_at = work.now
    return delivery


async def _target(work: Work, read: Reader | Transaction, content: pb.DeliveryContent) -> Target:
    recipient, wanted = content.recipient, word(pb.Channel, content.channel)
    match recipient.WhichOneof("target"):
        case "person_id":
            target = _colleague(work, recipient, wanted)
        case "contact_id":
            target = await _contact(read, recipient, wanted)
        case "robot":
            target = _robot(recipient.robot, wanted)
        case _:
            address = recipient.address_only.strip()
            by_address = wanted or ("mail" if "@" in address else "sms")
            target = Target(f"address:{address.casefold()}", by_address, address)
    if not outside().speaks(target.channel):
        raise errors.FailedPrecondition(
            "CHANNEL_NOT_CONFIGURED", f"no {target.channel or 'channel'} is configured here"
        )
    if not target.address and not target.robot:
        raise errors.FailedPrecondition("ADDRESS_UNKNOWN", f"no {target.channel} address of {target.key} is known")
    if target.channel == "mail":
        target.address = target.address.casefold()
    if recipient.account_id and not target.account_id:
        account = await store.account(read, recipient.account_id) or {}
        target.account_id = recipient.account_id
        target.owner_id, target.unit_id = account.get("owner_id", ""), account.get("unit_id", "")
        target.participant_ids = account.get("participant_ids", ())
    target.name, target.language = recipient.name or target.name, recipient.language or target.language
    target.zone = recipient.time_zone or target.zone
    if not target.owner_id and content.sender_id:
        sender = work.org.person(content.sender_id)
        target.owner_id, target.unit_id = content.sender_id, sender.unit_id if sender else ""
    return target


def _colleague(work: Work, recipient: pb.Recipient, wanted: str) -> Target:
    person = work.org.person(recipient.person_id)
    if person is None or not person.active:
        raise errors.FailedPrecondition("ADDRESS_UNKNOWN", f"nobody here is called {recipient.person_id}")

    def address(channel: str) -> str:
        return delivery_rules.address_of(channel, person.email, person.mobile, person.handles)

    speaking = [c for c in work.rules(DeliveryRules).colleague_channels if outside().speaks(c)]
    channel = wanted or next((c for c in speaking if recipient.address or address(c)), next(iter(speaking), ""))
    unit = work.org.unit(person.unit_id)
    return Target(
        key=f"person:{person.id}",
        channel=channel,
        address=recipient.address or address(channel),
        robot="default" if channel in ("wecom", "dingtalk") else "",
        name=person.name,
        language=person.language,
        zone=person.time_zone or (unit.time_zone if unit else ""),
        person_id=person.id,
        owner_id=person.id,
        unit_id=person.unit_id,
    )


async def _contact(read: Reader | Transaction, recipient: pb.Recipient, wanted: str) -> Target:
    contact = await store.contact(read, recipient.contact_id)
    channel = wanted or "mail"
    if contact is None and not recipient.address:
        raise errors.FailedPrecondition("ADDRESS_UNKNOWN", f"contact {recipient.contact_id} is not known here")
    known: dict[str, Any] = contact or {}
    addresses = known.get("phones" if channel == "sms" else "addresses") or [""]
    return Target(
        key=f"contact:{recipient.contact_id}",
        channel=channel,
        address=recipient.address or addresses[0],
        name=known.get("name", ""),
        language=known.get("language", ""),
        zone=known.get("time_zone", ""),
        contact_id=recipient.contact_id,
        account_id=known.get("account_id"),
        owner_id=known.get("owner_id", ""),
        unit_id=known.get("unit_id", ""),
        participant_ids=known.get("participant_ids", ()),
        closed_channels=known.get("closed_channels", ()),
        gone=known.get("state") in ("left", "erased", "merged"),
    )


def _robot(name: str, wanted: str) -> Target:
    channels = [wanted] if wanted else ["wecom", "dingtalk"]
    channel = next((c for c in channels if name in outside().robots(c)), "")
    if not channel:
        raise errors.FailedPrecondition("CHANNEL_NOT_CONFIGURED", f"no chat robot is called {name}")
    return Target(f"robot:{channel}/{name}", channel, "", robot=name)


def _words(work: Work, content: pb.DeliveryContent, target: Target) -> tuple[str, str]:
    """Subject and text."""
    rules = work.rules(TemplateRules)
    if content.WhichOneof("body") == "template":
        return _from_template(content, target, rules, _zone(target.zone, work))
    subject, text = content.written.subject, content.written.text
    sender = work.org.person(content.sender_id)
    if sender is not None and content.purpose != pb.DELIVERY_PURPOSE_INTERNAL:
        main = (target.language or rules.default_language).partition("-")[0]
        text += fill(rules.signature.get(main, ""), {"name": sender.name, "title": sender.title})
    return subject, text


def _from_template(content: pb.DeliveryContent, target: Target, rules: TemplateRules, zone: str) -> tuple[str, str]:
    template = rules.templates.get(content.template.template)
    if template is None:
        raise errors.InvalidArgument(
            "TEMPLATE_UNKNOWN",
            f"there is no template {content.template.template}",
            {"content.template.template": f"one of {', '.join(sorted(rules.templates))}"},
        )
    words = words_of(template, content.topic, target.language, rules.default_language)
    fields = MessageToDict(content.template.fields)
    try:
        return " ".join(fill(words.subject, fields, zone).split()), fill(words.text, fields, zone).strip()
    except FieldMissing as missing:
        raise errors.InvalidArgument(
            "TEMPLATE_FIELD_MISSING",
            f"{content.template.template} needs {missing}",
            {f"content.template.fields.{name}": "required" for name in missing.fields},
        ) from missing


async def _admit(
    work: Work, read: Reader | Transaction, content: pb.DeliveryContent, target: Target, delivery: Delivery
) -> None:
    rules = work.rules(DeliveryRules)
    limit = rules.frequency.get(delivery.purpose)
    since = work.now - timedelta(days=limit.days if limit else 0)
    recent, consents = await store.standing(
        read, address=target.address, contact_id=target.contact_id, purpose=delivery.purpose, since=since
    )
    not_before = protos.instant(content.not_before_time) if content.HasField("not_before_time") else None
    passage = delivery_rules.passage(
        Circumstances(
            purpose=delivery.purpose,
            channel=target.channel,
            topic=content.topic,
            zone=_zone(target.zone, work),
            urgent=content.urgent,
            not_before=not_before,
            expires_at=delivery.expires_at,
            consents=consents,
            channel_closed=CUSTOMERS_CHANNEL.get(target.channel, target.channel) in target.closed_channels,
            contact_gone=target.gone,
            recent=recent if limit else 0,
        ),
        rules,
        work.now,
    )
    delivery.state, delivery.due_at, delivery.reason = passage.state, passage.due_at, passage.reason
    delivery.rule, delivery.explanation = passage.rule, passage.explanation
    delivery.rule_version = work.process.rulebooks.version(DeliveryRules, work.now)
    if passage.state == "suppressed":
        delivery.ended_at = work.now


def _zone(name: str, work: Work) -> str:
    home = work.home.zone()
    try:
        return ZoneInfo(name or home.key).key
    except (ZoneInfoNotFoundError, ValueError):
        return home.key
