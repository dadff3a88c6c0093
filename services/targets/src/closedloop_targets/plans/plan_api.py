"""Plans: made, read, changed."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from google.protobuf.struct_pb2 import Struct
from psycopg.types.json import Jsonb

from closedloop.targets.v1 import plans_pb2 as pb
from closedloop_chassis import errors, etags, ids, masks, pages, structs
from closedloop_chassis.data import patterns
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.book import versions
from closedloop_targets.book.model import Plan
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar
from closedloop_targets.plans import shapes, store
from closedloop_targets.plans.rpcs import rpcs
from closedloop_targets.plans.rules import PlanRules

PATHS = frozenset({"name", "owner_id", "must_sum", "strategy", "custom_fields"})
LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@rpcs.method
async def create_plan(request: pb.CreatePlanRequest, call: Call) -> pb.Plan:
    unit = await company.unit(call, request.unit_id)
    call.authorize("", unit.id)
    if request.owner_id:
        await company.person(call, request.owner_id)
    period = periods.parse(request.period, call.rules(FiscalCalendar))
    if request.HasField("must_sum") and not request.must_sum:
        _check_reason(request.must_sum_reason)
    plan = Plan(
        id=ids.new_id(),
        name=request.name,
        unit_id=unit.id,
        owner_id=request.owner_id or call.caller.subject,
        period=period.code,
        start_date=period.start,
        end_date=period.end,
        currency=request.currency_code or call.home.currency,
        must_sum=request.must_sum if request.HasField("must_sum") else call.rules(PlanRules).must_sum,
        strategy=request.strategy,
        custom_fields=_own(request.custom_fields, call),
        version_in_force=0,
        latest_version=1,
        version=1,
        created_at=call.now,
        updated_at=call.now,
        must_sum_reason="" if request.must_sum else request.must_sum_reason,
    )
    answer = shapes.plan(plan, call)
    row = {**asdict(plan), "custom_fields": Jsonb(plan.custom_fields), "now": call.now}
    call.tx.do(store.LOCK_UNIT, row)
    other = await call.tx.one(store.OVERLAPPING, row)
    if other is not None:
        raise errors.AlreadyExists(
            "PLAN_OVERLAPS", f"{other['name']!r} covers part of {period.code} already", plan_id=other["id"]
        )
    call.tx.do(store.ADD_PLAN, row)
    first = {"plan_id": plan.id, "number": 1, "base_version": 0, "opened_under": 0, "cause": "initial", "reason": ""}
    call.tx.do(store.ADD_VERSION, {**first, "evidence": Jsonb([]), "author_id": call.caller.subject, "now": call.now})
    call.audit(f"plan:{plan.id}", "create", after=_audited(plan))
    return answer


@rpcs.method
async def get_plan(request: pb.GetPlanRequest, call: Call) -> pb.Plan:
    return shapes.plan(await versions.plan(call.db, request.plan_id), call)


@rpcs.method
async def list_plans(request: pb.ListPlansRequest, call: Call) -> pb.ListPlansResponse:
    before, before_id = pages.after(request, "infinity", LAST)
    period = periods.parse(request.period, call.rules(FiscalCalendar)) if request.period else None
    if request.unit_id:
        await company.unit(call, request.unit_id)
    params = {
        "before": before,
        "before_id": before_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "since": period.start if period else None,
        "until": period.end if period else None,
        "query": request.query,
        "like": patterns.containing(request.query),
        "limit": pages.size(request) + 1,
    }
    rows = await call.db.all(store.LIST_PLANS, params, into=Plan)
    page, token = pages.split(rows, request, lambda row: (row.start_date.isoformat(), row.id))
    return pb.ListPlansResponse(plans=[shapes.plan(row, call) for row in page], next_page_token=token)


@rpcs.method
async def update_plan(request: pb.UpdatePlanRequest, call: Call) -> pb.Plan:
    before = await store.lock_plan(call.tx, request.plan_id)
    call.authorize(before.owner_id, before.unit_id)
    etags.check(request.etag, before.version)
    paths = masks.some(request.update_mask, PATHS)
    if "name" in paths and not request.name:
        raise errors.InvalidArgument("PLAN_INCOMPLETE", "a plan has a name", {"name": "is needed"})
    if "owner_id" in paths:
        await company.person(call, request.owner_id)
    if "must_sum" in paths and before.must_sum and not request.must_sum and before.version_in_force:
        raise errors.FailedPrecondition(
            "MUST_SUM_IN_FORCE", f"version {before.version_in_force} was published under it"
        )
    given = {path: getattr(request, path) for path in paths - {"custom_fields"}}
    if "must_sum" in paths:
        if before.must_sum and not request.must_sum:
            _check_reason(request.must_sum_reason)
        given["must_sum_reason"] = "" if request.must_sum else request.must_sum_reason or before.must_sum_reason
    if "custom_fields" in paths:
        given["custom_fields"] = _own(request.custom_fields, call)
    after = replace(before, **given, version=before.version + 1, updated_at=call.now)
    call.tx.do(store.UPDATE_PLAN, {**asdict(after), "custom_fields": Jsonb(after.custom_fields), "now": call.now})
    call.audit(f"plan:{after.id}", "update", before=_audited(before), after=_audited(after))
    return shapes.plan(after, call)


def _check_reason(reason: str) -> None:
    """Off, no difference of the plan needs a signature any more. Raises InvalidArgument MUST_SUM_REASON_MISSING."""
    if not reason.strip():
        raise errors.InvalidArgument(
            "MUST_SUM_REASON_MISSING",
            "say why the children of this plan need not sum to their parent",
            {"must_sum_reason": "is needed"},
        )


def _own(given: Struct, call: Call) -> dict[str, Any]:
    values = structs.plain(given)
    call.rules(TargetFieldRules).check("plan", values)
    return values


def _audited(plan: Plan) -> dict[str, object]:
    hidden = ("id", "version", "created_at", "updated_at", "version_in_force", "latest_version")
    return {name: value for name, value in asdict(plan).items() if name not in hidden}
