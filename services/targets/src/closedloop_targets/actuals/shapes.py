"""Rows of the ledger as the contract shows them."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import Ownership, Provenance
from closedloop.targets.v1 import actuals_pb2 as pb
from closedloop.targets.v1.plans_pb2 import TargetScope
from closedloop_chassis import protos
from closedloop_targets import amounts
from closedloop_targets.actuals.rules import Row


def actual(row: Row) -> pb.Actual:
    fact = row.fact
    return pb.Actual(
        id=row.id,
        metric=fact.metric,
        ownership=Ownership(owner_id=fact.owner_id, unit_id=fact.unit_id),
        scope=TargetScope(product_id=fact.product_id, product_line=fact.product_line, segment=fact.segment),
        account_id=fact.account_id,
        subject=fact.subject,
        date=protos.date_proto(fact.date),
        amount=amounts.amount(fact.minor, fact.currency),
        base_amount=amounts.amount(fact.base_minor, fact.base_currency if fact.currency else ""),
        weight=amounts.decimal(fact.weight),
        reverses_id=row.reverses_id or "",
        reversed_by_id=row.reversed_by_id or "",
        reason=fact.reason,
        provenance=Provenance(
            source=fact.source,
            source_id=fact.source_id,
            brought_by=fact.brought_by,
            observed_time=protos.timestamp(fact.observed_at),
        ),
        record_time=protos.timestamp(row.recorded_at),
    )
