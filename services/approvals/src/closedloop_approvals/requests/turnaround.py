"""GetTurnaround: how fast people decide, counted from requests and from the answers on their trails (S65)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.requests.reading import interval
from closedloop_chassis import errors, protos
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.work import Call, Scope

# Which requests count, whoever asks; the same for every grouping.
WHICH = f"""
 NOT r.not_required AND {Scope.SQL.replace("owner_id =", "r.owner_id =").replace("unit_id =", "r.unit_id =")}
   AND (%(kind)s = '' OR r.kind = %(kind)s) AND (%(unit_ids)s::text[] IS NULL OR r.unit_id = ANY(%(unit_ids)s))
"""

# An approval that its origin took back later was a decision all the same.
DECIDED = "(r.state IN ('approved', 'rejected') OR (r.state = 'withdrawn' AND r.decided_by <> '' AND NOT r.imported))"

# An imported one was in time when it took no longer than we allow ourselves today.
BY_REQUEST = f"""
WITH counted AS (
    SELECT r.*, true AS closed FROM approval_request r
     WHERE r.closed_at >= %(from)s AND r.closed_at < %(to)s AND {DECIDED} AND {WHICH}
    UNION ALL
    SELECT r.*, false FROM approval_request r WHERE r.closed_at IS NULL AND r.opened_at < %(to)s AND {WHICH}
    UNION ALL
    SELECT r.*, false FROM approval_request r WHERE r.closed_at >= %(to)s AND r.opened_at < %(to)s AND {WHICH}
), keyed AS (
    SELECT k.key, c.*, (SELECT count(*) FROM approval_trail t WHERE t.request_id = c.id AND t.action = 'returned') AS backs
      FROM counted c CROSS JOIN LATERAL (SELECT unnest(CASE %(grouping)s WHEN 'policy' THEN c.policies
                                                            WHEN 'unit' THEN ARRAY[c.unit_id] ELSE ARRAY[c.kind] END)) k (key)
)
SELECT key, count(*) FILTER (WHERE closed) AS decided,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY elapsed) FILTER (WHERE closed) AS p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY elapsed) FILTER (WHERE closed) AS p90,
       coalesce(avg((escalation_level = 0 AND (NOT imported OR elapsed <= %(budget)s))::int) FILTER (WHERE closed), 0)::float8
           AS in_time,
       count(*) FILTER (WHERE closed AND escalation_level > 0) AS escalated,
       count(*) FILTER (WHERE closed AND backs > 0) AS returned,
       count(*) FILTER (WHERE closed AND state = 'rejected') AS rejected,
       count(*) FILTER (WHERE NOT closed) AS open
  FROM keyed GROUP BY key ORDER BY count(*) DESC, key LIMIT %(most)s
"""

# Per person every answer counts, also the one that sent it back; the person is who acted, for whomever.
BY_PERSON = f"""
WITH answered AS (
    SELECT t.actor_id AS key, t.action, make_interval(secs => t.took_seconds) AS took, t.in_time
      FROM approval_trail t JOIN approval_request r ON r.id = t.request_id
     WHERE t.took_seconds IS NOT NULL AND t.time >= %(from_text)s AND t.time < %(to_text)s AND {WHICH}
), waiting AS (
    SELECT g.person_id AS key, count(DISTINCT r.id) AS open
      FROM approval_signer g JOIN approval_request r ON r.id = g.request_id
     WHERE g.state = 'asked' AND r.state = 'pending' AND g.asked_at < %(to)s AND {WHICH}
     GROUP BY 1
), told AS (
    SELECT key, count(*) FILTER (WHERE action <> 'returned') AS decided,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS p50,
           percentile_cont(0.9) WITHIN GROUP (ORDER BY took) AS p90,
           coalesce(avg(in_time::int), 0)::float8 AS in_time,
           count(*) FILTER (WHERE NOT in_time) AS escalated,
           count(*) FILTER (WHERE action = 'returned') AS returned,
           count(*) FILTER (WHERE action = 'rejected') AS rejected
      FROM answered GROUP BY key
)
SELECT coalesce(told.key, waiting.key) AS key, coalesce(decided, 0) AS decided, p50, p90, coalesce(in_time, 0) AS in_time,
       coalesce(told.escalated, 0) AS escalated, coalesce(returned, 0) AS returned, coalesce(rejected, 0) AS rejected,
       coalesce(open, 0) AS open
  FROM told FULL JOIN waiting ON waiting.key = told.key
 ORDER BY coalesce(decided, 0) DESC, 1 LIMIT %(most)s
"""
# Rows of one answer; a company has fewer people and units than this.
MOST = 10_000


async def turnaround(request: pb.GetTurnaroundRequest, call: Call) -> pb.GetTurnaroundResponse:
    """Raises InvalidArgument PERIOD_INVALID without both ends."""
    start, end = interval(request.period, "period")
    if start is None or end is None:
        violations = {"period": "needs both ends"}
        raise errors.InvalidArgument("PERIOD_INVALID", "say from when to when", violations)
    decision = call.rules(ApprovalPolicyRules).decision
    params: dict[str, Any] = {
        "from": start,
        "to": end,
        "from_text": _text(start),
        "to_text": _text(end),
        "grouping": pb.TurnaroundGrouping.Name(request.grouping).removeprefix("TURNAROUND_GROUPING_").lower(),
        "kind": request.kind,
        "unit_ids": _units(request.unit_id, call.org),
        "budget": call.calendars.budget(decision),
        "most": MOST,
    }
    by_person = request.grouping == pb.TURNAROUND_GROUPING_PERSON
    rows = await call.db.all(BY_PERSON if by_person else BY_REQUEST, params | call.scope.params)
    return pb.GetTurnaroundResponse(rows=[_row(row) for row in rows])


def _row(row: dict[str, Any]) -> pb.Turnaround:
    return pb.Turnaround(
        key=row["key"],
        decided=row["decided"],
        p50=protos.duration(row["p50"]),
        p90=protos.duration(row["p90"]),
        in_time_ratio=row["in_time"],
        escalated=row["escalated"],
        returned=row["returned"],
        rejected=row["rejected"],
        open=row["open"],
    )


def _units(unit_id: str, org: OrgSnapshot) -> list[str] | None:
    """A unit with all below it; None does not restrict."""
    return sorted(org.subtree(unit_id)) if unit_id else None


def _text(moment: datetime) -> str:
    """As the trail writes times."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
