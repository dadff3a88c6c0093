"""Which part of the funnel a figure is about: `FunnelScope` as SQL over `opportunity o LEFT JOIN account a`."""

from __future__ import annotations

from typing import Any

from closedloop.funnel.v1.pipelines_pb2 import FunnelScope
from closedloop_chassis.work import Call, Scope, Work

# A filter left empty does not narrow; the caller's reach always does.
SQL = f"""
({Scope.SQL} OR %(scope_owner)s = ANY(o.participant_ids))
AND (%(in_units)s::text[] IS NULL OR o.unit_id = ANY(%(in_units)s))
AND (%(in_owner)s = '' OR o.owner_id = %(in_owner)s)
AND (%(in_pipeline)s = '' OR o.pipeline_id = %(in_pipeline)s)
AND (%(in_product)s = '' OR o.product_ids @> ARRAY[%(in_product)s])
AND (%(in_account)s::uuid IS NULL OR o.account_id = %(in_account)s)
AND (%(in_customer_type)s = '' OR coalesce(nullif(o.customer_type, ''), a.customer_type) = %(in_customer_type)s)
AND (%(in_industry)s = '' OR a.industry = %(in_industry)s)
AND (%(in_grade)s = '' OR a.grade = %(in_grade)s)
"""


def params(scope: FunnelScope, call: Call) -> dict[str, Any]:
    return {**call.scope.params, **_narrowed(scope, call)}


def whole(scope: FunnelScope, work: Work) -> dict[str, Any]:
    """For what the service does by itself, for nobody in particular."""
    return {**Scope(company=True, owner_id="", unit_ids=frozenset()).params, **_narrowed(scope, work)}


def _narrowed(scope: FunnelScope, work: Work) -> dict[str, Any]:
    return {
        "in_units": list(work.org.subtree(scope.unit_id)) if scope.unit_id else None,
        "in_owner": scope.owner_id,
        "in_pipeline": scope.pipeline_id,
        "in_product": scope.product_id,
        "in_account": scope.account_id or None,
        "in_customer_type": scope.customer_type,
        "in_industry": scope.industry,
        "in_grade": scope.account_grade,
    }
