"""What approvals and the callers are told of a pending decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import policies_pb2, requests_pb2
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import quotes_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_funnel.clearance.record import Clearance
from closedloop_funnel.words import number

ORIGIN = "funnel"


def status(record: Clearance) -> pb.ApprovalStatus | None:
    """None before the first submission."""
    if not record.approval_state:
        return None
    return pb.ApprovalStatus(
        approval_id=record.approval_id,
        state=number(pb.ApprovalState, record.approval_state),
        request_time=protos.timestamp(record.submitted_at),
        due_time=protos.timestamp(record.approval_due_at),
        decide_time=protos.timestamp(record.decided_at),
        decider_ids=record.decider_ids,
        comment=record.approval_comment,
        content_digest=record.content_digest,
    )


def ask(
    record: Clearance,
    kind: str,
    *,
    title: str,
    summary: str,
    opportunity_id: str,
    facts: policies_pb2.Facts,
    reason: str,
    work: Work,
    evidence: list[common_pb2.Evidence] | None = None,
) -> None:
    """Every quote and contract asks; whether anybody must sign is the policies' to say (S63, S64)."""
    subject = requests_pb2.Subject(
        origin=ORIGIN,
        kind=kind,
        id=record.id,
        version=record.submitted_revision,
        digest=record.content_digest,
        title=title[:200],
        summary=summary[:10000],
        opportunity_id=opportunity_id,
    )
    asked = approvals.ApprovalRequested(
        subject=subject,
        facts=facts,
        submitter_id=work.actor,
        reason=reason,
        evidence=evidence or [],
        provenance=common_pb2.Provenance(
            source=ORIGIN, source_id=record.id, brought_by=work.actor, observed_time=protos.timestamp(work.now)
        ),
    )
    work.tell(asked, record.id)


def take_back(record: Clearance, kind: str, reason: str, work: Work) -> None:
    work.tell(
        approvals.ApprovalWithdrawn(
            origin=ORIGIN,
            kind=kind,
            subject_id=record.id,
            version=record.submitted_revision,
            reason=reason,
            actor_id=work.actor,
        ),
        record.id,
    )


def facts(deal: dict[str, Any], custom: Mapping[str, Any], **more: Any) -> policies_pb2.Facts:
    """What policies ask of a deal: account, its grade, industry and region, who answers for it; `custom` besides."""
    told = policies_pb2.Facts(
        account_id=deal["account_id"] or "",
        account_grade=deal["account_grade"] or "",
        industry=deal["account_industry"] or "",
        region=deal["account_region"] or "",
        ownership=common_pb2.Ownership(owner_id=deal["owner_id"], unit_id=deal["unit_id"]),
        **more,
    )
    told.custom_fields.update(custom)
    return told
