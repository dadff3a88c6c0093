"""Which part of the funnel a figure is about: `FunnelScope` as SQL over `opportunity o LEFT JOIN account a`."""

from __future__ import annotations

from typing import Any

from closedloop.funnel.v1.pipelines_pb2 import FunnelScope
from closedloop_chassis.figures import reach
from closedloop_chassis.work import Call, Scope, Work

REACH = f"({Scope.SQL} OR %(scope_owner)s = ANY(o.participant_ids))"
# The account of a parameter and what is part of it now: a deal keeps the account it began with.
PART_OF = "ANY(ARRAY(SELECT %({0})s::uuid UNION ALL SELECT id FROM account WHERE merged_into_id = %({0})s::uuid))"
# By parameter: when it does not narrow, and what it asks of a deal.
NARROWING = {
    "in_units": ("%(in_units)s::text[] IS NULL", "o.unit_id = ANY(%(in_units)s)"),
    "in_owner": ("%(in_owner)s = ''", "o.owner_id = %(in_owner)s"),
    "in_pipeline": ("%(in_pipeline)s = ''", "o.pipeline_id = %(in_pipeline)s"),
    "in_product": ("%(in_product)s = ''", "o.product_ids @> ARRAY[%(in_product)s]"),
    "in_account": ("%(in_account)s::uuid IS NULL", f"o.account_id = {PART_OF.format('in_account')}"),
    "in_customer_type": (
        "%(in_customer_type)s = ''",
        "coalesce(nullif(o.customer_type, ''), a.customer_type) = %(in_customer_type)s",
    ),
    "in_industry": ("%(in_industry)s = ''", "a.industry = %(in_industry)s"),
    "in_grade": ("%(in_grade)s = ''", "a.grade = %(in_grade)s"),
}
# A filter left empty does not narrow; the caller's reach always does.
SQL = "\n".join([REACH, *(f"AND ({empty} OR {asked})" for empty, asked in NARROWING.values())])

# The reach of a caller who does not see the whole company: three indexes, each of few rows.
OWN = """(o.owner_id = %(scope_owner)s OR o.unit_id = ANY(%(scope_units)s)
          OR (o.participant_ids @> ARRAY[%(scope_owner)s::text] AND o.participant_ids <> '{}'))"""


def asked(params: dict[str, Any]) -> tuple[str, ...]:
    """`SQL` by what narrows in this call and no more: what PostgreSQL plans once for all calls it plans for all that a
    statement names, whether it narrows or not."""
    narrowing = tuple(condition for name, (_, condition) in NARROWING.items() if params[name] not in (None, ""))
    return narrowing if params["scope_company"] else (OWN, *narrowing)


def params(scope: FunnelScope, call: Call) -> dict[str, Any]:
    """Raises NotFound UNIT_UNKNOWN, and PermissionDenied OUT_OF_SCOPE for a unit beyond the caller's."""
    return {**reach.within(call, scope.unit_id), **_narrowed(scope, call)}


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
