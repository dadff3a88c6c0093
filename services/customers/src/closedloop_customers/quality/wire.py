"""Quality as protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from closedloop.common.v1.common_pb2 import Light
from closedloop.customers.v1 import quality_pb2 as pb
from closedloop_chassis import enums, etags, protos
from closedloop_customers import business_actions, explanations, records
from closedloop_customers.accounts.rules import Account
from closedloop_customers.freshness import QualityRules
from closedloop_customers.quality import desk, store


def finding(row: store.Finding) -> pb.Finding:
    return pb.Finding(
        id=row.id,
        record=records.reference(row.record_type, row.record_id),
        account_id=row.account_id,
        account_name=row.account_name,
        kind=enums.number(pb.FindingKind, row.kind),
        state=enums.number(pb.FindingState, row.state),
        light=enums.number(Light, row.light),
        ownership=records.ownership(row.owner_id, row.unit_id),
        fields=row.fields,
        rule=explanations.reference(row.rule),
        since_time=protos.timestamp(row.since_at),
        task_cause_key=f"{desk.TASK}:{row.record_id}" if row.tasked else "",
        postponed_until_time=protos.timestamp(row.postponed_until) if row.state == "postponed" else None,
        resolved_by=row.resolved_by,
        resolve_time=protos.timestamp(row.resolved_at),
        business_action=business_actions.to_proto(row.business_action),
        etag=etags.of(row.version),
    )


def field(
    name: str, account: Account, seen: Mapping[str, Any] | None, now: datetime, rules: QualityRules
) -> pb.FieldFreshness:
    """`seen`: who changed or verified it last; a field never written is as old as the record."""
    at = seen["time"] if seen else account.created_at
    old = now - at >= timedelta(days=rules.key_field_days)
    return pb.FieldFreshness(
        field=name,
        filled=name in account.profile,
        verify_time=protos.timestamp(at),
        verified_by=seen["actor_id"] if seen else "",
        business_action=business_actions.to_proto(seen["business_action"]) if seen else None,
        light=Light.LIGHT_RED if old else Light.LIGHT_NONE,
    )


def total(figures: Sequence[store.Figures]) -> store.Figures:
    names = [name for name in store.Figures.__slots__ if name != "key"]
    return store.Figures("", **{name: sum(getattr(one, name) for one in figures) for name in names})


def row(figures: store.Figures, required: int) -> pb.QualityRow:
    """`required`: how many fields a record must have."""
    wanted = figures.accounts * required
    return pb.QualityRow(
        key=figures.key,
        accounts=figures.accounts,
        stale_accounts=figures.stale,
        stale_ratio=_share(figures.stale, figures.accounts),
        yellow_accounts=figures.yellow,
        red_accounts=figures.red,
        key_contacts=figures.key_contacts,
        moved_key_contacts=figures.moved,
        moved_ratio=_share(figures.moved, figures.key_contacts),
        fill_ratio=1 - _share(figures.missing, wanted) if wanted else 0.0,
        open_findings=figures.open,
        resolved_findings=figures.resolved,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
