"""The reads of RequestService: one request, lists, the trail and its proof, clearance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop_approvals.requests import messages, standing, store, trail
from closedloop_approvals.requests.route import OPEN
from closedloop_approvals.requests.store import Held, Request
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.work import Call

NEWEST = ("infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")
FIRST_ID = "00000000-0000-0000-0000-000000000000"
LAST_ID = NEWEST[1]
# One call verifies at most so many chains; the rest by its page token.
CHAINS_PER_CALL = 500

BLOCKED = {
    "pending": "PENDING",
    "returned": "RETURNED",
    "rejected": "REJECTED",
    "recalled": "RECALLED",
    "withdrawn": "WITHDRAWN",
}


async def readable(call: Call, request_id: str) -> Held:
    """The request if the caller may see it: a party, a signer, somebody named, whoever stands in, or by unit."""
    held = await store.read(call.db, request_id, call.caller.subject, call.now)
    if held is None:
        raise unknown(request_id)
    authorize(call, held)
    return held


def authorize(call: Call, held: Held) -> None:
    request, me = held.request, call.caller.subject
    people = {request.submitter_id, request.opened_by, *request.participants}
    asked = {signer.person_id for _, signer in request.route.asked()}
    if any(s.delegate_id == me and s.delegator_id in asked for s in held.stand_ins):
        people.add(me)
    call.authorize(request.owner_id, request.unit_id, people)


def unknown(request_id: str) -> errors.NotFound:
    return errors.NotFound("REQUEST_UNKNOWN", f"there is no request {request_id}")


async def get(request: pb.GetRequestRequest, call: Call) -> pb.Request:
    return messages.request((await readable(call, request.id)).request)


async def listed(request: pb.ListRequestsRequest, call: Call) -> pb.ListRequestsResponse:
    before, before_id = pages.after(request, *NEWEST)
    opened_from, opened_to = interval(request.opened, "opened")
    names = ("kind", "origin", "subject_id", "submitter_id", "signer_id", "policy", "overdue", "query")
    params: dict[str, Any] = {name: getattr(request, name) for name in names}
    params |= {
        "states": [pb.RequestState.Name(s).removeprefix("REQUEST_STATE_").lower() for s in request.states] or None,
        "account_id": request.account_id or None,
        "opportunity_id": request.opportunity_id or None,
        "unit_ids": units(call, request.unit_id, request.include_subtree),
        "opened_from": opened_from,
        "opened_to": opened_to,
        "now": call.now,
        "before": before,
        "before_id": before_id,
        "limit": pages.size(request) + 1,
    }
    rows = await store.page(call.db, params | call.scope.params)
    page, token = pages.split(rows, request, lambda row: (row.opened_at.isoformat(), row.id))
    return pb.ListRequestsResponse(requests=[messages.request(row) for row in page], next_page_token=token)


async def trail_of(request: pb.ListTrailRequest, call: Call) -> pb.ListTrailResponse:
    await readable(call, request.id)
    (after,) = pages.after(request, 0)
    links = await store.trail(call.db, request.id, after, pages.size(request) + 1)
    page, token = pages.split(links, request, lambda link: (link.sequence,))
    return pb.ListTrailResponse(entries=[messages.trail_entry(link) for link in page], next_page_token=token)


async def verified(request: pb.VerifyTrailRequest, call: Call) -> pb.VerifyTrailResponse:
    opened_from, opened_to = interval(request.opened, "opened")
    if not request.ids and opened_from is None and opened_to is None:
        raise errors.InvalidArgument("NOTHING_NAMED", "name requests or a period", {"ids": "or `opened` is needed"})
    # VerifyTrail has no page size of its own.
    (after,) = pages.after(pb.ListTrailRequest(page_token=request.page_token), FIRST_ID)
    params = {"ids": list(request.ids), "after": after, "opened_from": opened_from, "opened_to": opened_to}
    requests, trails = await store.chains(call.db, params | {"limit": CHAINS_PER_CALL + 1})
    paging = pb.ListTrailRequest(page_size=CHAINS_PER_CALL)
    page, token = pages.split(requests, paging, lambda row: (row.id,))
    answer = pb.VerifyTrailResponse(requests_checked=len(page), next_page_token=token)
    audited = await store.audited(call.db, [held.id for held in page])
    for held in page:
        answer.entries_checked += len(trails[held.id])
        answer.breaks.extend(broken(held, trails[held.id], audited.get(held.id, ())))
    if not request.ids and not request.page_token:
        gone = await store.gone(call.db, opened_from, opened_to)
        answer.breaks.extend(pb.TrailBreak(request_id=request_id, kind="missing") for request_id in gone)
    # Of those named, each is missed on the page where it would stand.
    named, last = {one.lower() for one in request.ids} - {held.id for held in page}, page[-1].id if token else LAST_ID
    answer.breaks.extend(pb.TrailBreak(request_id=one, kind="missing") for one in sorted(named) if after < one <= last)
    return answer


def broken(held: Request, links: list[trail.Sealed], audited: Sequence[str] = ()) -> list[pb.TrailBreak]:
    """Where the chain does not hold, or has not the hashes any more with which it ended when the audit trail saw it:
    written anew as a whole, or cut back to a former state, it would be sound in itself.
    """
    now = trail.Now(
        held.state,
        trail.content_hash(held.subject, held.facts),
        standing.terms_hash(held),
        standing.state_hash(held),
    )
    return [
        pb.TrailBreak(
            request_id=found.request_id,
            sequence=found.sequence,
            kind=found.kind,
            expected_hash=found.expected_hash,
            found_hash=found.found_hash,
        )
        for found in trail.verify(held.id, links, held.trail_length, held.trail_hash, now, audited)
    ]


async def clearance(request: pb.CheckClearanceRequest, call: Call) -> pb.Clearance:
    """One version of a subject may go ahead when its request was approved on exactly this content."""
    known = await store.of_subject(call.db, request.origin, request.kind, request.subject_id)
    if not known:
        return pb.Clearance(reason="NEVER_ASKED")
    held = next((r for r in known if r.subject_version == request.version), None)
    newest = held or known[0]
    call.authorize(newest.owner_id, newest.unit_id, {newest.submitter_id, newest.opened_by, *newest.participants})
    if held is None:
        return _clearance(newest, "VERSION_DIFFERS")
    if held.digest != request.digest:
        return _clearance(held, "DIGEST_DIFFERS")
    if held.state != "approved":
        return _clearance(held, BLOCKED[held.state])
    return _clearance(held, "NOT_REQUIRED" if held.not_required else "CLEARED", cleared=True)


def _clearance(held: Request, reason: str, *, cleared: bool = False) -> pb.Clearance:
    return pb.Clearance(
        cleared=cleared,
        reason=reason,
        request_id=held.id,
        state=messages.state(held),
        decide_time=protos.timestamp(None if held.state in OPEN else held.closed_at),
        decided_by=held.decided_by,
        conditions=held.conditions,
    )


def units(call: Call, unit_id: str, include_subtree: bool) -> list[str] | None:
    """For a filter by unit; None does not restrict."""
    if not unit_id:
        return None
    return sorted(call.org.subtree(unit_id)) if include_subtree else [unit_id]


def interval(told: Interval, field: str) -> tuple[datetime | None, datetime | None]:
    start = protos.instant(told.start_time, f"{field}.start_time") if told.HasField("start_time") else None
    end = protos.instant(told.end_time, f"{field}.end_time") if told.HasField("end_time") else None
    if start and end and start > end:
        raise errors.InvalidArgument(
            "PERIOD_INVALID", "the period ends before it begins", {field: "ends before it begins"}
        )
    return start, end
