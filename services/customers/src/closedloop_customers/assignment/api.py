"""AssignmentService: who gets a record, who held it, and the pool."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.customers.v1 import accounts_pb2, leads_pb2
from closedloop.customers.v1 import assignment_pb2 as pb
from closedloop_chassis import enums, errors, pages, protos
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import explanations, profiles, records
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.assignment import desk, pooling, store, wire
from closedloop_customers.assignment.desk import Choice, Subject
from closedloop_customers.assignment.rules import AssignmentRules, Seller
from closedloop_customers.leads import desk as leads

rpcs = Rpcs("closedloop.customers.v1.AssignmentService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
# Reasons against a named seller that a manager may overrule, and what they are called.
OVERRULED = {"on_leave": "SELLER_ON_LEAVE", "capacity": "CAPACITY_EXCEEDED", "feed_suspended": "FEED_SUSPENDED"}


@rpcs.method
async def assign_record(request: pb.AssignRecordRequest, call: Call) -> pb.Assignment:
    type_, id_ = records.key(request.record)
    standing = await records.reach(call.tx, call, request.record)
    if type_ == "contact":
        raise errors.InvalidArgument(
            "RECORD_NOT_FOUND", "leads and accounts are assigned", {"record.type": "lead or account"}
        )
    if type_ == "lead" and not standing.open:
        raise errors.FailedPrecondition("LEAD_CLOSED", "a closed lead needs nobody")
    lead = (await leads.locked(call.tx, [standing.id]))[standing.id] if type_ == "lead" else None
    subject = await _subject(call.tx, type_, standing.id)
    sellers = await desk.everybody(call, call.tx, type_, alone=call.overtaken)
    if request.assignee_id:
        call.authorize(request.assignee_id, records.person_unit(call, request.assignee_id, "assignee_id"))
        choice = _named(call, request, next((s for s in sellers if s.person_id == request.assignee_id), None))
        method = "manual"
    else:
        choice, method = (
            desk.propose(call, replace(subject, missed=frozenset({standing.owner_id}) - {""}), sellers),
            "rules",
        )
        if not choice.owner_id:
            raise errors.FailedPrecondition("NO_SELLER_FITS", str(choice.rule["explanation"]))
    (row,) = desk.give(call, type_, {standing.id: choice}, method, request.reason, {standing.id: standing.owner_id})
    if lead is not None:
        leads.hand_over(call, [(lead, choice)], method, request.reason)
    else:
        await accounts.hand_over(call, id_, choice.owner_id, choice.unit_id)
    return wire.assignment(row)


@rpcs.method
async def preview_assignment(request: pb.PreviewAssignmentRequest, call: Call) -> pb.PreviewAssignmentResponse:
    if request.WhichOneof("subject") == "record":
        standing = await records.reach(call.db, call, request.record)
        type_, subject = standing.type, await _subject(call.db, standing.type, standing.id)
    else:
        type_, subject = "lead", _as_it_might_come(request.lead)
    at = protos.instant(request.at_time, "at_time") if request.HasField("at_time") else call.now
    choice = desk.propose(call, subject, await desk.everybody(call, call.db, type_, at))
    return pb.PreviewAssignmentResponse(
        assignee_id=choice.owner_id,
        unit_id=choice.unit_id,
        rule=explanations.reference(choice.rule),
        candidates=wire.candidates(choice.candidates),
    )


@rpcs.method
async def list_assignments(request: pb.ListAssignmentsRequest, call: Call) -> pb.ListAssignmentsResponse:
    (before_id,) = pages.after(request, LAST_ID)
    type_, id_ = records.key(request.record) if request.HasField("record") else ("", "")
    begins, ends = protos.bounds(request.assigned)
    params = {
        **call.scope.params,
        "record_type": type_,
        "record_id": id_ or None,
        "owner": request.owner_id,
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "methods": enums.words(pb.AssignmentMethod, request.methods) or None,
        "start": begins,
        "end": ends,
        "before_id": before_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=store.AssignmentRow)
    page, token = pages.split(found, request, lambda row: (row.id,))
    return pb.ListAssignmentsResponse(assignments=[wire.assignment(row) for row in page], next_page_token=token)


@rpcs.method
async def list_pool(request: pb.ListPoolRequest, call: Call) -> pb.ListPoolResponse:
    (after_id,) = pages.after(request, FIRST_ID)
    params = {
        "caller": call.caller.subject,
        "cool_down": timedelta(days=call.rules(AssignmentRules).cool_down_days),
        "record_type": enums.word(accounts_pb2.RecordType, request.record_type),
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "region_codes": list(request.region_codes) or None,
        "industries": list(request.industries) or None,
        "product_lines": list(request.product_lines) or None,
        "claimable_now": request.claimable_now,
        "now": call.now,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST_POOL, params, into=store.PoolRow)
    page, token = pages.split(found, request, lambda row: (row.record_id,))
    return pb.ListPoolResponse(entries=[wire.pool_entry(row) for row in page], next_page_token=token)


@rpcs.method
async def claim_from_pool(request: pb.ClaimFromPoolRequest, call: Call) -> pb.Assignment:
    type_, id_ = records.key(request.record)
    person_id = call.caller.subject
    unit_id = records.person_unit(call, person_id, "record")
    lead = (await leads.locked(call.tx, [id_])).get(id_) if type_ == "lead" else None
    entry = await call.tx.one(store.CLAIM, {"record_type": type_, "record_id": id_, "person_id": person_id})
    if entry is None:
        await _refuse_claim(call, type_, id_)
    assert entry is not None
    settings = call.rules(AssignmentRules)
    if entry["let_go_at"] is not None:
        free = entry["let_go_at"] + timedelta(days=settings.cool_down_days)
        if free > call.now:
            raise errors.FailedPrecondition(
                "COOL_DOWN", "you let it go; let others try first", claimable_time=free.isoformat()
            )
    # Who claims many at once is served one after the other, so that each sees those before it.
    call.tx.do(store.HOLD_SELLER, {"person_id": person_id})
    used = await call.tx.value(store.CLAIMED_SINCE, {"person_id": person_id, "since": call.now - timedelta(days=1)})
    if used >= settings.claims_a_day:
        raise errors.FailedPrecondition(
            "CLAIM_QUOTA_USED", f"{settings.claims_a_day} records a day are claimed", used=used
        )
    mine = next((s for s in await desk.everybody(call, call.tx, type_) if s.person_id == person_id), None)
    for reason, name in OVERRULED.items():
        if mine is not None and reason != "on_leave" and _stands_against(mine, reason):
            raise errors.FailedPrecondition(name, f"{person_id} cannot take more now: {reason}")
    previous = {id_: entry["last_owner_id"]}
    explanation = "claimed out of the pool by the first who asked"
    (row,) = desk.hold(call, type_, [(id_, person_id, unit_id)], "claimed", explanation, previous=previous)
    if lead is not None:
        leads.hand_over(call, [(lead, Choice(person_id, unit_id, row.rule))], "claimed", explanation)
    else:
        await accounts.hand_over(call, id_, person_id, unit_id)
    return wire.assignment(row)


@rpcs.method
async def release_to_pool(request: pb.ReleaseToPoolRequest, call: Call) -> pb.PoolEntry:
    return wire.pool_entry(await pooling.release(request, call))


@rpcs.method
async def protect_record(request: pb.ProtectRecordRequest, call: Call) -> pb.Assignment:
    return wire.assignment(await pooling.protect(request, call))


@rpcs.method
async def transfer_ownership(request: pb.TransferOwnershipRequest, call: Call) -> BulkSummary:
    return await pooling.transfer(request, call)


async def _refuse_claim(call: Call, type_: str, id_: str) -> None:
    standing = (await records.find(call.tx, [(type_, id_)])).get((type_, id_))
    if standing is not None and standing.owner_id:
        raise errors.FailedPrecondition("ALREADY_CLAIMED", "somebody was faster", owner_id=standing.owner_id)
    raise errors.FailedPrecondition("NOT_IN_POOL", f"{type_} {id_} is not in the pool")


def _named(call: Call, request: pb.AssignRecordRequest, seller: Seller | None) -> Choice:
    person_id = request.assignee_id
    if seller is None or "inactive" in seller.away:
        raise errors.FailedPrecondition("SELLER_INACTIVE", f"{person_id} does not sell")
    against = [reason for reason in OVERRULED if _stands_against(seller, reason)]
    if against and not request.override_limits:
        raise errors.FailedPrecondition(
            OVERRULED[against[0]], f"{person_id}: {', '.join(against)}; override_limits overrules it"
        )
    why = f"named by {call.actor}" + (f", overruling {', '.join(against)}" if against else "")
    return Choice(person_id, seller.unit_id, explanations.because(call, AssignmentRules, "manual", why))


def _stands_against(seller: Seller, reason: str) -> bool:
    return seller.load >= seller.capacity if reason == "capacity" else reason in seller.away


async def _subject(reader: Reader | Transaction, type_: str, id_: str) -> Subject:
    if type_ == "lead":
        lead = await leads.get(reader, id_)
        assert lead is not None
        return leads.subject(lead)
    return await accounts.subject(reader, id_)


def _as_it_might_come(profile: leads_pb2.LeadProfile) -> Subject:
    plain = profiles.read(profile, "lead")
    return Subject(
        id="",
        region_code=plain.get("region_code", ""),
        industry=plain.get("industry", ""),
        product_lines=tuple(plain.get("product_lines", ())),
    )
