"""The wake-up itself: gathers what is known, plans, and sends one message after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from google.protobuf.struct_pb2 import Struct

from closedloop.customers.v1 import interactions_pb2
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import enums, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import asking, explanations, identifiers, records
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.contacts.rules import Contact
from closedloop_customers.records import Key, Standing
from closedloop_customers.wake_ups import desk, store
from closedloop_customers.wake_ups.rules import (
    Facts,
    Interest,
    Plan,
    Recipient,
    Refusal,
    WakeUpRules,
    compose,
    in_control,
    plan,
    reachable,
)

# Channels of touches as channels of deliveries.
DELIVERY_CHANNELS = {"email": deliveries_pb2.CHANNEL_MAIL, "sms": deliveries_pb2.CHANNEL_SMS}

RECORD_CLOSED = "the record is closed"

Outcome = Plan | Refusal


async def plans(
    work: Work, reader: Reader | Transaction, standing: Sequence[Standing], topic: str = "", contact_id: str = ""
) -> dict[Key, Outcome]:
    """For each record whom to write to and about what, or why not. A handful of round trips, however many records."""
    rules = work.rules(WakeUpRules)
    since = work.now - timedelta(days=rules.behaviour_days)
    of = {type_: [s.id for s in standing if s.type == type_] for type_ in ("account", "lead")}
    interests: dict[str, list[Interest]] = {}
    for type_ in ("account", "lead"):
        if of[type_]:
            interests |= await store.interests(reader, type_, of[type_], since)
    nearby = (
        await store.neighbours(reader, of["account"], work.now - timedelta(days=rules.neighbour_days))
        if of["account"]
        else {}
    )
    lines = await store.product_lines(reader, of["account"], of["lead"])
    recipients = await _recipients(work, reader, standing, contact_id)
    return {
        (s.type, s.id): plan(
            recipients.get((s.type, s.id), ()),
            Facts(interests.get(s.id, ()), nearby.get(s.id, 0), lines.get(s.id, ())),
            rules,
            topic,
        )
        for s in standing
    }


async def begin(work: Work, planned: Sequence[tuple[Standing, Plan]]) -> list[tuple[store.WakeUp, store.Message]]:
    """Starts these and sends the first message of each; records that are being woken already are left alone."""
    rules = work.rules(WakeUpRules)
    following = work.calendars.due(rules.answer, work.now)
    made = []
    for standing, chosen in planned:
        control = in_control(standing.id, rules)
        wake_up = store.WakeUp(
            id=new_id(),
            record_type=standing.type,
            record_id=standing.id,
            contact_id=chosen.recipient.contact_id or None,
            owner_id=standing.owner_id,
            unit_id=standing.unit_id,
            state="running",
            topic=chosen.topic,
            control=control,
            behaviours=[{"name": n, "value": v, "unit": u, "text": t} for n, v, u, t in chosen.evidence],
            rule=explanations.because(work, WakeUpRules, f"topics.{chosen.topic}", chosen.explanation),
            last_interaction_at=standing.last_interaction_at,
            started_at=work.now,
            next_message_at=following if rules.messages > 1 else None,
            ended_at=None,
            end_reason="",
            plan=_kept(work, standing, chosen),
            version=1,
        )
        made.append((wake_up, message(work, wake_up, 0)))
    began = await store.add(work.tx, [wake_up for wake_up, _ in made])
    started = [(wake_up, first) for wake_up, first in made if wake_up.id in began]
    store.add_messages(work.tx, [first for _, first in started])
    running = [(wake_up.id, wake_up.owner_id, wake_up.unit_id, {"step": 0}) for wake_up, _ in started]
    work.clocks.start_many(desk.STEP, rules.answer, running)
    for wake_up, first in started:
        send(work, wake_up, first)
        work.audit(
            wake_up.id, "start", {}, {"record": wake_up.record_id, "topic": wake_up.topic, "control": wake_up.control}
        )
    return started


def message(work: Work, wake_up: store.WakeUp, step: int) -> store.Message:
    """The message of a step: channels take turns, the words are the topic's or, in the control group, the plain
    ones."""
    rules = work.rules(WakeUpRules)
    channels: list[str] = wake_up.plan["channels"]
    template, headline, text = compose(rules, wake_up.topic, wake_up.control, wake_up.plan["words"])
    day = work.now.date().isoformat()
    return store.Message(
        wake_up_id=wake_up.id,
        step=step,
        dedupe_key=f"customers.wake_up:{wake_up.record_id}:{day}:{step}",
        channel=channels[step % len(channels)],
        template=template,
        subject_line=headline,
        body=text,
    )


def send(work: Work, wake_up: store.WakeUp, what: store.Message) -> None:
    """Asks integrations for the delivery; worthless once the next message would be due."""
    kept, rules = wake_up.plan, work.rules(WakeUpRules)
    fields = Struct()
    fields.update({**kept["words"], "topic": wake_up.topic, "headline": what.subject_line, "text": what.body})
    address = kept["email"] if what.channel == "email" else kept["phone"]
    recipient = deliveries_pb2.Recipient(
        address=address,
        name=kept["name"],
        account_id=kept["account_id"],
        language=kept["language"],
        time_zone=kept["time_zone"],
    )
    if wake_up.contact_id:
        recipient.contact_id = wake_up.contact_id
    else:
        recipient.address_only = address
    content = deliveries_pb2.DeliveryContent(
        dedupe_key=what.dedupe_key,
        origin=asking.ORIGIN,
        channel=DELIVERY_CHANNELS[what.channel],
        purpose=deliveries_pb2.DELIVERY_PURPOSE_MARKETING,
        recipient=recipient,
        template=deliveries_pb2.TemplateBody(template=what.template, fields=fields),
        topic=wake_up.topic,
        experiment=rules.experiment,
        arm="control" if wake_up.control else "treated",
        expire_time=protos.timestamp(work.calendars.due(rules.answer, work.now)),
        subject_type="wake_up",
        subject_id=wake_up.id,
        sender_id=kept["sender_id"],
    )
    work.tell(integrations.DeliveryRequested(content=content), wake_up.record_id)


def _kept(work: Work, standing: Standing, chosen: Plan) -> dict[str, Any]:
    recipient = chosen.recipient
    words = {
        **chosen.words,
        "contact": recipient.name,
        "account": standing.name or "",
        **_signature(work, standing),
    }
    return {
        "words": words,
        "channels": list(chosen.channels),
        "name": recipient.name,
        "email": recipient.email,
        "phone": recipient.phone,
        "language": recipient.language,
        "time_zone": recipient.time_zone,
        "account_id": standing.account_id or "",
        "sender_id": asking.working(work, standing.owner_id, standing.unit_id),
    }


@dataclass(frozen=True, slots=True)
class Over:
    """A wake-up that cannot go on, and how it ends."""

    wake_up: store.WakeUp
    state: str
    reason: str


async def looked_at(work: Work, running: Sequence[store.WakeUp]) -> list[store.WakeUp | Over]:
    """These as they go on now: in the hands their record is in, to the person as they can be reached by now, or over
    because they left, want no more messages or their record is closed. A handful of round trips, however many."""
    keys = {wake_up.id: (wake_up.record_type, wake_up.record_id) for wake_up in running}
    standing = await records.find(work.tx, keys.values()) if keys else {}
    people = await _recipients(work, work.tx, list({s.id: s for s in standing.values()}.values()), "")
    matching = work.rules(identifiers.MatchingRules)
    found: list[store.WakeUp | Over] = []
    for wake_up in running:
        where = standing[keys[wake_up.id]]
        recipient = next((r for r in people[where.type, where.id] if _meant(wake_up, r, matching)), None)
        channels = reachable(recipient, wake_up.topic, work.rules(WakeUpRules)) if recipient else ()
        if not where.open:
            found.append(Over(wake_up, "stopped", RECORD_CLOSED))
        elif recipient is None:
            found.append(Over(wake_up, "stopped", "the person is no longer there"))
        elif not (recipient.email or recipient.phone):
            found.append(Over(wake_up, "unreachable", "no address of the person is known any more"))
        elif not channels:
            found.append(Over(wake_up, "opted_out", "the person wants no more of these messages"))
        else:
            kept = _kept(work, where, Plan(recipient, channels, wake_up.topic, wake_up.plan["words"]))
            found.append(replace(wake_up, owner_id=where.owner_id, unit_id=where.unit_id, plan=kept))
    return found


def _meant(wake_up: store.WakeUp, recipient: Recipient, matching: identifiers.MatchingRules) -> bool:
    """Whether it is this person who is being written to: a contact, or who asked as a lead and may be one by now."""
    if wake_up.contact_id is not None:
        return recipient.contact_id == wake_up.contact_id
    written_to = replace(recipient, email=wake_up.plan["email"], phone=wake_up.plan["phone"])
    return not recipient.contact_id or not _addresses(recipient, matching).isdisjoint(_addresses(written_to, matching))


def _signature(work: Work, standing: Standing) -> dict[str, str]:
    sender = asking.working(work, standing.owner_id, standing.unit_id)
    return {"owner": asking.name_of(work, sender) if sender else ""}


async def _recipients(
    work: Work, reader: Reader | Transaction, standing: Sequence[Standing], contact_id: str
) -> dict[Key, list[Recipient]]:
    matching = work.rules(identifiers.MatchingRules)
    found: dict[Key, list[Recipient]] = {(s.type, s.id): [] for s in standing}
    by_account: dict[str, list[Key]] = {}
    for s in standing:
        if s.account_id is not None:
            by_account.setdefault(s.account_id, []).append((s.type, s.id))
    people = await contacts.of_accounts(reader, by_account) if by_account else []
    for person in people:
        if person.state != "current" or (contact_id and person.id != contact_id):
            continue
        profile = person.profile
        recipient = Recipient(
            contact_id=person.id,
            name=profile["name"],
            email=next(iter(profile.get("email_addresses", ())), ""),
            phone=next(iter(profile.get("phones", ())), ""),
            language=profile.get("language_code", ""),
            time_zone=profile.get("time_zone", ""),
            closed=frozenset(person.closed_channels),
        )
        for key in by_account[person.account_id]:
            found[key].append(recipient)
    asked = [s.id for s in standing if s.type == "lead"] if not contact_id else []
    known = {s.id: [p for p in people if p.account_id == s.account_id] for s in standing if s.type == "lead"}
    for row in await reader.all(store.LEAD_CONTACTS, {"ids": asked}) if asked else []:
        id_, own_contact = row.pop("id"), row.pop("contact_id")
        own = Recipient(contact_id="", **row)
        same = {p.id for p in known[id_] if p.id == own_contact or _same_person(p, own, matching)}
        several = found["lead", id_]
        # Who asked comes first: as the contact they have become, as they wrote themselves where they are none.
        if same:
            several.sort(key=lambda recipient: recipient.contact_id not in same)
        else:
            several.insert(0, own)
    return await _without_opt_outs(reader, found, matching)


def _same_person(contact: Contact, asked: Recipient, matching: identifiers.MatchingRules) -> bool:
    return not _addresses(asked, matching).isdisjoint(identifiers.contact_keys(contact.profile, matching))


async def _without_opt_outs(
    reader: Reader | Transaction, found: Mapping[Key, list[Recipient]], rules: identifiers.MatchingRules
) -> dict[Key, list[Recipient]]:
    """The same people with what they opted out of, by address or as a contact."""
    everybody = [recipient for many in found.values() for recipient in many]
    if not everybody:
        return dict(found)
    addresses = {r: _addresses(r, rules) for r in everybody}
    rows = await reader.all(
        store.OPT_OUTS,
        {
            "addresses": [address for many in addresses.values() for address in many],
            "contact_ids": [r.contact_id for r in everybody if r.contact_id],
        },
    )

    def obeyed(recipient: Recipient) -> Recipient:
        own = [
            row
            for row in rows
            if row["address"] in addresses[recipient] or row["contact_id"] == (recipient.contact_id or "-")
        ]
        closed = {row["channel"] for row in own if not row["topic"] and row["channel"]}
        topics = {row["topic"] for row in own if row["topic"]} | {
            "" for row in own if not row["topic"] and not row["channel"]
        }
        return replace(recipient, closed=recipient.closed | closed, opted_out=frozenset(topics))

    return {key: [obeyed(recipient) for recipient in many] for key, many in found.items()}


def _addresses(recipient: Recipient, rules: identifiers.MatchingRules) -> frozenset[str]:
    keys = (
        f"mail:{identifiers.mail(recipient.email)}",
        f"phone:{identifiers.phone(recipient.phone, rules.country_prefix)}",
    )
    return frozenset(key for key in keys if not key.endswith(":"))


def channel_proto(channel: str) -> Any:
    return enums.number(interactions_pb2.Channel, channel)
