"""How records leave their owners: given up, handed over, recycled (U12, S82)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import assignment_pb2 as pb
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.work import Call, Work
from closedloop_customers import explanations, records
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.assignment import desk, leaving, store
from closedloop_customers.assignment.desk import Choice
from closedloop_customers.assignment.rules import AssignmentRules
from closedloop_customers.leads import desk as leads
from closedloop_customers.records import Standing

Key = tuple[str, str]


async def release(request: pb.ReleaseToPoolRequest, call: Call) -> store.PoolRow:
    standing = await _held(call, request.record, "ALREADY_IN_POOL")
    busy = await call.tx.value(store.BUSY, {"record_type": standing.type, "id": standing.id})
    if busy is not None:
        raise errors.FailedPrecondition(
            "OPPORTUNITY_OPEN", "a deal is under way; hand it over instead", opportunity_id=busy
        )
    why = f"given up by {call.actor}: {request.reason}"
    rule = explanations.because(call, AssignmentRules, "pool", why)
    unit_id = desk.home(call, await _subject(call, standing)) or standing.unit_id
    await give_many(call, standing.type, {standing.id: Choice("", unit_id, rule)}, "manual", request.reason, "released")
    return await pool_row(call, standing.type, standing.id)


async def protect(request: pb.ProtectRecordRequest, call: Call) -> store.AssignmentRow:
    standing = await _held(call, request.record, "RECORD_IN_POOL")
    settings = call.rules(AssignmentRules)
    until = datetime.combine(protos.day(request.until_date, "until_date") + timedelta(days=1), time(), UTC)
    most = call.now + timedelta(days=settings.protect_most_days)
    if not call.now < until <= most + timedelta(days=1):
        raise errors.InvalidArgument(
            "PROTECTION_TOO_LONG", f"until {most.date()} at the latest", {"until_date": "too far, or past"}
        )
    params = {"type": standing.type, "id": standing.id, "until": until}
    row = await call.tx.one(store.PROTECT, params, into=store.AssignmentRow)
    if row is None:
        raise errors.FailedPrecondition("RECORD_IN_POOL", "nobody holds it")
    call.audit(standing.id, "protect", {}, {"protected_until": until, "reason": request.reason})
    return row


async def transfer(request: pb.TransferOwnershipRequest, call: Call) -> BulkSummary:
    """Raises InvalidArgument UNKNOWN_PERSON, FailedPrecondition SELLER_INACTIVE."""
    to_unit = ""
    if request.to_owner_id:
        person = call.org.person(request.to_owner_id)
        if person is None:
            raise errors.InvalidArgument(
                "UNKNOWN_PERSON", f"{request.to_owner_id} is nobody of the company", {"to_owner_id": "unknown person"}
            )
        if not person.active:
            raise errors.FailedPrecondition("SELLER_INACTIVE", f"{person.id} has left")
        to_unit = person.unit_id
        call.authorize(person.id, to_unit)
    keys, refused = await _wanted(request, call)
    chosen: dict[str, dict[str, Choice]] = defaultdict(dict)
    if request.to_owner_id:
        rule = explanations.because(call, AssignmentRules, "transferred", f"handed over by {call.actor}")
        for type_, standing in keys:
            chosen[type_][standing.id] = Choice(request.to_owner_id, to_unit, rule)
    else:
        for type_ in sorted({type_ for type_, _ in keys}):
            chosen[type_] = await _shared_out(call, type_, [standing for kind, standing in keys if kind == type_])
    moved = 0
    for type_, choices in chosen.items():
        moved += await give_many(call, type_, choices, "transferred", request.reason, "owner_left")
    summary = bulk.summary(read=len(keys) + len(refused), updated=moved, refused=refused)
    if request.validate_only:
        await call.tx.rollback()
        return summary
    await leaving.settle(call, {standing.owner_id for _, standing in keys})
    return summary


async def recycle(work: Work) -> int:
    """Gives to the pool what lay untouched beyond protection; answers how many. Set-based in choosing."""
    settings = work.rules(AssignmentRules)
    params = {
        "now": work.now,
        "lead_since": work.now - timedelta(days=settings.recycle_lead_days),
        "account_since": work.now - timedelta(days=settings.recycle_account_days),
        "kept_grades": sorted(settings.kept_grades),
        "most": settings.largest_recycling,
    }
    chosen: dict[str, dict[str, Choice]] = defaultdict(dict)
    for row in await work.tx.all(store.IDLE, params):
        days = (work.now - row["touched_at"]).days
        rule = explanations.because(work, AssignmentRules, "recycle", f"{days} 天未跟进且已过保护期，收回公海")
        chosen[row["record_type"]][row["record_id"]] = Choice("", row["unit_id"], rule)
    return sum(
        [await give_many(work, type_, choices, "rules", "recycled", "recycled") for type_, choices in chosen.items()]
    )


async def give_many(
    work: Work, type_: str, chosen: Mapping[str, Choice], method: str, reason: str, pool_reason: str
) -> int:
    """Records in other hands, with all that follows them."""
    if type_ == "lead":
        held = await leads.locked(work.tx, list(chosen))
        given = [(lead, chosen[id_]) for id_, lead in held.items() if lead.stage != "closed"]
        previous = {lead.id: lead.owner_id for lead, _ in given}
        desk.give(work, type_, {lead.id: choice for lead, choice in given}, method, reason, previous, pool_reason)
        leads.hand_over(work, given, method, reason)
        return len(given)
    before = await accounts.locked(work.tx, list(chosen))
    owners = {id_: account.owner_id for id_, account in before.items()}
    desk.give(work, type_, {id_: chosen[id_] for id_ in before}, method, reason, owners, pool_reason)
    accounts.hand_over_many(work, before, {id_: (chosen[id_].owner_id, chosen[id_].unit_id) for id_ in before})
    return len(before)


async def pool_row(call: Call, type_: str, id_: str) -> store.PoolRow:
    settings = call.rules(AssignmentRules)
    params = {
        "caller": call.caller.subject,
        "cool_down": timedelta(days=settings.cool_down_days),
        "record_type": type_,
        "record_id": id_,
    }
    row = await call.tx.one(store.ONE_OF_POOL, params, into=store.PoolRow)
    assert row is not None
    return row


async def _wanted(
    request: pb.TransferOwnershipRequest, call: Call
) -> tuple[list[tuple[str, Standing]], list[RowError]]:
    if not request.records:
        if not request.from_owner_id:
            raise errors.InvalidArgument(
                "NOTHING_NAMED", "say which records, or whose", {"records": "or from_owner_id"}
            )
        rows = await call.tx.all(store.HELD_BY, {**call.scope.params, "owner": request.from_owner_id})
        found = await records.find(call.tx, [(row["record_type"], row["record_id"]) for row in rows])
        return [(key[0], standing) for key, standing in found.items()], []
    asked = [records.key(record) for record in request.records]
    found = await records.find(call.tx, asked)
    good: dict[str, tuple[str, Standing]] = {}
    refused = []
    for position, key in enumerate(asked):
        try:
            standing = _movable(call, key, found.get(key))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error, "records"))
            continue
        good[standing.id] = (key[0], standing)
    return list(good.values()), refused


def _movable(call: Call, key: Key, standing: Standing | None) -> Standing:
    if standing is None or key[0] == "contact":
        raise errors.NotFound("RECORD_NOT_FOUND", f"no lead or account {key[1]}")
    call.authorize(standing.owner_id, standing.unit_id)
    if not standing.open:
        raise errors.FailedPrecondition("RECORD_CLOSED", f"{key[0]} {key[1]} needs nobody")
    return standing


async def _held(call: Call, record: accounts_pb2.RecordReference, pooled: str) -> Standing:
    """Raises NotFound RECORD_NOT_FOUND, PermissionDenied NOT_OWNER, FailedPrecondition `pooled`."""
    type_, id_ = records.key(record)
    standing = (await records.find(call.tx, [(type_, id_)])).get((type_, id_))
    if standing is None or type_ == "contact":
        raise errors.NotFound("RECORD_NOT_FOUND", f"no lead or account {id_}")
    records.may_change(call, standing.owner_id, standing.unit_id, standing.participant_ids)
    if not standing.owner_id or not standing.open:
        raise errors.FailedPrecondition(pooled, "nobody holds it")
    return standing


async def _shared_out(call: Call, type_: str, standings: Sequence[Standing]) -> dict[str, Choice]:
    """Whom the rules choose of the others, each choice counting in the loads of the next. Two round trips."""
    owners = {standing.id: frozenset({standing.owner_id}) for standing in standings}
    if type_ == "lead":
        subjects = [leads.subject(lead) for lead in (await leads.locked(call.tx, list(owners))).values()]
    else:
        subjects = [accounts.seen(account) for account in (await accounts.locked(call.tx, list(owners))).values()]
    sellers = await desk.everybody(call, call.tx, type_)
    return desk.share(call, [replace(subject, missed=owners[subject.id]) for subject in subjects], sellers)


async def _subject(call: Call, standing: Standing) -> desk.Subject:
    if standing.type == "lead":
        lead = await leads.get(call.tx, standing.id)
        assert lead is not None
        return leads.subject(lead, missed=frozenset({standing.owner_id}))
    return await accounts.subject(call.tx, standing.id)
