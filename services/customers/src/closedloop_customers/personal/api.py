"""PersonalDataService: the requests of persons; consents are in consents.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from closedloop.customers.v1 import personal_data_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, records
from closedloop_customers.personal import consents, erasing, finding, places, store, wire
from closedloop_customers.personal.rules import PersonalDataRules
from closedloop_customers.personal.store import Request

rpcs = Rpcs("closedloop.customers.v1.PersonalDataService")
for served in (consents.get_processing_register, consents.list_consents, consents.record_consent):
    rpcs.method(served)

ANSWER = "customers.personal_request"
FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def open_personal_data_request(request: pb.OpenPersonalDataRequestRequest, call: Call) -> pb.PersonalDataRequest:
    named = [records.key(one) for one in request.records]
    keys = finding.keys(call, request.phones, request.email_addresses)
    of = {kind: [id_ for type_, id_ in named if type_ == kind] for kind in ("contact", "lead")}
    found = await finding.find(call, of["contact"], of["lead"], keys)
    if not found:
        raise errors.NotFound("PERSON_NOT_FOUND", "nobody is kept under these identifiers")
    rules, kind = call.rules(PersonalDataRules), enums.word(pb.PersonalDataRequestKind, request.kind)
    received = protos.instant(request.receive_time, "receive_time") if request.HasField("receive_time") else call.now
    if received > call.now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "it has reached us", {"receive_time": "in the future"})
    call.tx.do(store.HOLD)
    open_one = await call.tx.one(store.OPEN_FOR, {"kind": kind, "ids": [id_ for _, id_ in found]})
    if open_one is not None:
        raise errors.FailedPrecondition("REQUEST_OPEN", "such a request of this person is open", id=open_one["id"])
    opened = Request(
        id=new_id(),
        kind=kind,
        state="open",
        requester=request.requester.strip(),
        opened_at=received,
        due_at=call.calendars.due(rules.answer, received),
        decided_by="",
        decided_at=None,
        decision_reason="",
        export_until=None,
        version=1,
        records=found,
    )
    store.put(call.tx, opened)
    store.put_records(call.tx, opened)
    left = max(call.calendars.between(call.now, opened.due_at, rules.answer.calendar), timedelta())
    call.clocks.start(ANSWER, opened.id, rules.answer.shortened(left), owner_id="", unit_id=_root(call))
    call.audit(opened.id, "open", {}, {"kind": kind, "state": "open", "records": [":".join(one) for one in found]})
    return wire.request(opened)


@rpcs.method
async def get_personal_data_request(request: pb.GetPersonalDataRequestRequest, call: Call) -> pb.PersonalDataRequest:
    return wire.request(_known(await store.get(call.db, request.id), request.id))


@rpcs.method
async def list_personal_data_requests(
    request: pb.ListPersonalDataRequestsRequest, call: Call
) -> pb.ListPersonalDataRequestsResponse:
    after, after_id = pages.after(request, "-infinity", FIRST_ID)
    params = {
        "kinds": enums.words(pb.PersonalDataRequestKind, request.kinds) or None,
        "states": enums.words(pb.PersonalDataRequestState, request.states) or None,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Request)
    page, token = pages.split(found, request, lambda row: (row.due_at.isoformat(), row.id))
    return pb.ListPersonalDataRequestsResponse(requests=[wire.request(row) for row in page], next_page_token=token)


@rpcs.method
async def decide_personal_data_request(
    request: pb.DecidePersonalDataRequestRequest, call: Call
) -> pb.PersonalDataRequest:
    old = _known(await store.lock(call.tx, request.id), request.id)
    etags.check(request.etag, old.version)
    if old.state != "open":
        raise errors.FailedPrecondition("ALREADY_DECIDED", f"it was {old.state} by {old.decided_by}", state=old.state)
    excluded = {one.id for one in request.excluded_records}
    if unknown := excluded - set(old.ids()):
        raise errors.InvalidArgument("RECORD_NOT_FOUND", "not of this request", {"excluded_records": str(unknown)})
    decision = enums.word(pb.PersonalDataRequestState, request.decision)
    meant = replace(old, records=[one for one in old.records if one[1] not in excluded])
    if decision == "refused":
        if not request.reason.strip():
            raise errors.InvalidArgument("REASON_MISSING", "say on which legal ground", {"reason": "required"})
    else:
        await _carry_out(call, meant, request.identity_proof.strip())
    days = timedelta(days=call.rules(PersonalDataRules).export_days)
    erased = decision == "done" and old.kind == "erasure"
    after = replace(
        meant,
        state=decision,
        requester="" if erased else old.requester,
        decided_by=call.caller.subject,
        decided_at=call.now,
        decision_reason=request.reason.strip(),
        export_until=call.now + days if decision == "done" and old.kind == "access" else None,
        version=old.version + 1,
    )
    store.put(call.tx, after)
    if excluded:
        call.tx.do(store.DROP_RECORDS, {"request_id": old.id, "ids": sorted(excluded)})
    call.clocks.meet(ANSWER, old.id)
    said = {"state": after.state, "decision_reason": after.decision_reason, "excluded": sorted(excluded)}
    call.audit(old.id, "decide", {"state": "open"}, {**said, "identity_verified": bool(request.identity_proof)})
    return wire.request(after)


@rpcs.method
async def export_personal_data(request: pb.ExportPersonalDataRequest, call: Call) -> pb.ExportPersonalDataResponse:
    found = _known(await store.get(call.db, request.id), request.id)
    if found.kind != "access" or found.state != "done":
        raise errors.FailedPrecondition("NOT_GRANTED", f"a request for {found.kind}, {found.state}")
    if found.export_until is None or found.export_until <= call.now:
        raise errors.FailedPrecondition("EXPORT_EXPIRED", "the time to take it is over; open another request")
    (start,) = pages.after(request, 0)
    rules = call.rules(PersonalDataRules)
    items = (await places.kept(call.db, found.ids()))[max(start, 0) :]
    numbered = list(enumerate(items, max(start, 0) + 1))[: pages.size(request) + 1]
    page, token = pages.split(numbered, request, lambda pair: (pair[0],))
    await accesses.note(call, found.ids())
    return pb.ExportPersonalDataResponse(items=[wire.item(one, rules) for _, one in page], next_page_token=token)


@rpcs.method
async def list_personal_data_accesses(
    request: pb.ListPersonalDataAccessesRequest, call: Call
) -> pb.ListPersonalDataAccessesResponse:
    top = "\U0010ffff"
    minute, actor, method, behalf = pages.after(request, "infinity", top, top, top)
    begins, ends = protos.bounds(request.accessed)
    params = {
        "id": request.record.id,
        "start": begins,
        "end": ends,
        "minute": minute,
        "actor": actor,
        "method": method,
        "for": behalf,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.ACCESSES, params)
    page, token = pages.split(
        found, request, lambda row: (row["minute"].isoformat(), row["actor_id"], row["method"], row["on_behalf_of"])
    )
    seen = [
        pb.PersonalDataAccess(
            actor_id=row["actor_id"],
            on_behalf_of=row["on_behalf_of"],
            method=row["method"],
            time=protos.timestamp(row["minute"]),
        )
        for row in page
    ]
    return pb.ListPersonalDataAccessesResponse(accesses=seen, next_page_token=token)


async def _carry_out(call: Call, request: Request, proof: str) -> None:
    if not proof:
        raise errors.FailedPrecondition("IDENTITY_NOT_VERIFIED", "say how the person proved who they are")
    if request.kind != "erasure":
        return
    since = call.now - timedelta(days=call.rules(PersonalDataRules).duty_days)
    kept = await call.tx.all(store.DUTY, {"ids": request.ids(), "since": since})
    if kept:
        held = ",".join(sorted(f"{row['type']}:{row['id']}" for row in kept))
        raise errors.FailedPrecondition(
            "RETENTION_DUTY", "a deal's records are kept by law; exclude them or refuse with that ground", records=held
        )
    await erasing.erase(call, [(type_, id_) for type_, id_ in request.records], request.id)


def _known(found: Request | None, id_: str) -> Request:
    if found is None:
        raise errors.NotFound("REQUEST_NOT_FOUND", f"no request {id_}")
    return found


def _root(call: Call) -> str:
    root = call.home.root
    return root.id if root is not None else ""
