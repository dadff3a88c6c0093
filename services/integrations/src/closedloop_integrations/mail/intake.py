"""A mail comes in, or ours has gone out: read, threaded, laid to a customer, and told."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations.mail import quoting, store, wire
from closedloop_integrations.mail.facts import Fact, facts_in
from closedloop_integrations.mail.mime import Parsed, Party, parse
from closedloop_integrations.mail.rules import MailRules, language_of, nature_of
from closedloop_integrations.settings import outside

TOLD_TEXT = 10_000
# In bytes: what is longer takes longer to read than others may wait.
LARGE = 16_384
_VERDICT = re.compile(r"\b(spf|dkim|dmarc)\s*=\s*([a-z]+)", re.I)


async def take_in(work: Work, raw: bytes, *, source: str, source_id: str, received_at: datetime) -> store.Mail:
    """The mail as it is kept; one that is here already is answered as it was. Raises NotMailError."""
    rules = work.rules(MailRules)
    # Whoever else asks something of us does not wait until a large mail is read.
    read = await asyncio.to_thread(_read, raw, rules) if len(raw) > LARGE else _read(raw, rules)
    parsed, nature, written, facts = read
    around = await store.surroundings(
        work.tx,
        addresses=[party.address for party in (parsed.sender, *parsed.to, *parsed.cc) if party.address],
        names=[fact.person_name for fact in facts if fact.person_name],
        message_ids=_answered_ids(parsed, nature),
        failed=parsed.failed_recipient if nature == "bounce" else "",
        domain=parsed.sender.address.rpartition("@")[2],
        since=work.now - timedelta(days=rules.bounce_days),
    )
    contacts = _by_address(around["contacts"])
    mine = contacts.get(parsed.sender.address, {})
    delivery = around["delivery"] or (around["last_delivery"] if nature == "bounce" else None) or {}
    answered = around["answered"] or {}
    account_id = mine.get("account_id") or delivery.get("account_id") or answered.get("account_id")
    mail = store.Mail(
        id=new_id(),
        digest=parsed.digest,
        direction="inbound",
        nature=nature,
        message_id=parsed.message_id,
        thread_id=answered.get("thread_id") or thread_id(parsed),
        from_address=parsed.sender.address,
        from_name=parsed.sender.name,
        # Of a bounce the contact is the one it could not reach.
        contact_id=mine.get("id") or (delivery.get("contact_id") if nature == "bounce" else None),
        recipients=[_party(party, contacts) for party in parsed.to],
        copies=[_party(party, contacts) for party in parsed.cc],
        subject=parsed.subject,
        text=written.text,
        signature=written.signature,
        attachments=[
            {"name": part.name, "media_type": part.media_type, "size_bytes": part.size, "sha256": part.sha256}
            for part in parsed.attachments
        ],
        sent_at=parsed.sent_at,
        received_at=received_at,
        account_id=account_id or (around["by_domain"] if nature != "bounce" else None),
        opportunity_id=answered.get("opportunity_id"),
        facts=[_kept(work, fact, mine, around["named"]) for fact in facts],
        fact_kinds=sorted({fact.kind for fact in facts}),
        language=language_of(written.text),
        delivery_id=delivery.get("id"),
        mended=list(parsed.mended),
        authentication=" ".join(
            f"{what.lower()}={said.lower()}"
            for what, said in _VERDICT.findall(parsed.headers.get("authentication-results", ""))
        ),
        source=source,
        source_id=source_id,
        brought_by=work.actor,
    )
    return await keep(work, mail)


def _read(raw: bytes, rules: MailRules) -> tuple[Parsed, str, quoting.Written, list[Fact]]:
    parsed = parse(raw)
    nature = nature_of(parsed, rules)
    written = quoting.cut(parsed.text, rules.quoting)
    return parsed, nature, written, facts_in(written.text, nature, rules)


async def went_out(work: Work, delivery_id: str, time: datetime) -> None:
    """Keeps a delivered mail to a customer beside his own mails."""
    sent = await store.sent(work.tx, delivery_id)
    if sent is None or sent["channel"] != "mail" or sent["purpose"] == "internal":
        return
    name, address = parseaddr(outside().mail_from)
    roots = [sent["in_reply_to"]] if sent["in_reply_to"] else []
    await keep(
        work,
        store.Mail(
            id=new_id(),
            digest=f"delivery:{delivery_id}",
            direction="outbound",
            nature="personal" if sent["purpose"] == "service" else "bulk",
            message_id=sent["message_id"],
            thread_id=_thread([*roots, sent["message_id"]]),
            from_address=address,
            from_name=sent["sender_name"] or name,
            contact_id=sent["contact_id"],
            recipients=[
                {"address": sent["address"], "name": sent["recipient_name"], "contact_id": sent["contact_id"] or ""}
            ],
            copies=[],
            subject=sent["subject"],
            text=sent["text"],
            signature="",
            attachments=[],
            sent_at=time,
            received_at=time,
            account_id=sent["account_id"],
            opportunity_id=None,
            facts=[],
            fact_kinds=[],
            language=language_of(sent["text"]),
            delivery_id=delivery_id,
            mended=[],
            authentication="",
            source="mail_out",
            source_id=delivery_id,
            brought_by=work.actor,
        ),
    )


async def keep(work: Work, mail: store.Mail) -> store.Mail:
    if not await store.add(work.tx, mail):
        return await store.by_digest(work.tx, mail.digest) or mail
    owner = await store.account(work.tx, mail.account_id) if mail.account_id else None
    tell(work, mail, owner or {})
    return mail


def tell(work: Work, mail: store.Mail, owner: dict[str, Any]) -> None:
    told = wire.mail(mail, owner.get("owner_id") or "", owner.get("unit_id") or "", longest=TOLD_TEXT)
    work.tell(events.MailReceived(mail=told, version=mail.version), mail.thread_id)


def thread_id(parsed: Parsed) -> str:
    """The same for all mails of one exchange, whichever comes first: it follows from the first Message-ID named."""
    return _thread([*parsed.references, *parsed.in_reply_to, parsed.message_id])


def _thread(message_ids: list[str]) -> str:
    return str(uuid5(NAMESPACE_URL, f"mail-thread:{message_ids[0]}"))


def _answered_ids(parsed: Parsed, nature: str) -> list[str]:
    ids = [*parsed.in_reply_to, *reversed(parsed.references)]
    return [parsed.failed_message_id, *ids] if nature == "bounce" and parsed.failed_message_id else ids


def _by_address(contacts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for contact in contacts:
        for address in contact["addresses"]:
            found.setdefault(address, contact)
    return found


def _party(party: Party, contacts: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {"address": party.address, "name": party.name, "contact_id": contacts.get(party.address, {}).get("id", "")}


def _kept(work: Work, fact: Fact, sender: dict[str, Any], named: list[dict[str, Any]]) -> dict[str, Any]:
    """A fact without a name is about the sender; a name is a contact's where his account has one of that name."""
    about = sender.get("id", "")
    if fact.person_name:
        same = [person["id"] for person in named if person["name"] == fact.person_name]
        ours = [p["id"] for p in named if p["name"] == fact.person_name and p["account_id"] == sender.get("account_id")]
        about = ours[0] if len(ours) == 1 else same[0] if len(same) == 1 and not sender else ""
    elif fact.kind in ("new_contact", "new_project"):
        about = ""
    version = work.process.rulebooks.version(MailRules, work.now)
    return {**asdict(fact), "id": new_id(), "contact_id": about, "rule_version": version}
