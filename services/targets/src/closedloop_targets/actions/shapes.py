"""Bindings and key actions as the contract shows them."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.targets.v1 import actions_pb2 as pb
from closedloop_chassis import enums, etags, protos
from closedloop_targets.actions.store import KeyAction
from closedloop_targets.book.bindings import Binding


def binding(row: Binding) -> pb.ActionBinding:
    return pb.ActionBinding(
        id=row.id,
        target_id=row.target_id,
        ownership=Ownership(owner_id=row.owner_id, unit_id=row.unit_id),
        kind=row.kind,
        name=row.name,
        verification=row.verification,
        result_metric=row.result_metric,
        quantity=row.quantity,
        start_date=protos.date_proto(row.start_date),
        end_date=protos.date_proto(row.end_date),
        planned_count=row.planned_count,
        done_count=row.done_count,
        verified_count=row.verified_count,
        etag=etags.of(row.version),
    )


def key_action(row: KeyAction) -> pb.KeyAction:
    evidence = None
    if row.evidence:
        evidence = pb.ActionEvidence(kind=row.evidence_kind, reference=row.evidence, note=row.evidence_note)
    return pb.KeyAction(
        id=row.id,
        binding_id=row.binding_id,
        target_id=row.target_id,
        ownership=Ownership(owner_id=row.owner_id, unit_id=row.unit_id),
        kind=row.kind,
        name=row.name,
        date=protos.date_proto(row.date),
        state=enums.number(pb.KeyActionState, row.state),
        subject=row.subject,
        evidence=evidence,
        complete_time=protos.timestamp(row.completed_at),
        verified_by=row.verified_by,
        comment=row.comment,
        etag=etags.of(row.version),
    )
