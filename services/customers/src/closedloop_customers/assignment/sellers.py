"""AssignmentService: what sellers can take, their leave."""

from __future__ import annotations

from datetime import datetime

from psycopg.types.json import Jsonb

from closedloop.customers.v1 import assignment_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.org.snapshot import Person
from closedloop_chassis.work import Call
from closedloop_customers import codes, profiles, provenance, records
from closedloop_customers.assignment import desk, store, wire
from closedloop_customers.assignment.api import rpcs as rpcs
from closedloop_customers.assignment.rules import AssignmentRules


@rpcs.method
async def list_sellers(request: pb.ListSellersRequest, call: Call) -> pb.ListSellersResponse:
    (after_id,) = pages.after(request, "")
    units = call.org.subtree(request.unit_id) if request.unit_id else None
    roles, wanted = call.rules(AssignmentRules).seller_roles, set(request.person_ids)
    people = [
        person
        for person in sorted(call.org.people.values(), key=lambda person: person.id)
        if roles & set(person.roles)
        and person.id > after_id
        and (not wanted or person.id in wanted)
        and (units is None or person.unit_id in units)
        and call.scope.covers(person.id, person.unit_id)
    ]
    if request.HasField("available"):
        free = {s.person_id for s in await desk.everybody(call, call.db, "lead") if not s.away and s.load < s.capacity}
        people = [person for person in people if (person.id in free) is request.available]
    page, token = pages.split(people[: pages.size(request) + 1], request, lambda person: (person.id,))
    found = await store.sellers(call.db, [person.id for person in page])
    leaves = await _leaves(call, [person.id for person in page])
    sellers = [wire.seller(person, found[person.id], leaves.get(person.id, [])) for person in page]
    return pb.ListSellersResponse(sellers=sellers, next_page_token=token)


@rpcs.method
async def update_seller(request: pb.UpdateSellerRequest, call: Call) -> pb.Seller:
    person = _person(call, request.person_id)
    held = await call.tx.one(store.HOLD_SELLER, {"person_id": person.id})
    assert held is not None
    etags.check(request.etag, held["version"])
    for field, kind in (("region_code", "region_codes"), ("industry", "industries")):
        for code in getattr(request.profile, kind):
            codes.check({field: code}, call.rules(codes.CodeRules), call.org)
    # Absent is the default, 0 is none: what is present is kept even where it is zero.
    given = profiles.read(request.profile)
    for name in ("lead_capacity", "account_capacity", "weight"):
        if request.profile.HasField(name):
            given[name] = getattr(request.profile, name)
    profile = profiles.masked(held["profile"], given, request.update_mask.paths, pb.SellerProfile)
    call.tx.do(store.SET_PROFILE, {"person_id": person.id, "profile": Jsonb(profile)})
    call.tx.do(store.MOVED)
    call.audit(person.id, "update_seller", profiles.trail(held["profile"]), profiles.trail(profile))
    return await _answer(call, person)


@rpcs.method
async def record_leave(request: pb.RecordLeaveRequest, call: Call) -> pb.Seller:
    person = _person(call, request.person_id)
    starts_at, ends_at = _span(request)
    if request.stand_in_id:
        records.person_unit(call, request.stand_in_id, "stand_in_id")
        if request.stand_in_id == person.id:
            raise errors.InvalidArgument(
                "STAND_IN_ON_LEAVE", "nobody stands in for themselves", {"stand_in_id": "the same person"}
            )
    kept = provenance.by_hand(call, request.provenance)
    # Holds both people's rows, so that two leaves entered at once see each other.
    for who in sorted({person.id, request.stand_in_id} - {""}):
        call.tx.do(store.HOLD_SELLER, {"person_id": who})
    span = {"starts_at": starts_at, "ends_at": ends_at, "source": kept["source"], "source_id": kept["source_id"]}
    clashing = {
        row["person_id"]
        for row in await call.tx.all(store.CLASHING, {**span, "people": [person.id, request.stand_in_id]})
    }
    if person.id in clashing:
        raise errors.FailedPrecondition("LEAVE_OVERLAPS", f"{person.id} is on leave within that time already")
    if request.stand_in_id in clashing:
        raise errors.FailedPrecondition("STAND_IN_ON_LEAVE", f"{request.stand_in_id} is on leave within that time")
    row = {
        "id": new_id(),
        "person_id": person.id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "stand_in_id": request.stand_in_id,
        "reason": request.reason,
        "provenance": Jsonb(kept),
    }
    call.tx.do(store.PUT_LEAVE, row)
    call.tx.do(store.MOVED)
    leave = {"leave": [starts_at.isoformat(), ends_at.isoformat()], "stand_in_id": request.stand_in_id}
    call.audit(person.id, "record_leave", {}, leave)
    return await _answer(call, person)


@rpcs.method
async def cancel_leave(request: pb.CancelLeaveRequest, call: Call) -> pb.Seller:
    person = _person(call, request.person_id)
    leave = await call.tx.one(store.LEAVE, {"id": request.leave_id, "person_id": person.id})
    if leave is None:
        raise errors.NotFound("LEAVE_NOT_FOUND", f"{person.id} has no leave {request.leave_id}")
    if leave["ends_at"] <= call.now:
        raise errors.FailedPrecondition("LEAVE_OVER", f"it ended on {leave['ends_at'].isoformat()}")
    begun = leave["starts_at"] < call.now
    call.tx.do(store.END_LEAVE if begun else store.DROP_LEAVE, {"id": request.leave_id, "now": call.now})
    call.tx.do(store.MOVED)
    call.audit(person.id, "cancel_leave", {"leave": [leave["starts_at"].isoformat(), leave["ends_at"].isoformat()]}, {})
    return await _answer(call, person)


def _person(call: Call, person_id: str) -> Person:
    person = call.org.person(person_id)
    if person is None:
        raise errors.InvalidArgument(
            "UNKNOWN_PERSON", f"{person_id} is nobody of the company", {"person_id": "unknown person"}
        )
    call.authorize(person.id, person.unit_id)
    return person


def _span(request: pb.RecordLeaveRequest) -> tuple[datetime, datetime]:
    span = request.interval
    if not span.HasField("start_time") or not span.HasField("end_time"):
        raise errors.InvalidArgument("INTERVAL_OPEN", "a leave begins and ends", {"interval": "both ends are required"})
    starts_at, ends_at = protos.instant(span.start_time), protos.instant(span.end_time)
    if starts_at >= ends_at:
        raise errors.InvalidArgument(
            "INTERVAL_EMPTY", "a leave ends after it begins", {"interval": "end_time is not after start_time"}
        )
    return starts_at, ends_at


async def _leaves(call: Call, people: list[str]) -> dict[str, list[store.Leave]]:
    found: dict[str, list[store.Leave]] = {}
    for row in await call.db.all(store.LEAVES, {"people": people, "now": call.now}, into=store.Leave):
        found.setdefault(row.person_id, []).append(row)
    return found


async def _answer(call: Call, person: Person) -> pb.Seller:
    row = (await store.sellers(call.tx, [person.id]))[person.id]
    leaves = await call.tx.all(store.LEAVES, {"people": [person.id], "now": call.now}, into=store.Leave)
    return wire.seller(person, row, leaves)
