"""Mails between protobuf and rows."""

from __future__ import annotations

from typing import Any

from closedloop.common.v1.common_pb2 import Ownership, Provenance, RuleReference
from closedloop.integrations.v1 import mail_pb2 as pb
from closedloop_chassis import etags, protos
from closedloop_chassis.enums import number
from closedloop_integrations.mail.rules import MailRules
from closedloop_integrations.mail.store import Mail


def mail(record: Mail, owner_id: str = "", unit_id: str = "", *, words: bool = True, longest: int = 200_000) -> pb.Mail:
    """`from` is a word of Python, hence the dictionary."""
    sender = pb.MailAddress(address=record.from_address, name=record.from_name)
    if record.direction == "inbound":
        sender.contact_id = record.contact_id or ""
    return pb.Mail(
        **{"from": sender},
        id=record.id,
        direction=number(pb.MailDirection, record.direction),
        nature=number(pb.MailNature, record.nature),
        message_id=record.message_id,
        thread_id=record.thread_id,
        to=[pb.MailAddress(**party) for party in record.recipients],
        cc=[pb.MailAddress(**party) for party in record.copies],
        subject=record.subject,
        text=record.text[:longest] if words else "",
        signature=record.signature if words else "",
        attachments=[pb.MailPart(**part) for part in record.attachments],
        send_time=protos.timestamp(record.sent_at),
        receive_time=protos.timestamp(record.received_at),
        account_id=record.account_id or "",
        opportunity_id=record.opportunity_id or "",
        ownership=Ownership(owner_id=owner_id, unit_id=unit_id),
        facts=[_fact(fact) for fact in record.facts],
        language=record.language,
        delivery_id=record.delivery_id or "",
        mended=record.mended,
        authentication=record.authentication,
        provenance=Provenance(
            source=record.source,
            source_id=record.source_id,
            brought_by=record.brought_by,
            observed_time=protos.timestamp(record.received_at),
        ),
        etag=etags.of(record.version),
    )


def _fact(fact: dict[str, Any]) -> pb.MailFact:
    return pb.MailFact(
        id=fact["id"],
        kind=number(pb.MailFactKind, fact["kind"]),
        person_name=fact["person_name"],
        person_address=fact["person_address"],
        contact_id=fact["contact_id"],
        values=fact["values"],
        sentence=fact["sentence"],
        offset=fact["offset"],
        confidence=fact["confidence"],
        rule=RuleReference(
            rulebook=MailRules.rulebook,
            version=fact["rule_version"],
            rule=f"facts.{fact['rule']}",
            explanation=f'"{fact["sentence"]}" says {fact["kind"]} by the rule {fact["rule"]}',
        ),
    )
