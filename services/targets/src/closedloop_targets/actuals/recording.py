"""Actuals recorded and taken back by hand."""

from __future__ import annotations

from closedloop.targets.v1 import actuals_pb2 as pb
from closedloop_chassis import errors, ids
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.actuals import inputs, shapes, store
from closedloop_targets.actuals.rpcs import rpcs


@rpcs.method
async def record_actual(request: pb.RecordActualRequest, call: Call) -> pb.Actual:
    given = request.actual
    if given.holder.person_id:
        await company.person(call, given.holder.person_id)
    else:
        await company.unit(call, given.holder.unit_id)
    rates = await inputs.rates_of(call, [given])
    claim = inputs.read(call, given, "hand", call.home.today(), rates)
    source_id = given.provenance.source_id or ids.new_id()
    known = await store.known(
        call.tx,
        sources=[(given.provenance.source, source_id)],
        holders=[(claim.person_id, claim.day)],
        products=[given.scope.product_id],
    )
    if known.live:
        raise errors.AlreadyExists(
            "ACTUAL_EXISTS",
            f"{source_id} of {given.provenance.source} is recorded; reverse it first",
            actual_id=known.live[0].id,
        )
    fact = inputs.fact(call, claim, known, source_id)
    call.authorize("", fact.unit_id)
    [row] = store.write(call, [], [fact])
    call.audit(
        f"actual:{row.id}",
        "record",
        after={
            "metric": fact.metric,
            "owner_id": fact.owner_id,
            "unit_id": fact.unit_id,
            "minor": fact.minor,
            "date": fact.date,
        },
        business_action=fact.reason,
    )
    return shapes.actual(row)


@rpcs.method
async def reverse_actual(request: pb.ReverseActualRequest, call: Call) -> pb.Actual:
    columns = await call.tx.one(store.LOCK_ROW, {"id": request.actual_id})
    if columns is None:
        raise errors.NotFound("ACTUAL_NOT_FOUND", f"there is no actual {request.actual_id}")
    row = store.row(columns)
    call.authorize(row.fact.owner_id, row.fact.unit_id)
    if row.reversed_by_id or row.reverses_id:
        raise errors.FailedPrecondition(
            "ALREADY_REVERSED", "this row was taken back already, or takes another one back"
        )
    [reversal] = store.write(call, [(row, request.reason)], [])
    call.audit(
        f"actual:{row.id}",
        "reverse",
        before={"base_minor": row.fact.base_minor},
        after={"base_minor": 0, "reversal": reversal.id},
        business_action=request.reason,
    )
    return shapes.actual(reversal)
