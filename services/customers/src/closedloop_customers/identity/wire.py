"""Identity as protobuf."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop.customers.v1 import identity_pb2 as pb
from closedloop_chassis import enums, protos
from closedloop_chassis.work import Scope, Work
from closedloop_customers import explanations, records
from closedloop_customers.identity import store
from closedloop_customers.identity.rules import Comparison, IdentityRules, Reason

# A customer's own: shown only to who may see the record.
PERSONAL = frozenset({"phone", "email_address", "wechat_id", "person"})


def match(kind: str, record: store.Record, comparison: Comparison, certain: float, sight: Scope) -> pb.DuplicateMatch:
    seen = sight.covers(record.owner_id, record.unit_id, record.participant_ids)
    name = record.profile.get("name", "") if seen and kind == "contact" else record.name
    return pb.DuplicateMatch(
        record=records.reference(kind, record.id),
        name=name,
        ownership=records.ownership(record.owner_id, record.unit_id),
        probability_ratio=comparison.probability,
        certain=comparison.probability >= certain,
        reasons=[_reason(reason, shown=seen) for reason in comparison.reasons],
    )


def pair(row: store.ShownPair, sight: Scope) -> pb.DuplicatePair:
    left, right = (
        sight.covers(owner_id, unit_id)
        for owner_id, unit_id in ((row.left_owner_id, row.left_unit_id), (row.right_owner_id, row.right_unit_id))
    )
    company = row.record_type == "account"
    return pb.DuplicatePair(
        id=row.id,
        left=records.reference(row.record_type, row.left_id),
        left_name=row.left_name if left or company else "",
        left_ownership=records.ownership(row.left_owner_id, row.left_unit_id),
        right=records.reference(row.record_type, row.right_id),
        right_name=row.right_name if right or company else "",
        right_ownership=records.ownership(row.right_owner_id, row.right_unit_id),
        probability_ratio=row.probability,
        reasons=[_reason(Reason(**reason), shown=left and right) for reason in row.reasons],
        state=enums.number(pb.DuplicatePairState, row.state),
        decided_by=row.decided_by,
        decide_time=protos.timestamp(row.decided_at),
        decision_reason=row.decision_reason,
        find_time=protos.timestamp(row.found_at),
    )


def merge(row: store.Merge) -> pb.Merge:
    return pb.Merge(
        id=row.id,
        survivor=records.reference(row.record_type, row.survivor_id),
        absorbed_ids=row.absorbed_ids,
        moved_references=row.moved,
        field_choices=row.choices,
        merged_by=row.merged_by,
        merge_time=protos.timestamp(row.merged_at),
        reason=row.reason,
        unmerged_by=row.unmerged_by,
        unmerge_time=protos.timestamp(row.unmerged_at),
    )


def rule(work: Work, rules: IdentityRules) -> RuleReference | None:
    why = f"shown from {rules.shown:g} on, the same from {rules.certain:g} on"
    return explanations.reference(explanations.because(work, IdentityRules, "types", why))


def _reason(reason: Reason, *, shown: bool) -> pb.MatchReason:
    open_to_all = shown or reason.feature not in PERSONAL
    return pb.MatchReason(
        feature=reason.feature,
        left=reason.left if open_to_all else "",
        right=reason.right if open_to_all else "",
        similarity_ratio=reason.similarity,
        weight=reason.weight,
    )
