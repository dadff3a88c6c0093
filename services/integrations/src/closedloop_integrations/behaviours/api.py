"""BehaviourService."""

from __future__ import annotations

from datetime import UTC

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.integrations.v1 import behaviours_pb2 as pb
from closedloop_chassis import bulk, errors, pages, protos
from closedloop_chassis.enums import words
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations import runs
from closedloop_integrations.behaviours import intake, store

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
LAST_MOMENT = "9999-12-31T00:00:00+00:00"

rpcs = Rpcs("closedloop.integrations.v1.BehaviourService")


@rpcs.method
async def import_behaviours(request: pb.ImportBehavioursRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rows)
    outcome = await intake.take_in(call, good, dry=request.validate_only)
    summary = bulk.summary(
        read=len(request.rows), created=outcome.created, updated=0, refused=[*refused, *outcome.refused]
    )
    if not request.validate_only:
        runs.keep_summary(call, runs.source_of(good), summary)
        call.audit("behaviours", "import", after={"read": summary.read, "created": summary.created})
    return summary


@rpcs.method
async def list_behaviours(request: pb.ListBehavioursRequest, call: Call) -> pb.ListBehavioursResponse:
    observed, id = pages.after(request, LAST_MOMENT, LAST_ID)
    begin, end = request.observed.start_time, request.observed.end_time
    found = await store.listed(
        call.db,
        {
            **call.scope.params,
            "observed": observed,
            "id": id,
            "account_id": request.account_id or None,
            "contact_id": request.contact_id or None,
            "visitor_id": request.visitor_id,
            "kinds": words(pb.BehaviourKind, request.kinds),
            "product_id": request.product_id,
            "begin": protos.instant(begin, "observed.start_time") if request.observed.HasField("start_time") else None,
            "end": protos.instant(end, "observed.end_time") if request.observed.HasField("end_time") else None,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(
        found, request, lambda entry: (entry.observed_at.astimezone(UTC).isoformat(), str(entry.id))
    )
    return pb.ListBehavioursResponse(behaviours=[intake.behaviour(each) for each in shown], next_page_token=token)


@rpcs.method
async def link_visitor(request: pb.LinkVisitorRequest, call: Call) -> BulkSummary:
    """Actions whose owner the source has named stay its own."""
    account = await store.account(call.tx, request.account_id)
    if account is None:
        raise errors.NotFound("ACCOUNT_UNKNOWN", f"no account {request.account_id} is known here")
    call.authorize(account.owner_id, account.unit_id, account.participant_ids)
    contact_id = request.contact_id or None
    if contact_id and (await store.employers(call.tx, [contact_id])).get(contact_id) != request.account_id:
        raise errors.InvalidArgument(
            "CONTACT_OF_ANOTHER", "the contact is not the account's", {"contact_id": "a contact of the account"}
        )
    before = (await store.visitors(call.tx, [request.visitor_id])).get(request.visitor_id)
    if before and before[0] != request.account_id and (theirs := await store.account(call.tx, before[0])):
        # Nobody takes a visitor from a customer out of reach.
        call.authorize(theirs.owner_id, theirs.unit_id, theirs.participant_ids)
    seen, changed = await store.link(
        call.tx,
        {
            "visitor_id": request.visitor_id,
            "account_id": request.account_id,
            "contact_id": contact_id,
            "by": call.actor,
            "now": call.now,
        },
    )
    for entry in changed:
        intake.tell(call, entry)
    call.audit(
        request.account_id,
        "link_visitor",
        before={"account_id": before[0] if before else ""},
        after={"account_id": request.account_id, "contact_id": contact_id or "", "actions": len(changed)},
    )
    return bulk.summary(read=seen, created=0, updated=len(changed), refused=[])
