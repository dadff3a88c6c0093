"""Targets of a draft: tried, entered, removed; and read."""

from __future__ import annotations

from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import errors, etags, pages
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, amounts, company, holders
from closedloop_targets.book import exceptions, versions
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import Target
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import drafting, entering, obstacles, shapes, store
from closedloop_targets.plans.rpcs import rpcs

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def check_targets(request: pb.CheckTargetsRequest, call: Call) -> pb.CheckTargetsResponse:
    plan, number = None, 0
    if request.plan_id:
        plan = await versions.plan(call.db, request.plan_id)
        number = request.version or plan.latest_version
        await versions.version(call.db, plan.id, number)
    sketches = drafting.read(call, request.targets, plan)
    for sketch in sketches:
        if sketch.holder is not None:
            call.authorize(sketch.holder[1] if sketch.holder[0] == "person" else "", sketch.unit_id)
    near = await drafting.neighbours(call.db, plan, number, sketches, call.org) if plan else drafting.Neighbours()
    await drafting.hold_against(call, call.db, sketches, near, plan)
    return pb.CheckTargetsResponse(checks=[shapes.smart_check(sketch, call) for sketch in sketches])


@rpcs.method
async def set_target(request: pb.SetTargetRequest, call: Call) -> pb.Target:
    version = await versions.lock_version(call.tx, request.plan_id, request.version)
    version.must_be_draft()
    plan = await versions.plan(call.tx, request.plan_id)
    [sketch] = drafting.read(call, [request.target], plan)
    near = await drafting.neighbours(call.tx, plan, version.number, [sketch], call.org)
    known = entering.known(sketch, near)
    if known is not None:
        call.authorize("", known.unit_id)
        if not request.etag:
            raise errors.InvalidArgument("ETAG_MISSING", "say the etag of the target you change", {"etag": "is needed"})
        etags.check(request.etag, known.version)
    await drafting.hold_against(call, call.tx, [sketch], near, plan)
    target = entering.entered(call, plan, version.number, sketch, near, known)
    call.authorize("", target.unit_id)
    if target != known:
        entering.save(call, [target], near)
        await exceptions.lapse(call, plan.id, version.number)
        call.audit(
            f"target:{target.id}",
            "set",
            before=entering.audited(known) if known else {},
            after=entering.audited(target),
        )
    return shapes.target(target, call, shapes.smart_check(sketch, call))


@rpcs.method
async def remove_target(request: pb.RemoveTargetRequest, call: Call) -> pb.PlanVersion:
    target = await target_store.lock(call.tx, request.target_id)
    if target is None:
        raise errors.NotFound("TARGET_NOT_FOUND", f"there is no target {request.target_id}")
    call.authorize("", target.unit_id)
    (await versions.lock_version(call.tx, target.plan_id, target.number)).must_be_draft()
    etags.check(request.etag, target.version)
    call.tx.do(target_store.FORGET_CELLS, {"ids": [target.id]})
    call.tx.do(target_store.REMOVE_BELOW, {"id": target.id})
    call.tx.do(target_store.REMOVE, {"id": target.id})
    call.tx.do(versions.TOUCH, {"plan_id": target.plan_id, "number": target.number})
    await exceptions.lapse(call, target.plan_id, target.number)
    call.audit(f"target:{target.id}", "remove", before=entering.audited(target))
    [figures] = await store.versions(call, call.tx, target.plan_id, number=target.number)
    return shapes.version(figures)


@rpcs.method
async def get_target(request: pb.GetTargetRequest, call: Call) -> pb.Target:
    found = (await target_store.by_id(call, call.db, (request.target_id,))).get(request.target_id)
    if found is None:
        raise errors.NotFound("TARGET_NOT_FOUND", f"there is no target {request.target_id}")
    call.authorize(found.owner_id, found.unit_id)
    plan = await versions.plan(call.db, found.plan_id)
    findings = await obstacles.checks(call, call.db, plan, [found])
    return shapes.target(found, call, shapes.findings(findings[found.id], call, _understood(found)))


@rpcs.method
async def list_targets(request: pb.ListTargetsRequest, call: Call) -> pb.ListTargetsResponse:
    plan = await versions.plan(call.db, request.plan_id)
    depth, after = pages.after(request, -1, FIRST_ID)
    period = periods.parse(request.period, call.rules(FiscalCalendar)) if request.period else None
    units, people_of = None, None
    if request.unit_id or request.max_depth:
        top = request.unit_id or plan.unit_id
        await company.unit(call, top)
        units, people_of = _levels(call, top, request.max_depth)
    params = {
        "plan_id": plan.id,
        "number": request.version or plan.version_in_force,
        "depth": depth,
        "id": after,
        "units": units,
        "people_of": people_of,
        "person_id": request.person_id,
        "parent_id": request.parent_id,
        "metric": request.metric,
        "product_id": request.scope.product_id,
        "product_line": request.scope.product_line,
        "segment": request.scope.segment,
        "since": period.start if period else None,
        "until": period.end if period else None,
        "limit": pages.size(request) + 1,
        **call.scope.params,
        **aggregation.manners(call),
    }
    rows = await call.db.all(target_store.LIST, params, into=Target)
    page, token = pages.split(rows, request, lambda row: (row.depth, row.id))
    return pb.ListTargetsResponse(targets=[shapes.target(row, call) for row in page], next_page_token=token)


def _levels(call: Call, top: str, depth: int) -> tuple[list[str], list[str]]:
    """Units within so many levels, and those whose people are, too; people are one level below their unit."""
    near = {unit: len(list(call.org.ancestry(unit))) for unit in call.org.subtree(top)}
    first = near[top]
    units = [unit for unit, level in near.items() if not depth or level - first <= depth]
    return units, [unit for unit in units if not depth or near[unit] - first < depth]


def _understood(target: Target) -> pb.TargetInput:
    return pb.TargetInput(
        target_id=target.id,
        holder=holders.to_proto(target.holder_kind, target.holder_id),
        metric=target.metric,
        scope=pb.TargetScope(product_id=target.product_id, product_line=target.product_line, segment=target.segment),
        period=target.period,
        amount=amounts.amount(target.base_minor, target.currency),
        padding=[pb.Padding(**layer) for layer in target.padding],
        owner_id=target.owner_id,
        parent_id=target.parent_id or "",
        statement=target.statement,
        strategy=target.strategy,
    )
