"""Deliveries and consents between protobuf and rows, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import Provenance, RuleReference
from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import etags, protos
from closedloop_chassis.enums import number, word
from closedloop_chassis.work import Work
from closedloop_integrations.deliveries.rules import DeliveryRules
from closedloop_integrations.deliveries.store import Delivery

# The subject of a message that carries others.
DIGEST = "digest"


def state(word: str) -> pb.DeliveryState.ValueType:
    """A message under way is still queued for the world: nobody has it yet."""
    shown: pb.DeliveryState.ValueType = number(pb.DeliveryState, "queued" if word == "sending" else word)
    return shown


def recipient_key(recipient: pb.Recipient) -> str:
    target = recipient.WhichOneof("target") or ""
    return f"{target.removesuffix('_id').removesuffix('_only')}:{getattr(recipient, target, '')}"


def of_content(content: pb.DeliveryContent, *, id: str, now: datetime) -> Delivery:
    """What is known before anybody has looked up the recipient."""
    return Delivery(
        id=id,
        dedupe_key=content.dedupe_key,
        recipient_key="",
        content=content.SerializeToString(),
        origin=content.origin,
        purpose=word(pb.DeliveryPurpose, content.purpose),
        requested_at=now,
        due_at=now,
        topic=content.topic,
        experiment=content.experiment,
        channel=word(pb.Channel, content.channel),
        account_id=content.recipient.account_id or None,
        subject_type=content.subject_type,
        subject_id=content.subject_id,
        expires_at=protos.instant(content.expire_time, "content.expire_time")
        if content.HasField("expire_time")
        else None,
    )


def delivery(record: Delivery, steps: Sequence[dict[str, Any]] = (), *, words: bool = False) -> pb.Delivery:
    message = pb.Delivery(
        id=record.id,
        content=pb.DeliveryContent.FromString(record.content),
        state=state(record.state),
        channel=number(pb.Channel, record.channel),
        address=record.address,
        request_time=protos.timestamp(record.requested_at),
        send_time=protos.timestamp(record.sent_at),
        end_time=protos.timestamp(record.ended_at),
        attempts=record.attempts,
        gateway_id=record.gateway_id,
        life=[
            pb.DeliveryStep(time=protos.timestamp(step["at"]), state=state(step["state"]), detail=step["detail"])
            for step in steps
        ],
        reason=record.reason,
        digest_delivery_id=str(record.digest_id or ""),
        etag=etags.of(record.version),
    )
    if words:
        message.subject, message.text = record.subject, record.text
    elif message.content.WhichOneof("body") == "written":
        message.content.written.text = ""
    if record.rule or record.explanation:
        message.rule.CopyFrom(
            RuleReference(
                rulebook=DeliveryRules.rulebook,
                version=record.rule_version,
                rule=record.rule,
                explanation=record.explanation,
            )
        )
    return message


def report(work: Work, record: Delivery, *, reply: str = "", mail_id: str = "") -> None:
    """Tells where the message stands now."""
    content = pb.DeliveryContent.FromString(record.content)
    reported = events.DeliveryReported(
        delivery_id=record.id,
        origin=record.origin,
        dedupe_key=record.dedupe_key,
        state=state(record.state),
        channel=number(pb.Channel, record.channel),
        purpose=number(pb.DeliveryPurpose, record.purpose),
        person_id=record.person_id,
        contact_id=record.contact_id or "",
        account_id=record.account_id or "",
        topic=record.topic,
        experiment=record.experiment,
        arm=content.arm,
        subject_type=record.subject_type,
        subject_id=record.subject_id,
        time=protos.timestamp(work.now),
        reason=record.reason,
        reply=reply,
        mail_id=mail_id,
        send_time=protos.timestamp(record.sent_at),
    )
    work.tell(reported, record.id)


def consent(row: dict[str, Any]) -> pb.Consent:
    return pb.Consent(
        address=row["address"],
        contact_id=row["contact_id"] or "",
        channel=number(pb.Channel, row["channel"]),
        topic=row["topic"],
        allowed=row["allowed"],
        cause=row["cause"],
        time=protos.timestamp(row["at"]),
        provenance=Provenance(
            source=row["source"],
            source_id=row["source_id"],
            brought_by=row["brought_by"],
            observed_time=protos.timestamp(row["at"]),
        ),
    )
