"""TransferTargets: a rep changes team or leaves, a unit closes; what is left goes to somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from closedloop.targets.v1 import cascade_pb2 as pb
from closedloop.targets.v1.plans_pb2 import Holder
from closedloop_chassis import errors, etags, ids, protos
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.book import exceptions, versions
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import HolderKind, Target
from closedloop_targets.cascade.api import rpcs
from closedloop_targets.cascade.handover import Halves, Piece, alike, halves
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import shapes

# The holder's targets that reach beyond the day, with everything below them.
HELD = """
WITH RECURSIVE held AS (
    SELECT * FROM target
     WHERE plan_id = %(plan_id)s AND number = %(number)s AND holder_kind = %(kind)s AND holder_id = %(holder_id)s
       AND end_date >= %(day)s AND (cardinality(%(ids)s::uuid[]) = 0 OR id = ANY(%(ids)s::uuid[]))
    UNION
    SELECT child.* FROM target child JOIN held ON child.parent_id = held.id WHERE child.end_date >= %(day)s
)
SELECT held.*, NULL::bigint AS passed_minor FROM held ORDER BY depth, id
"""


@rpcs.method
async def transfer_targets(request: pb.TransferTargetsRequest, call: Call) -> pb.TransferTargetsResponse:
    version = await versions.lock_version(call.tx, request.plan_id, request.version)
    version.must_be_draft()
    etags.check(request.etag, version.version)
    giver, taker = getattr(request, "from"), request.to
    giver_kind, giver_id = _holder(giver)
    taker_kind, taker_id = _holder(taker)
    if giver_kind != taker_kind or giver_id == taker_id:
        raise errors.InvalidArgument(
            "HOLDERS_DIFFER_IN_KIND", "from one person to another, or from one unit to another", {"to": "kind"}
        )
    day = protos.day(request.effective_date, "effective_date")
    params = {"plan_id": request.plan_id, "number": version.number, "kind": giver_kind, "holder_id": giver_id}
    params |= {"day": day, "ids": list(request.target_ids)}
    held = await call.tx.all(HELD, params, into=Target)
    if not held:
        raise errors.FailedPrecondition("HOLDER_HAS_NO_TARGETS", f"{giver_id} has no target from {day} on")
    unit_id, owner_id = await _taker(call, taker_kind, taker_id)
    call.authorize("", unit_id)
    for one in held:
        call.authorize("", one.unit_id)
    moved, kept = _divide(call, held, (giver_kind, giver_id), (taker_kind, taker_id, unit_id, owner_id), day)
    target_store.save(call.tx, [*kept, *moved])
    call.tx.do(target_store.FORGET_CELLS, {"ids": [one.id for one in (*kept, *moved)]})
    call.tx.do(versions.TOUCH, {"plan_id": request.plan_id, "number": version.number})
    await exceptions.lapse(call, request.plan_id, version.number)
    call.audit(
        f"plan:{request.plan_id}",
        "transfer",
        before={"holder": giver_id},
        after={"holder": taker_id, "from_day": day, "targets": len(moved), "version": version.number},
        business_action=request.reason,
    )
    shown = [one for one in kept if one.holder_id == giver_id] + [one for one in moved if one.holder_id == taker_id]
    return pb.TransferTargetsResponse(targets=[shapes.target(one, call) for one in shown])


def _holder(holder: Holder) -> tuple[HolderKind, str]:
    return ("unit", holder.unit_id) if holder.unit_id else ("person", holder.person_id)


async def _taker(call: Call, kind: HolderKind, holder_id: str) -> tuple[str, str]:
    """(unit, owner). Raises NotFound, and FailedPrecondition UNIT_CLOSED for who is no more."""
    if kind == "person":
        person = await company.person(call, holder_id)
        active, unit_id, owner_id = person.active, person.unit_id, person.id
    else:
        unit = await company.unit(call, holder_id)
        leader = call.org.manager_of(holder_id)
        active, unit_id, owner_id = unit.active, unit.id, leader.id if leader else ""
    if not active:
        raise errors.FailedPrecondition("UNIT_CLOSED", f"{kind} {holder_id} is no more")
    return unit_id, owner_id


def _divide(
    call: Call, held: Sequence[Target], giver: tuple[str, str], taker: tuple[HolderKind, str, str, str], day: date
) -> tuple[list[Target], list[Target]]:
    """(targets of the taker and of who stays below them, targets cut at the day). One that begins later moves whole."""
    calendar, metrics = call.rules(FiscalCalendar), call.rules(MetricRules)
    eve = day - timedelta(days=1)
    renamed: dict[str, str] = {}
    moved: list[Target] = []
    kept: list[Target] = []
    for metric, period in sorted({(one.metric, one.period) for one in held}):
        group = [one for one in held if (one.metric, one.period) == (metric, period)]
        parts = {one.id: Halves(0, one.base_minor, 0, one.minor) for one in group}
        whole = group[0].start_date >= day
        if not whole:
            first = periods.parse(f"{group[0].start_date}/{eve}", calendar)
            last = periods.parse(f"{day}/{group[0].end_date}", calendar)
            days_before, days_after = (
                period_shapes.working_days(span, call, group[0].unit_id) for span in (first, last)
            )
            pieces = [Piece(one.id, one.parent_id, one.depth, one.base_minor, one.minor) for one in group]
            parts = (
                halves(pieces, days_before, days_after, metrics.metric(metric).step)
                if metrics.metric(metric).adds_up
                else alike(pieces)
            )
        for one in group:
            part = parts[one.id]
            to_taker = (one.holder_kind, one.holder_id) == giver
            after = replace(
                one,
                base_minor=part.base_after,
                minor=part.minor_after,
                updated_at=call.now,
                version=one.version + 1 if whole else 1,
            )
            if to_taker:
                kind, holder_id, unit_id, owner_id = taker
                after = replace(after, holder_kind=kind, holder_id=holder_id, unit_id=unit_id, owner_id=owner_id)
            if not whole:
                renamed[one.id] = ids.new_id()
                after = replace(
                    after,
                    id=renamed[one.id],
                    parent_id=renamed.get(one.parent_id or "", one.parent_id),
                    period=last.code,
                    start_date=day,
                    source="",
                    source_id="",
                    provenance={},
                )
                before = replace(
                    one,
                    period=first.code,
                    end_date=eve,
                    base_minor=part.base_before,
                    minor=part.minor_before,
                    version=one.version + 1,
                    updated_at=call.now,
                )
                kept.append(before)
            moved.append(after)
    return moved, kept
