"""GetLoopReport: whether each kind of warning had an owner, an action in time, and an action that worked (S102)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import tasks_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.work import Call

# A task that climbed the line was not answered in time, whatever its present due time says. Withdrawn ones asked for
# nothing in the end and are counted apart; response is from the cause to a person's first act, on the plain clock.
REPORT = """
WITH raised AS (
    SELECT *, state NOT IN ('withdrawn', 'cancelled') AS counts,
           responded_at IS NOT NULL AND escalation_level = 0 AND responded_at <= due_at AS timely,
           CASE WHEN responded_at >= cause_at THEN responded_at - cause_at END AS response
      FROM task
     WHERE raised_at >= %(from)s AND raised_at < %(to)s
       AND (%(scope_company)s OR assignee_id = %(scope_owner)s OR assignee_unit_id = ANY(%(scope_units)s))
       AND (%(unit_ids)s::text[] IS NULL OR unit_id = ANY(%(unit_ids)s))
       AND (%(origin)s = '' OR origin = %(origin)s) AND (%(warning)s = '' OR warning = %(warning)s)
)
SELECT warning, origin, count(*) AS raised,
       count(*) FILTER (WHERE assignee_id = '') AS without_owner,
       count(*) FILTER (WHERE counts AND timely) AS acted_in_time,
       count(*) FILTER (WHERE counts AND responded_at IS NOT NULL AND NOT timely) AS acted_late,
       count(*) FILTER (WHERE counts AND responded_at IS NULL) AS not_acted,
       count(*) FILTER (WHERE effect = 'worked') AS worked,
       count(*) FILTER (WHERE effect = 'recurred') AS recurred,
       count(*) FILTER (WHERE state = 'done' AND effect = 'pending') AS effect_pending,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY response) AS response_p50,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY response) AS response_p90,
       count(*) FILTER (WHERE state = 'withdrawn') AS withdrawn
  FROM raised GROUP BY warning, origin ORDER BY count(*) DESC, warning, origin LIMIT %(most)s
"""
# Kinds of warning are a catalogue, not data; nobody has more.
MOST = 5_000


async def report(request: pb.GetLoopReportRequest, call: Call) -> pb.GetLoopReportResponse:
    """Raises InvalidArgument PERIOD_INVALID without both ends."""
    start, end = _period(request.period)
    params: dict[str, Any] = {
        "from": start,
        "to": end,
        "unit_ids": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "origin": request.origin,
        "warning": request.warning,
        "most": MOST,
    }
    rows = await call.db.all(REPORT, params | call.scope.params)
    return pb.GetLoopReportResponse(rows=[_row(row) for row in rows])


def _row(row: dict[str, Any]) -> pb.LoopSummary:
    half, most = (protos.duration(row.pop(name)) for name in ("response_p50", "response_p90"))
    return pb.LoopSummary(**row, response_p50=half, response_p90=most)


def _period(told: Interval) -> tuple[datetime, datetime]:
    if not (told.HasField("start_time") and told.HasField("end_time")):
        raise errors.InvalidArgument("PERIOD_INVALID", "say from when to when", {"period": "needs both ends"})
    start = protos.instant(told.start_time, "period.start_time")
    end = protos.instant(told.end_time, "period.end_time")
    if start > end:
        raise errors.InvalidArgument("PERIOD_INVALID", "the period ends before it begins", {"period": "is reversed"})
    return start, end
