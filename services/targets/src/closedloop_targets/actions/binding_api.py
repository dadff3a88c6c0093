"""Actions bound to targets, and unbound."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from closedloop.targets.v1 import actions_pb2 as pb
from closedloop_chassis import errors, etags, ids, pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.actions import shapes, store
from closedloop_targets.actions.rpcs import rpcs
from closedloop_targets.actions.rules import ActionRules
from closedloop_targets.book import bindings, versions
from closedloop_targets.book.bindings import Binding
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def bind_actions(request: pb.BindActionsRequest, call: Call) -> pb.BindActionsResponse:
    line = await call.tx.all(store.BELOW, {"id": request.target_id, "below": request.include_below})
    if not line:
        raise errors.NotFound("TARGET_NOT_FOUND", f"there is no target {request.target_id}")
    for one in line:
        call.authorize("", one["unit_id"])
    version = await versions.lock_version(call.tx, line[0]["plan_id"], line[0]["number"])
    if version.state not in ("draft", "scheduled", "in_force"):
        raise errors.FailedPrecondition("VERSION_NOT_DRAFT", f"version {version.number} is {version.state}")
    made = [_made(call, given, one) for one in line for given in request.bindings]
    bindings.add(call.tx, made)
    if version.state == "in_force":
        bindings.plan(call, made)
    else:
        call.tx.do(versions.TOUCH, {"plan_id": version.plan_id, "number": version.number})
    call.audit(
        f"target:{request.target_id}",
        "bind_actions",
        after={"kinds": [one.kind for one in request.bindings], "bound": len(made)},
    )
    own = [one.id for one in made if one.target_id == line[0]["id"]]
    found = {row.id: row for row in await call.tx.all(store.BY_ID, {"ids": own}, into=Binding)}
    return pb.BindActionsResponse(bindings=[shapes.binding(found[one]) for one in own], bound_count=len(made))


@rpcs.method
async def end_binding(request: pb.EndBindingRequest, call: Call) -> pb.ActionBinding:
    binding = await call.tx.one(store.LOCK_BINDING, {"id": request.binding_id}, into=Binding)
    if binding is None:
        raise errors.NotFound("BINDING_NOT_FOUND", f"there is no binding {request.binding_id}")
    call.authorize("", binding.unit_id)
    etags.check(request.etag, binding.version)
    day = protos.day(request.end_date, "end_date") if request.HasField("end_date") else call.home.today()
    [target] = await call.tx.all(store.BELOW, {"id": binding.target_id, "below": False})
    version = await versions.version(call.tx, target["plan_id"], target["number"])
    leads = await call.tx.value(store.PASSED_ON, {"id": binding.target_id})
    least = call.rules(ActionRules).least(bool(leads))
    remaining = await call.tx.value(store.REMAINING, {"target_id": binding.target_id, "id": binding.id, "day": day})
    if version.state == "in_force" and remaining < least:
        raise errors.FailedPrecondition(
            "TOO_FEW_ACTIONS", f"{remaining} actions would be left, {least} carry a target in force"
        )
    last = min(day - timedelta(days=1), binding.end_date)
    call.tx.do(store.END, {"id": binding.id, "last": last})
    call.tx.do(store.CANCEL_FROM, {"id": binding.id, "day": day})
    call.audit(
        f"target:{binding.target_id}",
        "end_binding",
        before={"kind": binding.kind, "end_date": binding.end_date},
        after={"kind": binding.kind, "end_date": last},
        business_action=request.reason,
    )
    [row] = await call.tx.all(store.BY_ID, {"ids": [binding.id]}, into=Binding)
    return shapes.binding(row)


@rpcs.method
async def list_bindings(request: pb.ListBindingsRequest, call: Call) -> pb.ListBindingsResponse:
    (after,) = pages.after(request, FIRST_ID)
    if request.unit_id:
        await company.unit(call, request.unit_id)
    period = periods.parse(request.period, call.rules(FiscalCalendar)) if request.period else None
    params = {
        "after": after,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "person_id": request.person_id,
        "target_id": request.target_id,
        "kind": request.kind,
        "since": period.start if period else None,
        "until": period.end if period else None,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LIST, params, into=Binding)
    page, token = pages.split(rows, request, lambda row: (row.id,))
    return pb.ListBindingsResponse(bindings=[shapes.binding(row) for row in page], next_page_token=token)


def _made(call: Call, given: pb.BindingInput, target: dict[str, Any]) -> Binding:
    kind = call.rules(ActionRules).kind(given.kind)
    metric = call.rules(MetricRules).metric(given.result_metric or kind.result_metric).code
    first: date = protos.day(given.start_date, "start_date") if given.HasField("start_date") else target["start_date"]
    last: date = protos.day(given.end_date, "end_date") if given.HasField("end_date") else target["end_date"]
    if first < target["start_date"] or last > target["end_date"] or last < first:
        raise errors.FailedPrecondition(
            "PERIOD_OUTSIDE_TARGET",
            f"{first} to {last} does not lie inside {target['start_date']} to {target['end_date']}",
        )
    return Binding(
        id=ids.new_id(),
        target_id=target["id"],
        owner_id=target["owner_id"],
        unit_id=target["unit_id"],
        kind=kind.code,
        name=given.name or kind.name,
        verification=kind.verification,
        result_metric=metric,
        quantity=given.quantity,
        start_date=first,
        end_date=last,
        subject=given.subject,
    )


async def of_target(call: Call, target_id: str) -> list[pb.ActionBinding]:
    request = pb.ListBindingsRequest(target_id=target_id, page_size=pages.LARGEST)
    return list((await list_bindings(request, call)).bindings)
