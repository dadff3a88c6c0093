"""EventService: events that could not be applied, and how far behind this service is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop_chassis import pages, protos
from closedloop_chassis.events.upkeep import BACKLOG
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.platform.v1.EventService")

PARKED = """
SELECT id, source, type, subject, time, parked_at, attempts, coalesce(error, '') AS error
  FROM inbox
 WHERE state = 2 AND (%(type)s = '' OR type = %(type)s)
   AND (parked_at, id) < (%(before)s::timestamptz, %(before_id)s::uuid)
 ORDER BY parked_at DESC, id DESC LIMIT %(limit)s
"""

REDRIVE = """
UPDATE inbox SET state = 0, attempts = 0, next_at = NULL, parked_at = NULL
 WHERE state = 2 AND (cardinality(%(ids)s::uuid[]) = 0 OR id = ANY(%(ids)s::uuid[])) AND (%(type)s = '' OR type = %(type)s)
RETURNING id
"""

FIRST = ("infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")


@dataclass(frozen=True, slots=True)
class _Parked:
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    parked_at: datetime
    attempts: int
    error: str


@rpcs.method
async def list_parked_events(request: pb.ListParkedEventsRequest, call: Call) -> pb.ListParkedEventsResponse:
    before, before_id = pages.after(request, *FIRST)
    params = {"type": request.type, "before": before, "before_id": before_id, "limit": pages.size(request) + 1}
    rows = await call.db.all(PARKED, params, into=_Parked)
    page, token = pages.split(rows, request, lambda row: (row.parked_at.isoformat(), row.id))
    events = [
        pb.ParkedEvent(
            event_id=row.id,
            source=row.source,
            type=row.type,
            subject=row.subject,
            event_time=protos.timestamp(row.time),
            parked_time=protos.timestamp(row.parked_at),
            attempts=row.attempts,
            error=row.error,
        )
        for row in page
    ]
    return pb.ListParkedEventsResponse(events=events, next_page_token=token)


@rpcs.method
async def redrive_parked_events(request: pb.RedriveParkedEventsRequest, call: Call) -> pb.RedriveParkedEventsResponse:
    rows = await call.tx.all(REDRIVE, {"ids": list(request.event_ids), "type": request.type})
    for row in rows:
        call.audit(row["id"], "redrive", {"state": "parked"}, {"state": "pending"})
    call.tx.after_commit(call.process.inbox_filled.set)
    return pb.RedriveParkedEventsResponse(redriven=len(rows))


@rpcs.method
async def get_event_backlog(request: pb.GetEventBacklogRequest, call: Call) -> pb.GetEventBacklogResponse:
    backlog = await call.db.one(BACKLOG, {"now": call.now}) or {}
    return pb.GetEventBacklogResponse(
        outbox=backlog["outbox"],
        inbox=backlog["inbox"],
        parked=backlog["parked"],
        overdue_clocks=backlog["overdue_clocks"],
    )
