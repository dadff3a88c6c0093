"""ListReviewPacks, GetReviewPack, PreparePack (S7)."""

from __future__ import annotations

from closedloop.targets.v1 import reviews_pb2 as pb
from closedloop_chassis import enums, errors, pages
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.reviews import preparing, shapes, store
from closedloop_targets.reviews.rpcs import rpcs
from closedloop_targets.reviews.store import Pack

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def list_review_packs(request: pb.ListReviewPacksRequest, call: Call) -> pb.ListReviewPacksResponse:
    if request.unit_id:
        await company.unit(call, request.unit_id)
    since = until = None
    if request.period:
        period = periods.parse(request.period, call.rules(FiscalCalendar))
        since, until = period.start, period.end
    key, key_id = pages.after(request, -(2**31), FIRST_ID)
    params = {
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "supervisor_id": request.supervisor_id,
        "since": since,
        "until": until,
        "state": enums.word(pb.ReviewPackState, request.state),
        "epoch": store.EPOCH,
        "key": key,
        "key_id": key_id,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LIST, params, into=Pack)
    page, token = pages.split(rows, request, lambda row: (-(row.start_date - store.EPOCH).days, row.id))
    return pb.ListReviewPacksResponse(packs=await shapes.without_deviations(call.db, page), next_page_token=token)


@rpcs.method
async def get_review_pack(request: pb.GetReviewPackRequest, call: Call) -> pb.ReviewPack:
    pack = await store.pack(call.db, request.pack_id)
    call.authorize(pack.owner_id, pack.unit_id)
    return await shapes.whole(call.db, pack, request)


@rpcs.method
async def prepare_pack(request: pb.PreparePackRequest, call: Call) -> pb.ReviewPack:
    unit = await company.unit(call, request.unit_id)
    call.authorize("", unit.id)
    fortnight = periods.parse(request.period, call.rules(FiscalCalendar))
    if fortnight.grain != "fortnight":
        raise errors.InvalidArgument(
            "UNKNOWN_PERIOD", f"{fortnight.code} is no fortnight", {"period": 'say "2026-F07"'}
        )
    if fortnight.start > call.home.today():
        raise errors.FailedPrecondition("PERIOD_AHEAD", f"{fortnight.code} has not begun")
    preparing.leader(call, unit)
    [pack] = await preparing.prepare(call, [unit], fortnight)
    if pack.state != "prepared":
        raise errors.FailedPrecondition("PACK_IN_USE", f"the pack of {fortnight.code} is {pack.state}")
    call.audit(f"review_pack:{pack.id}", "prepare", after={"unit_id": unit.id, "period": fortnight.code})
    return await shapes.whole(call.tx, pack)
