"""A message is asked for: who is meant, by which channel, in which words, and may it go now?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf.json_format import MessageToDict

from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.enums import word
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations.deliveries import preferences, store, wire
from closedloop_integrations.deliveries import rules as delivery_rules
from closedloop_integrations.deliveries.mailboxes import MalformedError, routed
from closedloop_integrations.deliveries.rules import NO_WISHES, Circumstances, ConsentEntry, DeliveryRules, Wishes
from closedloop_integrations.deliveries.store import Delivery
from closedloop_integrations.deliveries.templates import FieldMissing, TemplateRules, fill, words_of
from closedloop_integrations.settings import outside

# How customers' records call our channels.
DIGEST = "integrations.digest"
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


@dataclass(slots=True)
class Draft:
    """A message in its words; whether and when it may go is decided by `admit`."""

    content: pb.DeliveryContent
    delivery: Delivery
    target: Target
    wishes: Wishes
    not_before: datetime | None

    @property
    def key(self) -> tuple[str, str]:
        return self.delivery.dedupe_key, self.delivery.recipient_key

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it would go; without an address to its recipient alone."""
        delivery = self.delivery
        return delivery.dedupe_key, delivery.channel, delivery.address or f" {delivery.recipient_key}"


async def prepare(work: Work, read: Reader | Transaction, content: pb.DeliveryContent) -> tuple[Delivery, Target]:
    """The delivery as it would be kept; nothing is written.

    Raises InvalidArgument TEMPLATE_UNKNOWN, TEMPLATE_FIELD_MISSING; FailedPrecondition ADDRESS_UNKNOWN,
    ADDRESS_MALFORMED, CHANNEL_NOT_CONFIGURED."""
    [draft] = await word_all(work, read, [content])
    if isinstance(draft, errors.DomainError):
        raise draft
    await admit(work, read, [draft])
    return draft.delivery, draft.target


async def word_all(
    work: Work, read: Reader | Transaction, contents: Sequence[pb.DeliveryContent]
) -> list[Draft | errors.DomainError]:
    """Each of them in its words, or why it cannot be, in their order."""
    recipients = [content.recipient for content in contents]
    known = _Known(
        contacts=await store.contacts(read, (each.contact_id for each in recipients)),
        accounts=await store.accounts(read, (each.account_id for each in recipients)),
        message_ids=await store.message_ids(read, (content.reply_to_mail_id for content in contents)),
        wishes=await preferences.wishes(read, (each.person_id for each in recipients)),
    )
    drafts: list[Draft | errors.DomainError] = []
    for content in contents:
        try:
            drafts.append(_draft(work, content, known))
        except errors.DomainError as error:
            drafts.append(error)
    return drafts


async def admit(work: Work, read: Reader | Transaction, drafts: Sequence[Draft]) -> None:
    """Decides on each whether and when it may go; of one address, those before it count."""
    rules = work.rules(DeliveryRules)
    limits = [rules.frequency.get(draft.delivery.purpose) for draft in drafts]
    standing = await store.standing(
        read,
        [
            {
                "address": draft.target.address,
                "contact_id": draft.target.contact_id,
                "purpose": draft.delivery.purpose,
                "since": work.now - timedelta(days=limit.days if limit else 0),
            }
            for draft, limit in zip(drafts, limits, strict=True)
        ],
    )
    together: Counter[tuple[str, str]] = Counter()
    for draft, limit, (recent, consents) in zip(drafts, limits, standing, strict=True):
        where = draft.target.address, draft.delivery.purpose
        _admit(work, draft, rules, recent + together[where] if limit else 0, consents)
        together[where] += draft.delivery.state != "suppressed"


async def request(work: Work, delivery: Delivery) -> Delivery:
    """Keeps it with its first step and tells what a reader could care about; the first of its key is answered."""
    if not await keep(work, [delivery]):
        return (await store.find(work.tx, [delivery])).get(delivery.id, delivery)
    return delivery


async def keep(work: Work, deliveries: Sequence[Delivery]) -> set[str]:
    """Ids of those that are new; the others went out, or wait, under their keys."""
    new = await store.add(work.tx, deliveries)
    added = [delivery for delivery in deliveries if delivery.id in new]
    store.step(work.tx, work.now, [(each.id, each.state, each.reason) for each in added])
    for each in added:
        after = {"state": each.state, "channel": each.channel, "reason": each.reason}
        work.audit(each.id, "request", after=after)
        if each.state != "queued":
            wire.report(work, each)
        if each.reason == "digest":
            work.timers.set(
                DIGEST, f"{each.person_id}@{each.due_at.isoformat()}", each.due_at, {"person": each.person_id}
            )
    return new


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


@dataclass(frozen=True, slots=True)
class _Known:
    """What is looked up for all at once: contacts, accounts, mails that are answered, what colleagues wish."""

    contacts: Mapping[str, dict[str, Any]]
    accounts: Mapping[str, dict[str, Any]]
    message_ids: Mapping[str, str]
    wishes: Mapping[str, Wishes]


def _draft(work: Work, content: pb.DeliveryContent, known: _Known) -> Draft:
    wishes = known.wishes.get(content.recipient.person_id, NO_WISHES)
    target = _target(work, content, known, wishes)
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
            delivery.in_reply_to = delivery.references_ = known.message_ids.get(content.reply_to_mail_id, "")
    not_before = protos.instant(content.not_before_time) if content.HasField("not_before_time") else None
    return Draft(content, delivery, target, wishes, not_before)


def _target(work: Work, content: pb.DeliveryContent, known: _Known, wishes: Wishes) -> Target:
    recipient, wanted = content.recipient, word(pb.Channel, content.channel)
    match recipient.WhichOneof("target"):
        case "person_id":
            target = _colleague(work, recipient, wanted, wishes)
        case "contact_id":
            target = _contact(known.contacts.get(recipient.contact_id), recipient, wanted)
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
    purpose = word(pb.DeliveryPurpose, content.purpose)
    if target.channel == "sms" and purpose not in work.rules(DeliveryRules).sms_templates:
        raise errors.FailedPrecondition(
            "SMS_TEMPLATE_MISSING", f"carriers take approved templates alone; the rulebook names none for {purpose}"
        )
    if not target.address and not target.robot:
        raise errors.FailedPrecondition("ADDRESS_UNKNOWN", f"no {target.channel} address of {target.key} is known")
    if target.channel == "mail":
        target.address = target.address.strip().casefold()
        try:
            routed(target.address)
        except MalformedError as error:
            raise errors.FailedPrecondition(
                "ADDRESS_MALFORMED", f"no mail can be sent to {target.address[:100]}: {error}"
            ) from error
    elif target.channel == "sms":
        target.address = delivery_rules.number_of(target.address, work.rules(DeliveryRules))
    if recipient.account_id and not target.account_id:
        account = known.accounts.get(recipient.account_id, {})
        target.account_id = recipient.account_id
        target.owner_id, target.unit_id = account.get("owner_id", ""), account.get("unit_id", "")
        target.participant_ids = account.get("participant_ids", ())
    target.name, target.language = recipient.name or target.name, recipient.language or target.language
    target.zone = recipient.time_zone or target.zone
    if not target.owner_id and content.sender_id:
        sender = work.org.person(content.sender_id)
        target.owner_id, target.unit_id = content.sender_id, sender.unit_id if sender else ""
    return target


def _colleague(work: Work, recipient: pb.Recipient, wanted: str, wishes: Wishes) -> Target:
    person = work.org.person(recipient.person_id)
    if person is None or not person.active:
        raise errors.FailedPrecondition("ADDRESS_UNKNOWN", f"nobody here is called {recipient.person_id}")

    def address(channel: str) -> str:
        return delivery_rules.address_of(channel, person.email, person.mobile, person.handles)

    # The rulebook's follow, so that nobody is out of reach because what he wishes for is not there.
    asked = dict.fromkeys((*wishes.channels, *work.rules(DeliveryRules).colleague_channels))
    speaking = [channel for channel in asked if outside().speaks(channel)]
    channel = wanted or next((c for c in speaking if recipient.address or address(c)), next(iter(speaking), ""))
    unit = work.org.unit(person.unit_id)
    return Target(
        key=f"person:{person.id}",
        channel=channel,
        address=recipient.address or address(channel),
        robot="default" if channel in ("wecom", "dingtalk") else "",
        name=person.name,
        language=person.language,
        zone=wishes.time_zone or person.time_zone or (unit.time_zone if unit else ""),
        person_id=person.id,
        owner_id=person.id,
        unit_id=person.unit_id,
    )


def _contact(contact: dict[str, Any] | None, recipient: pb.Recipient, wanted: str) -> Target:
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
        return _from_template(content, target, rules, zone(target.zone, work))
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


def _admit(work: Work, draft: Draft, rules: DeliveryRules, recent: int, consents: tuple[ConsentEntry, ...]) -> None:
    content, target, delivery = draft.content, draft.target, draft.delivery
    passage = delivery_rules.passage(
        Circumstances(
            purpose=delivery.purpose,
            channel=target.channel,
            topic=content.topic,
            zone=zone(target.zone, work),
            urgent=content.urgent,
            not_before=draft.not_before,
            expires_at=delivery.expires_at,
            consents=consents,
            channel_closed=CUSTOMERS_CHANNEL.get(target.channel, target.channel) in target.closed_channels,
            contact_gone=target.gone,
            recent=recent,
            wishes=draft.wishes,
        ),
        rules,
        work.now,
    )
    delivery.state, delivery.due_at, delivery.reason = passage.state, passage.due_at, passage.reason
    delivery.quiet_at = passage.quiet_at
    delivery.rule, delivery.explanation = passage.rule, passage.explanation
    delivery.rule_version = work.process.rulebooks.version(DeliveryRules, work.now)
    if passage.state == "suppressed":
        delivery.ended_at = work.now


def zone(name: str, work: Work) -> str:
    """The zone, or the house's where it is none."""
    home = work.home.zone()
    try:
        return ZoneInfo(name or home.key).key
    except (ZoneInfoNotFoundError, ValueError):
        return home.key
