"""AuditService: who changed what, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf import json_format

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop_chassis import pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.platform.v1.AuditService")

LIST = """
SELECT id, time, actor_id, on_behalf_of, cause, business_action, subject, action, changes, trace_id
  FROM audit_entry
 WHERE (%(subject)s = '' OR subject = %(subject)s) AND (%(actor_id)s = '' OR actor_id = %(actor_id)s)
   AND time >= coalesce(%(start)s::timestamptz, '-infinity') AND time < coalesce(%(end)s::timestamptz, 'infinity')
   AND id < %(before)s::uuid
 ORDER BY id DESC LIMIT %(limit)s
"""

FIRST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True)
class _Entry:
    id: str
    time: datetime
    actor_id: str
    on_behalf_of: str
    cause: str
    business_action: str
    subject: str
    action: str
    changes: dict[str, Any]
    trace_id: str


@rpcs.method
async def list_audit_entries(request: pb.ListAuditEntriesRequest, call: Call) -> pb.ListAuditEntriesResponse:
    (before,) = pages.after(request, FIRST)
    params = {
        "subject": request.subject,
        "actor_id": request.actor_id,
        "start": protos.instant(request.start_time, "start_time") if request.HasField("start_time") else None,
        "end": protos.instant(request.end_time, "end_time") if request.HasField("end_time") else None,
        "before": before,
        "limit": pages.size(request) + 1,
    }
    rows = await call.db.all(LIST, params, into=_Entry)
    page, token = pages.split(rows, request, lambda row: (row.id,))
    return pb.ListAuditEntriesResponse(entries=[_to_proto(row) for row in page], next_page_token=token)


def _to_proto(row: _Entry) -> pb.AuditEntry:
    entry = pb.AuditEntry(
        id=row.id,
        time=protos.timestamp(row.time),
        actor_id=row.actor_id,
        on_behalf_of=row.on_behalf_of,
        cause=row.cause,
        business_action=row.business_action,
        subject=row.subject,
        action=row.action,
        trace_id=row.trace_id,
    )
    json_format.ParseDict(row.changes, entry.changes)
    return entry
