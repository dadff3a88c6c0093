"""IdentityService."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1 import identity_pb2 as pb
from closedloop_chassis import contract, enums, errors, etags, pages, protos
from closedloop_chassis.edge import authorization
from closedloop_chassis.ids import new_id
from closedloop_chassis.permissions import REACHES, PermissionRules
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Scope
from closedloop_customers import accesses, profiles, records
from closedloop_customers.grades import desk as grades
from closedloop_customers.health import desk as health
from closedloop_customers.identifiers import MatchingRules
from closedloop_customers.identity import desk, finding, keeping, merging, references, store, wire
from closedloop_customers.identity.portraits import portrait
from closedloop_customers.identity.rules import IdentityRules, RecordType
from closedloop_customers.potential import desk as potential
from closedloop_customers.quality import desk as quality
from closedloop_customers.reminders import desk as reminders

rpcs = Rpcs("closedloop.customers.v1.IdentityService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
DEFAULT_MATCHES = 10


@rpcs.method
async def find_duplicates(request: pb.FindDuplicatesRequest, call: Call) -> pb.FindDuplicatesResponse:
    rules, matching = call.rules(IdentityRules), call.rules(MatchingRules)
    kind, id_, profile, account_id = await _described(request, call)
    wanted = portrait(kind, id_, profile, matching, account_id)
    found = await finding.like(call, call.db, kind, wanted, profile)
    least = request.minimum_probability_ratio or rules.shown
    sight = _sight(call)
    matches = [
        wire.match(kind, record, comparison, rules.certain, sight)
        for record, comparison in found
        if comparison.probability >= least
    ]
    answer = pb.FindDuplicatesResponse(matches=matches[: request.limit or DEFAULT_MATCHES], rule=wire.rule(call, rules))
    if matches and kind != "account":
        await accesses.note(call, [id_])  # what it is compared by is shown as well
    return await accesses.shown(call, answer)


@rpcs.method
async def list_duplicate_pairs(request: pb.ListDuplicatePairsRequest, call: Call) -> pb.ListDuplicatePairsResponse:
    after_key, after_id = pages.after(request, -2.0, FIRST_ID)
    params = {
        **_pair_filter(call),
        "record_type": enums.word(accounts_pb2.RecordType, request.record_type),
        "record_id": request.record.id or None,
        "states": enums.words(pb.DuplicatePairState, request.states) or ["open"],
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "least": request.minimum_probability_ratio,
        "after_key": after_key,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST_PAIRS, params, into=store.ShownPair)
    page, token = pages.split(found, request, lambda row: (-row.probability, row.id))
    listed = pb.ListDuplicatePairsResponse(pairs=[wire.pair(row, call.scope) for row in page], next_page_token=token)
    return await accesses.shown(call, listed)


@rpcs.method
async def scan_duplicates(request: pb.ScanDuplicatesRequest, call: Call) -> pb.ScanDuplicatesResponse:
    since = protos.instant(request.updated_since_time) if request.HasField("updated_since_time") else None
    kind: Any = enums.word(accounts_pb2.RecordType, request.record_type)
    return pb.ScanDuplicatesResponse(**await finding.scan(call, kind, since))


@rpcs.method
async def dismiss_duplicate_pair(request: pb.DismissDuplicatePairRequest, call: Call) -> pb.DuplicatePair:
    pair = await call.tx.one(store.LOCK_PAIR, {"id": request.id}, into=store.Pair)
    if pair is None:
        raise errors.NotFound("PAIR_NOT_FOUND", f"no pair {request.id}")
    if pair.state != "open":
        raise errors.FailedPrecondition("PAIR_DECIDED", f"it was {pair.state} by {pair.decided_by}", state=pair.state)
    shown = await call.tx.one(store.LIST_PAIRS, {**_pair_filter(call), "id": pair.id}, into=store.ShownPair)
    if shown is None:
        raise errors.PermissionDenied("OUT_OF_SCOPE", "neither of the two is within the caller's reach")
    call.tx.do(store.DISMISS, {"id": pair.id, "by": call.actor, "now": call.now, "reason": request.reason})
    for id_ in (pair.left_id, pair.right_id):
        call.audit(id_, "dismiss_duplicate", {"duplicate_pair": "open"}, {"duplicate_pair": f"dismissed {pair.id}"})
    decided = replace(
        shown, state="dismissed", decided_by=call.actor, decided_at=call.now, decision_reason=request.reason
    )
    return wire.pair(decided, call.scope)


@rpcs.method
async def merge_records(request: pb.MergeRecordsRequest, call: Call) -> pb.Merge:
    kind, survivor_id = records.key(request.survivor)
    ids = [survivor_id, *(id_ for id_ in request.absorbed_ids if id_ != survivor_id)]
    held = await desk.locked(call, kind, ids)
    survivor: Any = held[survivor_id]
    absorbed: list[Any] = [held[id_] for id_ in request.absorbed_ids]
    merging.check(kind, desk.view(survivor), [desk.view(one) for one in absorbed], request.override_reason)
    etags.check(request.survivor_etag, survivor.version)
    owner = _owner(request, call, kind, survivor, absorbed)
    freshest = sorted(absorbed, key=lambda one: one.updated_at, reverse=True)
    joined = merging.join(survivor.profile, [(one.id, one.profile) for one in freshest], request.field_choices)
    merge = store.Merge(
        id=new_id(),
        record_type=kind,  # type: ignore[arg-type]
        survivor_id=survivor_id,
        absorbed_ids=list(request.absorbed_ids),
        choices=joined.choices,
        before={id_: keeping.snapshot(kind, record) for id_, record in held.items()},
        after={},
        moved={},
        owner_id=owner[0],
        unit_id=owner[1],
        reason=": ".join(filter(None, (request.reason, request.override_reason))),
        merged_by=call.actor,
        merged_at=call.now,
        unmerged_by="",
        unmerged_at=None,
    )
    moved = await references.move(call.tx, kind, merge.id, survivor_id, merge.absorbed_ids)
    merge = replace(merge, moved=moved)
    if request.validate_only:
        await call.tx.rollback()
        return wire.merge(merge)
    merge = await desk.absorb(call, merge, survivor, absorbed, joined, owner)
    store.add_merge(call.tx, merge)
    verdict = {"ids": ids, "by": call.actor, "now": call.now, "reason": request.reason}
    call.tx.do(store.MERGED_PAIRS, verdict)
    desk.tell(call, merge, undone=False)
    reminders.owned_anew(call, [survivor_id])
    if kind == "account":
        await _judge_anew(call, [survivor_id], "event:RecordsMerged")
    return wire.merge(merge)


@rpcs.method
async def unmerge_records(request: pb.UnmergeRecordsRequest, call: Call) -> pb.Merge:
    merge = await call.tx.one(store.LOCK_MERGE, {"id": request.merge_id}, into=store.Merge)
    if merge is None:
        raise errors.NotFound("MERGE_NOT_FOUND", f"no merge {request.merge_id}")
    held = await desk.locked(call, merge.record_type, [merge.survivor_id, *merge.absorbed_ids])
    if merge.unmerged_at is not None:
        raise errors.FailedPrecondition("MERGE_UNDONE", f"{merge.unmerged_by} has taken it apart already")
    later = await call.tx.value(store.LATER, {"id": merge.id, "survivor_id": merge.survivor_id})
    if later is not None:
        raise errors.FailedPrecondition(
            "MERGED_AGAIN", "its survivor was merged again; undo that one first", merge_id=later
        )
    references.give_back(call.tx, merge.record_type, merge.id, merge.survivor_id, merge.absorbed_ids)
    absorbed = [held[id_] for id_ in merge.absorbed_ids]
    await desk.release(call, merge, held[merge.survivor_id], absorbed, request.reason)
    call.tx.do(store.UNMERGE, {"id": merge.id, "by": call.actor, "now": call.now})
    verdict = {"ids": list(held), "by": call.actor, "now": call.now, "reason": request.reason}
    call.tx.do(store.UNMERGED_PAIRS, verdict)
    undone = replace(merge, unmerged_by=call.actor, unmerged_at=call.now)
    desk.tell(call, undone, undone=True)
    reminders.owned_anew(call, list(held))
    if merge.record_type == "account":
        await _judge_anew(call, list(held), "event:RecordsUnmerged")
    return wire.merge(undone)


@rpcs.method
async def list_merges(request: pb.ListMergesRequest, call: Call) -> pb.ListMergesResponse:
    (before_id,) = pages.after(request, LAST_ID)
    begins, ends = protos.bounds(request.merged)
    params = {
        **call.scope.params,
        "record_id": request.record.id or None,
        "record_type": enums.word(accounts_pb2.RecordType, request.record_type),
        "start": begins,
        "end": ends,
        "before_id": before_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST_MERGES, params, into=store.Merge)
    page, token = pages.split(found, request, lambda row: (row.id,))
    return pb.ListMergesResponse(merges=[wire.merge(row) for row in page], next_page_token=token)


async def _judge_anew(call: Call, ids: list[str], cause: str) -> None:
    """What deals, touches and tenders make of accounts that have others now."""
    await grades.evaluate(call, cause, ids)
    await quality.relight(call, ids)
    health.touched(call, ids, cause)
    await potential.reevaluate(call, ids, cause)


async def _described(
    request: pb.FindDuplicatesRequest, call: Call
) -> tuple[RecordType, str, Mapping[str, Any], str | None]:
    named: Any = request.WhichOneof("subject")
    if named != "record":
        profile = profiles.read(getattr(request, named), named)
        return named, "", profile, profile.get("account_id")
    kind: Any = enums.word(accounts_pb2.RecordType, request.record.type)
    found = (await store.records(call.db, kind, [request.record.id])).get(request.record.id)
    if found is None:
        raise errors.NotFound("RECORD_NOT_FOUND", f"no {kind} {request.record.id}")
    return kind, found.id, found.profile, found.account_id


def _owner(
    request: pb.MergeRecordsRequest, call: Call, kind: str, survivor: Any, absorbed: list[Any]
) -> tuple[str, str]:
    """Owner and unit of the result; a contact stands where its account stands. Raises FailedPrecondition
    DIFFERENT_OWNERS."""
    if kind == "contact":
        return survivor.owner_id, survivor.unit_id
    if request.owner_id:
        unit_id = records.person_unit(call, request.owner_id)
        call.authorize(request.owner_id, unit_id)
        return request.owner_id, unit_id
    owners = {one.owner_id for one in (survivor, *absorbed)}
    if len(owners) > 1:
        raise errors.FailedPrecondition(
            "DIFFERENT_OWNERS", "say in owner_id who owns the result", owner_ids=",".join(sorted(owners))
        )
    return survivor.owner_id, survivor.unit_id


def _sight(call: Call) -> Scope:
    """How far the caller sees records, which is less than who they may ask about."""
    seeing = next(m for m in contract.methods("closedloop.customers.v1.AccountService") if m.name == "GetAccount")
    narrowed = call.rules(PermissionRules).of(seeing.full_name)
    width = authorization.widest(authorization.table(seeing), narrowed, call.caller.roles)
    return authorization.scope(call.caller, REACHES[max(width, 0)], call.org)


def _pair_filter(call: Call) -> dict[str, Any]:
    return {
        **call.scope.params,
        "id": None,
        "record_type": "",
        "record_id": None,
        "states": None,
        "units": None,
        "least": 0.0,
        "after_key": -2.0,
        "after_id": FIRST_ID,
        "limit": 1,
    }
