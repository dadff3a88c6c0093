"""ClockService: the timers of this service, the most urgent first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop_chassis import pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Scope

rpcs = Rpcs("closedloop.platform.v1.ClockService")

LIST = f"""
SELECT id, kind, subject, owner_id, unit_id, calendar, state, level, budget, started_at, warn_at, due_at,
       coalesce(answered_at, ended_at) AS ended_at, answered_at
  FROM clock
 WHERE {Scope.SQL}
   AND (%(kind)s = '' OR kind = %(kind)s) AND (%(subject)s = '' OR subject = %(subject)s)
   AND (%(state)s = '' OR state = %(state)s)
   AND due_at >= coalesce(%(due_from)s::timestamptz, '-infinity') AND due_at < coalesce(%(due_to)s::timestamptz, 'infinity')
   AND (due_at, id) > (%(after_due)s::timestamptz, %(after_id)s::uuid)
 ORDER BY due_at, id LIMIT %(limit)s
"""

FIRST = ("-infinity", "00000000-0000-0000-0000-000000000000")


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    kind: str
    subject: str
    owner_id: str
    unit_id: str
    calendar: str
    state: str
    level: int
    budget: timedelta
    started_at: datetime
    warn_at: datetime | None
    due_at: datetime
    ended_at: datetime | None
    answered_at: datetime | None


@rpcs.method
async def list_clocks(request: pb.ListClocksRequest, call: Call) -> pb.ListClocksResponse:
    state = pb.ClockState.Name(request.state).removeprefix("CLOCK_STATE_").lower() if request.state else ""
    after_due, after_id = pages.after(request, *FIRST)
    params: dict[str, Any] = {"kind": request.kind, "subject": request.subject, "state": state, **call.scope.params}
    params["due_from"], params["due_to"] = protos.bounds(request.due)
    params |= {"after_due": after_due, "after_id": after_id, "limit": pages.size(request) + 1}
    rows = await call.db.all(LIST, params, into=_Row)
    page, token = pages.split(rows, request, lambda row: (row.due_at.isoformat(), row.id))
    return pb.ListClocksResponse(clocks=[_to_proto(row) for row in page], next_page_token=token)


def _to_proto(row: _Row) -> pb.Clock:
    return pb.Clock(
        id=row.id,
        kind=row.kind,
        subject=row.subject,
        owner_id=row.owner_id,
        unit_id=row.unit_id,
        calendar=row.calendar,
        state=pb.ClockState.Value(f"CLOCK_STATE_{row.state.upper()}"),
        budget=protos.duration(row.budget),
        start_time=protos.timestamp(row.started_at),
        warn_time=protos.timestamp(row.warn_at),
        due_time=protos.timestamp(row.due_at),
        end_time=protos.timestamp(row.ended_at),
        answer_time=protos.timestamp(row.answered_at),
        level=row.level,
    )
