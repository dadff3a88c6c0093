"""TicketService."""

from __future__ import annotations

from datetime import UTC, datetime

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.integrations.v1 import tickets_pb2 as pb
from closedloop_chassis import bulk, errors, pages, protos
from closedloop_chassis.data.patterns import containing
from closedloop_chassis.enums import word, words
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations import runs
from closedloop_integrations.tickets import intake, store

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LAST_MOMENT = "9999-12-31T00:00:00+00:00"

rpcs = Rpcs("closedloop.integrations.v1.TicketService")


@rpcs.method
async def import_tickets(request: pb.ImportTicketsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    outcome = await intake.take_in(call, good, dry=request.validate_only)
    summary = bulk.summary(
        read=len(request.rows),
        created=outcome.created,
        updated=outcome.updated,
        refused=[*refused, *outcome.refused],
    )
    if not request.validate_only:
        runs.keep_summary(call, runs.source_of(good), summary)
        call.audit(
            "tickets", "import", after={"read": summary.read, "created": summary.created, "updated": summary.updated}
        )
    return summary


@rpcs.method
async def get_ticket(request: pb.GetTicketRequest, call: Call) -> pb.Ticket:
    entry = await store.get(call.db, request.id)
    if entry is None:
        raise errors.NotFound("TICKET_UNKNOWN", f"no ticket {request.id}")
    call.authorize(entry.owner_id, entry.unit_id, entry.participant_ids)
    return intake.ticket(entry)


@rpcs.method
async def list_tickets(request: pb.ListTicketsRequest, call: Call) -> pb.ListTicketsResponse:
    opened, id = pages.after(request, LAST_MOMENT, LAST_ID)
    interval = request.opened
    found = await store.listed(
        call.db,
        {
            **call.scope.params,
            "opened": opened,
            "id": id,
            "account_id": request.account_id or None,
            "contact_id": request.contact_id or None,
            "states": words(pb.TicketState, request.states),
            "kind": word(pb.TicketKind, request.kind),
            "product_id": request.product_id,
            "source": request.source,
            "unlinked": request.unlinked,
            "begin": _moment(interval, "start_time"),
            "end": _moment(interval, "end_time"),
            "query": containing(request.query),
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(
        found, request, lambda entry: (entry.opened_at.astimezone(UTC).isoformat(), str(entry.id))
    )
    return pb.ListTicketsResponse(tickets=[intake.ticket(each) for each in shown], next_page_token=token)


def _moment(interval: object, name: str) -> datetime | None:
    given = getattr(interval, name)
    return protos.instant(given, f"opened.{name}") if given.seconds or given.nanos else None
