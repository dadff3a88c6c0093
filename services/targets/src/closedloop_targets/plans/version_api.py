"""Versions of a plan: opened, looked at, published, recalled, dropped, compared."""

from __future__ import annotations

from datetime import date
from typing import Any

from google.protobuf import json_format
from psycopg.types.json import Jsonb

from closedloop.common.v1.common_pb2 import Ownership
from closedloop.targets.v1 import events_pb2, periods_pb2
from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.rulebook.rules import LONGEST
from closedloop_chassis.work import Call, Work
from closedloop_targets import amounts
from closedloop_targets.book import bindings, exceptions, versions
from closedloop_targets.book import targets as target_store
from closedloop_targets.book.model import Plan, Version
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import carrying, circumstances, obstacles, planned, rules, shapes, spreading, store
from closedloop_targets.plans.rpcs import rpcs
from closedloop_targets.plans.rules import PlanRules

PLAN_DAY = "targets.plan_day"
FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def create_plan_version(request: pb.CreatePlanVersionRequest, call: Call) -> pb.PlanVersion:
    plan = await store.lock_plan(call.tx, request.plan_id)
    call.authorize(plan.owner_id, plan.unit_id)
    base = request.base_version or plan.version_in_force
    if base:
        await versions.version(call.tx, plan.id, base)
    number = plan.latest_version + 1
    cause = pb.RevisionCause.Name(request.cause).removeprefix("REVISION_CAUSE_").lower()
    evidence = await circumstances.evidence(call, plan, cause, request.evidence)
    row = {
        "plan_id": plan.id,
        "number": number,
        "base_version": base,
        "opened_under": plan.version_in_force,
        "cause": cause,
        "reason": request.reason,
        "evidence": Jsonb([json_format.MessageToDict(one) for one in evidence]),
        "author_id": call.caller.subject,
        "now": call.now,
    }
    call.tx.do(store.ADD_VERSION, row)
    call.tx.do(target_store.COPY, {"plan_id": plan.id, "base": base, "number": number, "now": call.now})
    call.tx.do(bindings.COPY, {"plan_id": plan.id, "base": base, "number": number})
    call.tx.do(store.PLAN_MOVED, {"id": plan.id, "in_force": plan.version_in_force, "latest": number, "now": call.now})
    call.audit(
        f"plan:{plan.id}",
        "open_version",
        after={"version": number, "base_version": base, "cause": row["cause"]},
        business_action=request.reason,
    )
    [figures] = await store.versions(call, call.tx, plan.id, number=number)
    return shapes.version(figures)


@rpcs.method
async def get_plan_version(request: pb.GetPlanVersionRequest, call: Call) -> pb.PlanVersion:
    plan = await versions.plan(call.db, request.plan_id)
    number = request.version or plan.version_in_force
    figures = await store.versions(call, call.db, plan.id, number=number or -1)
    if not figures:
        raise errors.NotFound("VERSION_NOT_FOUND", f"plan {plan.id} has no version {number or 'in force'}")
    await store.may_look(call, plan, number)
    if figures[0].version.state != "draft":
        return shapes.version(figures[0])
    found = await obstacles.find(call, call.db, plan, number)
    return shapes.version(figures[0], found, call.rules(PlanRules).listed_obstacles)


@rpcs.method
async def list_plan_versions(request: pb.ListPlanVersionsRequest, call: Call) -> pb.ListPlanVersionsResponse:
    plan = await versions.plan(call.db, request.plan_id)
    await store.may_look(call, plan, plan.version_in_force)
    (before,) = pages.after(request, 2**31 - 1)
    state = pb.PlanVersionState.Name(request.state).removeprefix("PLAN_VERSION_STATE_").lower() if request.state else ""
    rows = await store.versions(call, call.db, plan.id, before=before, state=state, limit=pages.size(request) + 1)
    page, token = pages.split(rows, request, lambda row: (row.version.number,))
    return pb.ListPlanVersionsResponse(versions=[shapes.version(row) for row in page], next_page_token=token)


@rpcs.method
async def publish_plan_version(request: pb.PublishPlanVersionRequest, call: Call) -> pb.PlanVersion:
    plan, version = await _locked(call, request.plan_id, request.version)
    etags.check(request.etag, version.version)
    version.must_be_draft()
    if plan.version_in_force not in (version.opened_under, version.base_version):
        raise errors.FailedPrecondition(
            "BASE_VERSION_SUPERSEDED",
            f"version {plan.version_in_force} was published since this draft was opened; open a new one",
        )
    today = call.home.today()
    day = protos.day(request.effective_date, "effective_date") if request.HasField("effective_date") else today
    waiting = await call.tx.one(store.WAITING, {"plan_id": plan.id, "number": version.number, "day": day})
    if waiting is not None:
        raise _scheduled(waiting, "recall it, or open a draft of it for that day or later")
    rules.refuse(await obstacles.find(call, call.tx, plan, version.number))
    await planned.book(call, plan)
    for counting in (target_store.COUNT, target_store.COUNT_ONCE):
        call.tx.do(counting, {"plan_id": plan.id, "number": version.number})
    await spreading.complete(call, plan, version.number)
    await carrying.complete(call, plan, version.number)
    params = {
        "plan_id": plan.id,
        "number": version.number,
        "effective_date": day,
        "actor": call.caller.subject,
        "now": call.now,
    }
    call.tx.do(store.PUBLISH, {**params, "state": "scheduled"})
    if day > today:
        _wait_for(call, plan, version.number, day)
    else:
        await bring_into_force(call, plan, version.number)
    call.audit(
        f"plan:{plan.id}",
        "publish",
        before={"version_in_force": plan.version_in_force},
        after={"version_in_force": version.number if day <= today else plan.version_in_force, "effective_date": day},
        business_action=version.reason,
    )
    [figures] = await store.versions(call, call.tx, plan.id, number=version.number)
    return shapes.version(figures)


@rpcs.method
async def recall_plan_version(request: pb.RecallPlanVersionRequest, call: Call) -> pb.PlanVersion:
    plan, version = await _locked(call, request.plan_id, request.version)
    etags.check(request.etag, version.version)
    if version.state not in ("in_force", "scheduled"):
        raise errors.FailedPrecondition("VERSION_NOT_IN_FORCE", f"version {version.number} is {version.state}")
    after = {"plan_id": plan.id, "number": version.number, "day": version.effective_date}
    if (waiting := await call.tx.one(store.SCHEDULED_AFTER, after)) is not None:
        # It was made for a plan in which this one holds, and would bring its numbers back on its day.
        raise _scheduled(waiting, "recall it first")
    params = {"plan_id": plan.id, "number": version.number, "actor": call.caller.subject, "now": call.now}
    call.tx.do(store.RECALL, {**params, "reason": request.reason})
    in_force = plan.version_in_force
    if version.state == "scheduled":
        call.timers.cancel(PLAN_DAY, f"{plan.id}:{version.number}")
        # Scheduled by a release before there were timers.
        call.clocks.cancel(PLAN_DAY, f"{plan.id}:{version.number}")
    else:
        in_force = await call.tx.value(store.BEFORE_IT, {"plan_id": plan.id}) or 0
        call.tx.do(store.SET_STATE, {"plan_id": plan.id, "numbers": [in_force], "state": "in_force"})
        call.tx.do(store.PLAN_MOVED, {"id": plan.id, "in_force": in_force, "latest": 0, "now": call.now})
        await bindings.recalled(call, plan.id, version.number, in_force)
    call.tell(
        events_pb2.PlanRecalled(
            plan_id=plan.id,
            name=plan.name,
            version=version.number,
            version_in_force=in_force,
            ownership=Ownership(owner_id=plan.owner_id, unit_id=plan.unit_id),
            period=_period(call, plan),
            reason=request.reason,
            recalled_by=call.caller.subject,
        ),
        subject=plan.id,
    )
    call.audit(
        f"plan:{plan.id}",
        "recall",
        before={"version_in_force": plan.version_in_force},
        after={"version_in_force": in_force, "recalled": version.number},
        business_action=request.reason,
    )
    [figures] = await store.versions(call, call.tx, plan.id, number=version.number)
    return shapes.version(figures)


@rpcs.method
async def discard_plan_version(request: pb.DiscardPlanVersionRequest, call: Call) -> pb.PlanVersion:
    plan, version = await _locked(call, request.plan_id, request.version)
    etags.check(request.etag, version.version)
    version.must_be_draft()
    call.tx.do(store.SET_STATE, {"plan_id": plan.id, "numbers": [version.number], "state": "discarded"})
    await exceptions.lapse(call, plan.id, version.number, everything=True)
    call.audit(
        f"plan:{plan.id}", "discard", before={"state": "draft"}, after={"state": "discarded", "version": version.number}
    )
    [figures] = await store.versions(call, call.tx, plan.id, number=version.number)
    return shapes.version(figures)


@rpcs.method
async def compare_plan_versions(request: pb.ComparePlanVersionsRequest, call: Call) -> pb.ComparePlanVersionsResponse:
    plan = await versions.plan(call.db, request.plan_id)
    both = {}
    for number in (request.before, request.after):
        figures = await store.versions(call, call.db, plan.id, number=number)
        if not figures:
            raise errors.NotFound("VERSION_NOT_FOUND", f"plan {plan.id} has no version {number}")
        await store.may_look(call, plan, number)
        both[number] = figures[0]
    key, key_id = pages.after(request, -(2**62), FIRST_ID)
    params = {
        "plan_id": plan.id,
        "before": request.before,
        "after": request.after,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "metric": request.metric,
        "key": key,
        "key_id": key_id,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(target_store.COMPARE, params)
    page, token = pages.split(rows, request, lambda row: (-abs(row["difference"]), row["id"]))
    wanted = {row[side] for row in page for side in ("before_id", "after_id") if row[side]}
    targets = await target_store.by_id(call, call.db, wanted) if wanted else {}
    changes = []
    for row in page:
        before, after = (targets.get(row[side] or "") for side in ("before_id", "after_id"))
        known = after or before
        assert known is not None
        shown = shapes.target(known, call)
        changes.append(
            pb.TargetChange(
                holder=shown.holder,
                metric=shown.metric,
                scope=shown.scope,
                period=shown.period,
                before=shapes.target(before, call) if before else None,
                after=shapes.target(after, call) if after else None,
                difference=amounts.amount(row["difference"], known.currency),
                difference_ratio=row["difference"] / row["was"] if row["was"] else 0,
            )
        )
    return pb.ComparePlanVersionsResponse(
        before=shapes.version(both[request.before]),
        after=shapes.version(both[request.after]),
        changes=changes,
        next_page_token=token,
    )


async def bring_into_force(work: Work, plan: Plan, number: int) -> None:
    """The version before it is superseded from now on. One round trip."""
    if plan.version_in_force:
        work.tx.do(store.SET_STATE, {"plan_id": plan.id, "numbers": [plan.version_in_force], "state": "superseded"})
    work.tx.do(store.SET_STATE, {"plan_id": plan.id, "numbers": [number], "state": "in_force"})
    work.tx.do(store.PLAN_MOVED, {"id": plan.id, "in_force": number, "latest": 0, "now": work.now})
    await bindings.in_force(work, plan.id, number, plan.version_in_force)
    [figures] = await store.versions(work, work.tx, plan.id, number=number)
    version = figures.version
    work.tell(
        events_pb2.PlanPublished(
            plan_id=plan.id,
            name=plan.name,
            version=number,
            ownership=Ownership(owner_id=plan.owner_id, unit_id=plan.unit_id),
            period=_period(work, plan),
            totals=shapes.totals(figures),
            cause=pb.RevisionCause.Value(f"REVISION_CAUSE_{version.cause.upper()}"),
            reason=version.reason,
            published_by=version.published_by,
            effective_date=protos.date_proto(version.effective_date),
        ),
        subject=plan.id,
    )


def _scheduled(waiting: dict[str, Any], what_to_do: str) -> errors.FailedPrecondition:
    return errors.FailedPrecondition(
        "VERSION_SCHEDULED",
        f"version {waiting['number']} takes force on {waiting['effective_date']}, and one would undo the other; {what_to_do}",
        version=waiting["number"],
        effective_date=str(waiting["effective_date"]),
    )


async def _locked(call: Call, plan_id: str, number: int) -> tuple[Plan, Version]:
    plan = await store.lock_plan(call.tx, plan_id)
    call.authorize(plan.owner_id, plan.unit_id)
    return plan, await versions.lock_version(call.tx, plan_id, number)


def _wait_for(call: Call, plan: Plan, number: int, day: date) -> None:
    midnight = call.home.moment(day)
    if midnight - call.now > LONGEST:
        raise errors.InvalidArgument(
            "DATE_TOO_FAR", "a version is scheduled ten years ahead at most", {"effective_date": "too far"}
        )
    call.timers.set(PLAN_DAY, f"{plan.id}:{number}", midnight)


def _period(work: Work, plan: Plan) -> periods_pb2.Period:
    return period_shapes.to_proto(periods.parse(plan.period, work.rules(FiscalCalendar)), work, plan.unit_id)
