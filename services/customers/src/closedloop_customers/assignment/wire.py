"""Assignments, sellers and the pool as protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.customers.v1 import assignment_pb2 as pb
from closedloop_chassis import enums, etags, protos
from closedloop_chassis.org.snapshot import Person
from closedloop_customers import explanations, profiles, provenance, records
from closedloop_customers.assignment import store
from closedloop_customers.assignment.rules import Candidate


def assignment(row: store.AssignmentRow) -> pb.Assignment:
    return pb.Assignment(
        id=row.id,
        record=records.reference(row.record_type, row.record_id),
        ownership=records.ownership(row.owner_id, row.unit_id),
        previous_owner_id=row.previous_owner_id,
        method=enums.number(pb.AssignmentMethod, row.method),
        rule=explanations.reference(row.rule),
        reason=row.reason,
        candidates=[_candidate(kept) for kept in row.candidates],
        assigned_by=row.assigned_by,
        assign_time=protos.timestamp(row.assigned_at),
        end_time=protos.timestamp(row.ended_at),
        protected_until_time=protos.timestamp(row.protected_until),
    )


def candidates(found: Iterable[Candidate]) -> list[pb.AssignmentCandidate]:
    return [_candidate(candidate) for candidate in found]


def _candidate(kept: Candidate | Sequence[Any] | dict[str, Any]) -> pb.AssignmentCandidate:
    """As chosen just now, as kept since, or as kept by an earlier release."""
    if isinstance(kept, dict):
        against = [enums.number(pb.Ineligibility, reason) for reason in kept["ineligibilities"]]
        return pb.AssignmentCandidate(**{**kept, "ineligibilities": against})
    one = kept if isinstance(kept, Candidate) else Candidate(*kept)
    return pb.AssignmentCandidate(
        person_id=one.person_id,
        eligible=one.eligible,
        ineligibilities=[enums.number(pb.Ineligibility, reason) for reason in one.ineligibilities],
        open_leads=one.open_leads,
        capacity=one.capacity,
        score=one.score,
        explanation=one.explanation,
    )


def seller(person: Person, row: store.SellerRow, leaves: Sequence[store.Leave]) -> pb.Seller:
    return pb.Seller(
        person_id=person.id,
        name=person.name,
        unit_id=person.unit_id,
        active=person.active,
        profile=profiles.fill(pb.SellerProfile, row.profile),
        open_leads=row.open_leads,
        owned_accounts=row.owned_accounts,
        leaves=[_leave(leave) for leave in leaves],
        suspend_time=protos.timestamp(row.suspended_at),
        suspend_reason=row.suspend_reason,
        priority_until_time=protos.timestamp(row.priority_until),
        etag=etags.of(row.version),
    )


def _leave(leave: store.Leave) -> pb.Leave:
    return pb.Leave(
        id=leave.id,
        interval=Interval(start_time=protos.timestamp(leave.starts_at), end_time=protos.timestamp(leave.ends_at)),
        stand_in_id=leave.stand_in_id,
        reason=leave.reason,
        provenance=provenance.to_proto(leave.provenance),
    )


def pool_entry(row: store.PoolRow) -> pb.PoolEntry:
    return pb.PoolEntry(
        record=records.reference(row.record_type, row.record_id),
        unit_id=row.unit_id,
        name=row.name,
        industry=row.industry,
        region_code=row.region_code,
        product_lines=row.product_lines,
        grade=row.grade,
        high_potential=row.high_potential,
        reason=enums.number(pb.PoolReason, row.reason),
        note=row.note,
        last_owner_id=row.last_owner_id,
        enter_time=protos.timestamp(row.entered_at),
        claimable_time=protos.timestamp(row.claimable_at),
    )
