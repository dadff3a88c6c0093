"""Requests as the contract shows them, and as others are told of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

from google.protobuf import json_format
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import events_pb2, policies_pb2, tasks_pb2
from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop.common.v1.common_pb2 import Evidence, Ownership, Provenance, RuleReference
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1.events_pb2 import DeliveryRequested
from closedloop_approvals.requests.route import Signer
from closedloop_approvals.requests.store import Request
from closedloop_approvals.requests.trail import Sealed
from closedloop_chassis import enums, etags, protos, structs
from closedloop_chassis.work import Work


def request(held: Request) -> pb.Request:
    """With its steps and signers, without its trail."""
    return pb.Request(
        id=held.id,
        subject=subject(held),
        facts=facts(held),
        state=state(held),
        submitter_id=held.submitter_id,
        reason=held.reason,
        attachments=[json_format.ParseDict(told, pb.Attachment()) for told in held.attachments],
        steps=[_step(held, number) for number in range(len(held.route.steps))],
        active_steps=[step.number for step in held.route.active()],
        rules=rules(held),
        accumulated_request_ids=held.accumulated_ids,
        open_time=protos.timestamp(held.opened_at),
        due_time=protos.timestamp(held.due_at),
        close_time=protos.timestamp(held.closed_at),
        elapsed=protos.duration(held.elapsed),
        escalation_level=held.escalation_level,
        conditions=held.conditions,
        provenance=_provenance(held),
        etag=etags.of(held.version),
        trail_hash=held.trail_hash,
        decided_step=held.route.decided_step,
        decided_by=held.decided_by,
    )


def subject(held: Request) -> pb.Subject:
    return pb.Subject(**held.subject)


def state(held: Request) -> pb.RequestState.ValueType:
    found: pb.RequestState.ValueType = enums.number(pb.RequestState, held.state)
    return found


def rules(held: Request) -> list[RuleReference]:
    return [_rule(told) for told in held.rules]


def facts(held: Request) -> policies_pb2.Facts:
    """As submitted. Put together by hand, an eighth of what ParseDict takes."""
    told = dict(held.facts)
    amount, ownership, custom = (told.pop(name, None) for name in ("amount", "ownership", "custom_fields"))
    made = policies_pb2.Facts(**told)
    if amount is not None:
        made.amount.CopyFrom(Money(**(amount | {"units": int(amount.get("units", 0))})))
    if ownership is not None:
        made.ownership.CopyFrom(Ownership(**ownership))
    if custom is not None:
        made.custom_fields.update(custom)
    return made


def _rule(told: dict[str, Any]) -> RuleReference:
    # 64 bits are text in JSON.
    return RuleReference(**(told | {"version": int(told.get("version", 0))}))


def _provenance(held: Request) -> Provenance:
    told = dict(held.provenance)
    observed = told.pop("observed_time", None)
    made = Provenance(**told)
    if observed is not None:
        # Ours are of microseconds; nanoseconds, which a datetime has no room for, are read at ten times the price.
        if len(observed) <= len("2026-01-01T00:00:00.000000Z"):
            made.observed_time.CopyFrom(protos.timestamp(datetime.fromisoformat(observed)))
        else:
            made.observed_time.FromJsonString(observed)
    return made


def _step(held: Request, place: int) -> pb.Step:
    step = held.route.steps[place]
    return pb.Step(
        number=step.number,
        name=step.name,
        mode=enums.number(policies_pb2.StepMode, step.mode),
        quorum=step.quorum,
        parallel_group=step.parallel_group,
        signers=[_signer(signer) for signer in step.signers],
        start_time=protos.timestamp(step.started_at),
        due_time=protos.timestamp(held.due_at if step.active else None),
        end_time=protos.timestamp(step.ended_at),
        rule=_rule(held.step_rules.get(step.number, {})),
    )


def _signer(signer: Signer) -> pb.Signer:
    return pb.Signer(
        person_id=signer.person_id,
        state=enums.number(pb.SignerState, signer.state),
        reason=signer.reason,
        signed_by=signer.signed_by,
        ask_time=protos.timestamp(signer.asked_at),
        answer_time=protos.timestamp(signer.answered_at),
        comment=signer.comment,
        from_person_id=signer.from_person_id,
    )


def trail_entry(link: Sealed) -> pb.TrailEntry:
    said: dict[str, Any] = json.loads(link.content)
    entry = pb.TrailEntry(
        request_id=link.request_id,
        sequence=link.sequence,
        actor_id=said["actor_id"],
        on_behalf_of=said["on_behalf_of"],
        action=pb.TrailAction.Value(f"TRAIL_ACTION_{said['action'].upper()}"),
        step=said["step"],
        comment=said["comment"],
        attachments=[json_format.ParseDict(told, pb.Attachment()) for told in said["attachments"]],
        evidence=[json_format.ParseDict(told, Evidence()) for told in said["evidence"]],
        person_ids=said["person_ids"],
        rule=_rule(said["rule"]) if said["rule"] else None,
        previous_hash=link.previous_hash,
        hash=link.hash,
        subject_version=said["subject_version"],
        content_hash=said["content_hash"],
    )
    entry.time.FromJsonString(said["time"])
    return entry


def opened(held: Request) -> events_pb2.RequestOpened:
    return events_pb2.RequestOpened(
        request_id=held.id,
        subject=subject(held),
        submitter_id=held.submitter_id,
        signer_ids=list(dict.fromkeys(signer.person_id for _, signer in held.route.asked())),
        due_time=protos.timestamp(held.due_at),
        rules=rules(held),
    )


def decided(held: Request, comment: str) -> events_pb2.RequestDecided:
    return events_pb2.RequestDecided(
        request_id=held.id,
        subject=subject(held),
        state=state(held),
        not_required=held.not_required,
        submitter_id=held.submitter_id,
        decided_by=held.decided_by,
        on_behalf_of=held.decided_for,
        comment=comment,
        conditions=held.conditions,
        open_time=protos.timestamp(held.opened_at),
        decide_time=protos.timestamp(held.closed_at),
        elapsed=protos.duration(held.elapsed),
        escalation_level=held.escalation_level,
        rules=rules(held),
        trail_hash=held.trail_hash,
        facts=facts(held),
    )


def returned(held: Request, by: str, on_behalf_of: str, comment: str, work: Work) -> events_pb2.RequestReturned:
    return events_pb2.RequestReturned(
        request_id=held.id,
        subject=subject(held),
        submitter_id=held.submitter_id,
        returned_by=by,
        on_behalf_of=on_behalf_of,
        comment=comment,
        return_time=protos.timestamp(work.now),
    )


def not_routed(of: pb.Subject, submitter_id: str, reason: str, work: Work) -> events_pb2.RequestReturned:
    """Before there was a request: nobody could be asked."""
    return events_pb2.RequestReturned(
        subject=of, submitter_id=submitter_id, comment=reason, return_time=protos.timestamp(work.now)
    )


def recalled(held: Request, reason: str, work: Work) -> events_pb2.RequestRecalled:
    return events_pb2.RequestRecalled(
        request_id=held.id,
        subject=subject(held),
        submitter_id=held.submitter_id,
        reason=reason,
        recall_time=protos.timestamp(work.now),
    )


def notice(
    template: Literal["approval_waiting", "approval_escalated"],
    held: Request,
    person_id: str,
    occasion: str,
    work: Work,
    **more: Any,
) -> DeliveryRequested:
    """A message to one signer; `occasion` tells it from others about the same request, so that each goes out once."""
    submitter = work.org.person(held.submitter_id)
    content = deliveries_pb2.DeliveryContent(
        dedupe_key=f"approvals.{occasion}:{held.id}:{person_id}",
        origin="approvals",
        purpose=deliveries_pb2.DELIVERY_PURPOSE_INTERNAL,
        recipient=deliveries_pb2.Recipient(person_id=person_id),
        template=deliveries_pb2.TemplateBody(template=template),
        subject_type="approval_request",
        subject_id=held.id,
        opportunity_id=held.opportunity_id or "",
    )
    person = work.org.person(person_id)
    structs.fill(
        content.template.fields,
        {
            "person_name": person.name if person else person_id,
            "request_id": held.id,
            "kind": held.kind,
            "title": held.title,
            "summary": held.summary,
            "reason": held.reason,
            "submitter_id": held.submitter_id,
            "submitter_name": submitter.name if submitter else held.submitter_id,
            "amount": "" if held.amount_minor is None else _amount(held),
            "discount_ratio": held.discount_ratio,
            "due_time": held.due_at.isoformat() if held.due_at else "",
            "escalation_level": held.escalation_level,
            **more,
        },
    )
    return DeliveryRequested(content=content)


def signer_missing(held: Request, gone: str, why: str) -> events_pb2.TaskRequested:
    """To whoever runs the system: the route has a seat that nobody can take by rule."""
    content = tasks_pb2.TaskContent(
        kind="intervention",
        title=f"{gone} 不再可签署, 请为审批指定签署人: {held.title}"[:200],
        description=f"{why}, and nobody can sign instead; hand the signature over (HandOver).",
        assignee_role="role:operations",
        ownership=Ownership(owner_id=held.owner_id, unit_id=held.unit_id),
        origin="approvals",
        cause_key=f"approvals.signer_missing:{held.id}:{gone}",
        warning="approvals.signer_missing",
        priority=tasks_pb2.TASK_PRIORITY_HIGH,
        subject_type="approval_request",
        subject_id=held.id,
        opportunity_id=held.opportunity_id or "",
    )
    return events_pb2.TaskRequested(content=content)


def mention(held: Request, person_id: str, text: str, occasion: str, sender_id: str) -> DeliveryRequested:
    """What a person wrote on the trail, to somebody named in it."""
    return DeliveryRequested(
        content=deliveries_pb2.DeliveryContent(
            dedupe_key=f"approvals.{occasion}:{held.id}:{person_id}",
            origin="approvals",
            purpose=deliveries_pb2.DELIVERY_PURPOSE_INTERNAL,
            recipient=deliveries_pb2.Recipient(person_id=person_id),
            written=deliveries_pb2.WrittenBody(subject=held.title, text=text),
            subject_type="approval_request",
            subject_id=held.id,
            sender_id=sender_id,
        )
    )


def _amount(held: Request) -> str:
    money = protos.money(held.amount_minor or 0, held.currency)
    return f"{money.units + money.nanos / protos.NANOS:,.2f} {held.currency}"
