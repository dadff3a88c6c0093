"""CascadeService: from one target to everybody's weeks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from google.protobuf import json_format

from closedloop.targets.v1 import cascade_pb2 as pb
from closedloop.targets.v1.plans_pb2 import TargetScope
from closedloop_chassis import enums, errors, etags, ids, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_targets import amounts, holders
from closedloop_targets.book import exceptions, versions
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import Target
from closedloop_targets.cascade import run, store
from closedloop_targets.cascade.profiles import Shape
from closedloop_targets.cascade.rules import REP
from closedloop_targets.cascade.store import Allocation, Cascade, Cell
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar

rpcs = Rpcs("closedloop.targets.v1.CascadeService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"
# Method, fell back, pinned, weight, share, rounding.
Why = tuple[str, bool, bool, Fraction, float, int]


@rpcs.method
async def preview_cascade(request: pb.PreviewCascadeRequest, call: Call) -> pb.Cascade:
    found = await target_store.by_id(call, call.db, (request.target_id,))
    target = _known(found.get(request.target_id), request.target_id)
    call.authorize("", target.unit_id)
    (await versions.version(call.db, target.plan_id, target.number)).must_be_draft()
    split = await run.work_out(call, call.db, target, request.rules)
    targets = list(_targets(call, split, ""))
    allocations = _allocations(split, targets, "")
    (after,) = pages.after(request, -1)
    rows = [one for one in allocations if one.position > after][: pages.size(request) + 1]
    page, token = pages.split(rows, request, lambda row: (row.position,))
    cells = sum(len(parts) for _, parts, _ in split.cells(targets, _calendars(call)))
    cascade = _cascade(call, split, targets, cells, request.rules, "")
    shown = [replace(one, target_id="") for one in page]
    return _to_proto(cascade, shown, token)


@rpcs.method
async def run_cascade(request: pb.RunCascadeRequest, call: Call) -> pb.Cascade:
    target = _known(await target_store.lock(call.tx, request.target_id), request.target_id)
    call.authorize("", target.unit_id)
    (await versions.lock_version(call.tx, target.plan_id, target.number)).must_be_draft()
    etags.check(request.etag, target.version)
    split = await run.work_out(call, call.tx, target, request.rules)
    cascade_id = ids.new_id()
    targets = list(_targets(call, split, cascade_id))
    call.tx.do(target_store.REMOVE_BELOW, {"id": target.id})
    target_store.save(call.tx, targets)
    spreads = split.cells(targets, _calendars(call))
    cells = sum(len(parts) for _, parts, _ in spreads)
    call.tx.do(target_store.FORGET_CELLS, {"ids": [target.id]})
    target_store.add_cells(call.tx, spreads)
    cascade = _cascade(call, split, targets, cells, request.rules, cascade_id)
    rows = _allocations(split, targets, cascade_id)
    store.save(call.tx, cascade, rows)
    call.tx.do(versions.TOUCH, {"plan_id": target.plan_id, "number": target.number})
    await exceptions.lapse(call, target.plan_id, target.number)
    call.audit(
        f"plan:{target.plan_id}",
        "cascade",
        after={
            "version": target.number,
            "target": target.id,
            "cascade": cascade_id,
            "nodes": len(targets),
            "cells": cells,
        },
    )
    return _to_proto(cascade, [], "")


@rpcs.method
async def get_cascade(request: pb.GetCascadeRequest, call: Call) -> pb.Cascade:
    cascade = await call.db.one(store.BY_ID, {"id": request.cascade_id}, into=Cascade)
    if cascade is None:
        raise errors.NotFound("CASCADE_NOT_FOUND", f"there is no cascade {request.cascade_id}")
    if request.unit_id:
        call.authorize("", request.unit_id)
    elif not call.scope.covers(cascade.author_id, cascade.unit_id):
        call.authorize(cascade.owner_id, cascade.unit_id)
    (after,) = pages.after(request, -1)
    params = {
        "cascade_id": cascade.id,
        "after": after,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "limit": pages.size(request) + 1,
    }
    rows = await call.db.all(store.ALLOCATIONS, params, into=Allocation)
    page, token = pages.split(rows, request, lambda row: (row.position,))
    return _to_proto(cascade, page, token)


@rpcs.method
async def list_cells(request: pb.ListCellsRequest, call: Call) -> pb.ListCellsResponse:
    plan = await versions.plan(call.db, request.plan_id)
    period = periods.parse(request.period, call.rules(FiscalCalendar)) if request.period else None
    kind, holder, start, after = pages.after(request, "", "", "-infinity", FIRST_ID)
    params = {
        "plan_id": plan.id,
        "number": request.version or plan.version_in_force,
        "grain": period_shapes.grain(request.grain),
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "person_id": request.person_id,
        "target_id": request.target_id,
        "metric": request.metric,
        "since": period.start if period else None,
        "until": period.end if period else None,
        "kind": kind,
        "holder": holder,
        "start": start,
        "target": after,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.CELLS, params, into=Cell)
    page, token = pages.split(
        rows, request, lambda row: (row.holder_kind, row.holder_id, row.start_date.isoformat(), row.target_id)
    )
    return pb.ListCellsResponse(cells=[cell(row) for row in page], next_page_token=token)


async def weeks_of(call: Call, target_id: str) -> list[Cell]:
    return await call.db.all(store.OF_TARGET, {"id": target_id, "grain": "week"}, into=Cell)


def cell(row: Cell) -> pb.Cell:
    return pb.Cell(
        target_id=row.target_id,
        holder=holders.to_proto(row.holder_kind, row.holder_id),
        metric=row.metric,
        scope=TargetScope(product_id=row.product_id, product_line=row.product_line, segment=row.segment),
        period=period_shapes.stored(row.period, row.grain, row.start_date, row.end_date),
        amount=amounts.amount(row.minor, row.currency),
    )


def _known(target: Target | None, target_id: str) -> Target:
    if target is None:
        raise errors.NotFound("TARGET_NOT_FOUND", f"there is no target {target_id}")
    return target


def _calendars(call: Call) -> Callable[[str], str]:
    """The business calendar of a unit."""

    def calendar(unit_id: str) -> str:
        unit = call.org.unit(unit_id)
        return unit.calendar if unit else ""

    return calendar


def _targets(call: Call, split: run.Split, cascade_id: str) -> Iterator[Target]:
    """Every node as a target, parents before children."""
    top = split.target
    for branch in split.branches:
        parent = top
        if branch.product_id:
            parent = _made(
                call,
                split,
                top,
                cascade_id,
                ("unit", top.holder_id),
                top.unit_id,
                branch.base,
                branch.base,
                branch.weight,
            )
            parent = replace(parent, product_id=branch.product_id)
            yield parent
        made: list[Target] = []
        for node in branch.nodes:
            above = parent if node.parent is None else made[node.parent]
            made.append(
                _made(call, split, above, cascade_id, node.key, node.unit_id, node.base, node.amount, node.weight)
            )
        yield from made


def _weight(split: run.Split, weight: Fraction) -> Decimal | None:
    """What a child of a mean counts in it; sums need none."""
    return None if split.manner.adds_up else Decimal(f"{float(weight):.6f}")


def _made(
    call: Call,
    split: run.Split,
    above: Target,
    cascade_id: str,
    holder: tuple[Any, str],
    unit_id: str,
    base: int,
    amount: int,
    weight: Fraction,
) -> Target:
    leader = call.org.manager_of(unit_id)
    unit = call.org.unit(unit_id)
    kind = REP if holder[0] == "person" else unit.kind if unit else ""
    layers = () if amount == base else split.layers(kind)
    return replace(
        above,
        id=ids.new_id(),
        parent_id=above.id,
        holder_kind=holder[0],
        holder_id=holder[1],
        depth=above.depth + 1,
        minor=amount,
        base_minor=base,
        padding=[
            {"name": one.name, "ratio": one.ratio, "reason": one.reason, "author_id": call.actor} for one in layers
        ],
        owner_id=holder[1] if holder[0] == "person" else leader.id if leader else "",
        unit_id=unit_id,
        statement="",
        strategy="",
        cascade_id=cascade_id or None,
        counts=(above.holder_kind, above.holder_id) != holder,
        custom_fields={},
        source="",
        source_id="",
        provenance={},
        version=1,
        updated_at=call.now,
        weight=_weight(split, weight),
        passed_minor=None,
    )


def _allocations(split: run.Split, targets: Sequence[Target], cascade_id: str) -> list[Allocation]:
    """Level by level, by holder."""
    by_id = {target.id: target for target in (split.target, *targets)}
    found: list[tuple[Target, Why]] = []
    at = iter(targets)
    for branch in split.branches:
        if branch.product_id:
            found.append(
                (next(at), (split.method or "even", False, False, branch.weight, branch.share, branch.rounding))
            )
        found += [
            (next(at), (node.method, node.fell_back, node.pinned, node.weight, node.share, node.rounding))
            for node in branch.nodes
        ]
    found.sort(key=lambda one: (one[0].depth, one[0].holder_kind, one[0].holder_id, one[0].product_id))
    return [
        _allocation(cascade_id, position, target, by_id[target.parent_id or ""], why)
        for position, (target, why) in enumerate(found)
    ]


def _allocation(cascade_id: str, position: int, target: Target, above: Target, why: Why) -> Allocation:
    method, fell_back, pinned, weight, share, rounding = why
    return Allocation(
        cascade_id=cascade_id,
        position=position,
        target_id=target.id,
        holder_kind=target.holder_kind,
        holder_id=target.holder_id,
        unit_id=target.unit_id,
        parent_kind=above.holder_kind,
        parent_id=above.holder_id,
        depth=target.depth,
        product_id=target.product_id,
        product_line=target.product_line,
        segment=target.segment,
        minor=target.minor,
        base_minor=target.base_minor,
        method=method,
        fell_back=fell_back,
        pinned=pinned,
        weight=f"{float(weight):.6f}".rstrip("0").rstrip("."),
        share_ratio=share,
        rounding_minor=rounding,
    )


def _cascade(
    call: Call, split: run.Split, targets: Sequence[Target], cells: int, rules: pb.CascadeRules, cascade_id: str
) -> Cascade:
    top = split.target
    parents = {target.parent_id for target in targets}
    leaves = [target for target in targets if target.id not in parents]
    if split.manner.adds_up:
        allocated = sum(target.base_minor for target in leaves)
        padding = sum(target.minor - target.base_minor for target in targets)
    else:
        weights = _whole_weights(split.target, targets)
        allocated = split.manner.together([(target.base_minor, weights[target.id]) for target in leaves])
        padding = split.manner.together([(target.minor, weights[target.id]) for target in leaves]) - allocated
    return Cascade(
        id=cascade_id,
        plan_id=top.plan_id,
        number=top.number,
        target_id=top.id,
        unit_id=top.unit_id,
        owner_id=top.owner_id,
        rules=json_format.MessageToDict(rules),
        minor=top.base_minor,
        allocated_minor=allocated,
        padding_minor=padding,
        currency=top.currency,
        node_count=len(targets),
        cell_count=cells,
        author_id=call.caller.subject,
        run_at=call.now,
        shape=_kept(split.course.whole) if split.course.whole else None,
        product_shapes={product: _kept(shape) for product, shape in split.course.products.items()} or None,
        time_profile=enums.word(pb.TimeProfile, split.course.profile),
        time_note=split.course.note,
    )


def _kept(shape: Shape) -> dict[str, str]:
    return {day.isoformat(): str(weight) for day, weight in shape.items()}


def _whole_weights(top: Target, targets: Sequence[Target]) -> dict[str, Fraction]:
    """What each target counts in the one that was split: its share among its siblings of what its parent counts."""
    beside: dict[str | None, Fraction] = {}
    for target in targets:
        beside[target.parent_id] = beside.get(target.parent_id, Fraction(0)) + Fraction(target.weight or 0)
    found = {top.id: Fraction(1)}
    for target in targets:
        total = beside[target.parent_id]
        found[target.id] = (
            found[target.parent_id or ""] * Fraction(target.weight or 0) / total if total else Fraction(0)
        )
    return found


def _to_proto(row: Cascade, allocations: Sequence[Allocation], token: str) -> pb.Cascade:
    return pb.Cascade(
        id=row.id,
        plan_id=row.plan_id,
        version=row.number,
        target_id=row.target_id,
        rules=json_format.ParseDict(row.rules, pb.CascadeRules()),
        amount=amounts.amount(row.minor, row.currency),
        node_count=row.node_count,
        cell_count=row.cell_count,
        allocated=amounts.amount(row.allocated_minor, row.currency),
        padding=amounts.amount(row.padding_minor, row.currency),
        allocations=[_shown(one, row.currency) for one in allocations],
        next_page_token=token,
        author_id=row.author_id,
        run_time=protos.timestamp(row.run_at),
        time_profile=enums.number(pb.TimeProfile, row.time_profile),
        time_note=row.time_note,
    )


def _shown(row: Allocation, currency: str) -> pb.Allocation:
    return pb.Allocation(
        target_id=row.target_id,
        holder=holders.to_proto(row.holder_kind, row.holder_id),
        parent=holders.to_proto(row.parent_kind, row.parent_id),
        depth=row.depth,
        scope=TargetScope(product_id=row.product_id, product_line=row.product_line, segment=row.segment),
        amount=amounts.amount(row.minor, currency),
        base_amount=amounts.amount(row.base_minor, currency),
        method=pb.AllocationMethod.Value(f"ALLOCATION_METHOD_{row.method.upper()}"),
        fell_back=row.fell_back,
        pinned=row.pinned,
        weight=amounts.decimal(float(row.weight)),
        share_ratio=row.share_ratio,
        rounding=amounts.amount(row.rounding_minor, currency),
    )
