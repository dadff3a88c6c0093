"""How fast is decided, as figures whose requests can be asked for (S79, S65); and how whole requests and trails are (S80)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.requests.turnaround import DECIDED
from closedloop_chassis.figures.declared import Agreement, Field, Figure, Figures, Record, Rows, ScopeWord
from closedloop_chassis.work import Work

TURNAROUND = "RequestService.GetTurnaround"
BY: tuple[ScopeWord, ...] = ("unit", "person", "account", "kind")

REQUEST = """
'request' AS record_type, r.id::text AS record_id, r.owner_id, r.unit_id, r.account_id::text AS account_id, r.kind,
coalesce(r.closed_at, r.opened_at) AS record_time, r.origin AS source, r.subject_id AS source_id,
jsonb_build_object('number', r.title, 'date', (coalesce(r.closed_at, r.opened_at) AT TIME ZONE %(zone)s)::date,
                   'state', r.state, 'escalation_level', r.escalation_level, 'decided_by', r.decided_by) AS fields
  FROM approval_request r
 WHERE NOT r.not_required
"""
CLOSED = f"AND r.closed_at >= %(from)s AND r.closed_at < %(to)s AND {DECIDED}"
HOURS = f"SELECT r.state AS input, extract(epoch FROM r.elapsed)::float8 / 3600 AS amount, {REQUEST} {CLOSED}"
IN_TIME = f"""
SELECT r.state AS input, (r.escalation_level = 0 AND (NOT r.imported OR r.elapsed <= %(budget)s))::int::float8 AS amount,
       {REQUEST} {CLOSED}
"""
OPEN = f"""
SELECT 'open' AS input, 1 AS amount, {REQUEST} AND r.opened_at < %(to)s AND (r.closed_at IS NULL OR r.closed_at >= %(to)s)
"""

# Open ones and those that were opened or closed in the span.
REQUESTS = """
SELECT r.id, r.title || ' (' || r.id || ')' AS label, r.owner_id, r.unit_id, r.account_id, r.amount_minor, r.base_minor,
       r.reason, r.imported, r.opened_at AS recorded_at, NULL::timestamptz AS occurred_at
  FROM approval_request r
 WHERE r.opened_at < %(to)s AND (r.closed_at IS NULL OR r.closed_at >= %(from)s OR r.opened_at >= %(from)s)
"""
# What a request says of the length of its trail, and the entries there are.
TRAILS = """
SELECT r.id, r.title || ' (' || r.id || ')' AS label, r.owner_id, r.unit_id, r.trail_length AS ours,
       (SELECT count(*) FROM approval_trail t WHERE t.request_id = r.id) AS theirs
  FROM approval_request r
 WHERE r.opened_at < %(to)s AND (r.closed_at IS NULL OR r.closed_at >= %(from)s OR r.opened_at >= %(from)s)
"""


def budget(work: Work) -> Mapping[str, Any]:
    return {"budget": work.calendars.budget(work.rules(ApprovalPolicyRules).decision)}


FIGURES = Figures(
    figures=(
        Figure(
            name="approvals.decision_hours",
            title="审批用时中位数",
            definition="hours of the policy's calendar from being asked to the decision, of requests decided in the period",
            formula="quantile 0.5 (hours)",
            unit="h",
            sources=("manual",),
            scopes=BY,
            shown_in=(TURNAROUND,),
            records=("request",),
            step="median of requests decided",
            rule=(ApprovalPolicyRules, "decision"),
            trace=Rows(sql=HOURS, how=0.5),
        ),
        Figure(
            name="approvals.decision_hours_p90",
            title="审批用时 P90",
            definition="hours within which nine of ten requests were decided",
            formula="quantile 0.9 (hours)",
            unit="h",
            sources=("manual",),
            scopes=BY,
            shown_in=(TURNAROUND,),
            records=("request",),
            step="quantile of requests decided",
            rule=(ApprovalPolicyRules, "decision"),
            trace=Rows(sql=HOURS, how=0.9),
        ),
        Figure(
            name="approvals.decided_in_time",
            title="按时审批率",
            definition="requests decided without escalation, of those decided in the period",
            formula="in time / decided",
            unit="1",
            sources=("manual",),
            scopes=BY,
            shown_in=(TURNAROUND,),
            records=("request",),
            step="share of requests decided",
            rule=(ApprovalPolicyRules, "decision"),
            trace=Rows(sql=IN_TIME, how="mean", params=budget),
        ),
        Figure(
            name="approvals.open_requests",
            title="待审批数",
            definition="requests that waited for a decision when the period ended",
            formula="count(requests)",
            unit="1",
            sources=("manual",),
            scopes=BY,
            shown_in=(TURNAROUND,),
            records=("request",),
            step="requests open at the end of the period",
            rule=(ApprovalPolicyRules, "decision"),
            trace=Rows(sql=OPEN),
        ),
    ),
    records=(
        Record(
            name="request",
            title="requests for approval",
            source="crm",
            arrival="asked for by funnel and targets, opened by people, or imported",
            sql=REQUESTS,
            fields=(
                Field(
                    name="account_id",
                    kind="missing_reference",
                    expected="NOT r.imported",
                    filled="r.account_id IS NOT NULL",
                    suggestion="name the customer: what is asked for one customer is added up by it",
                ),
                Field(
                    name="base_amount",
                    expected="r.amount_minor IS NOT NULL",
                    filled="r.base_minor IS NOT NULL",
                    suggestion="enter a rate for the currency; thresholds are in the company's",
                ),
                Field(name="reason", filled="r.reason <> ''", suggestion="say why it is asked for"),
            ),
        ),
    ),
    agreements=(
        Agreement(
            name="trail",
            record="request",
            figures=(
                "approvals.decision_hours",
                "approvals.decision_hours_p90",
                "approvals.decided_in_time",
                "approvals.open_requests",
            ),
            ours="requests",
            theirs="their trails",
            sql=TRAILS,
            suggestion="verify the trail at once: entries are missing or were added",
        ),
    ),
)
