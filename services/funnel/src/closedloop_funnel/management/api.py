"""ExperimentService, first half: management actions, with what each quarter brought (S95, S98)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from google.protobuf import json_format

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import errors, etags, masks, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.management import store
from closedloop_funnel.management.rules import ManagementRules
from closedloop_funnel.management.store import Action, Quarter, Seen
from closedloop_funnel.measures import measuring
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.ExperimentService")

PATHS = ("name", "description", "core", "end_date")


@rpcs.method
async def create_management_action(request: pb.CreateManagementActionRequest, call: Call) -> pb.ManagementAction:
    owner_id = request.owner_id or call.caller.subject
    owner = call.org.person(owner_id)
    if owner is None:
        raise errors.InvalidArgument("PERSON_UNKNOWN", f"nobody here is {owner_id}", {"owner_id": "unknown"})
    call.authorize(owner_id, owner.unit_id)
    start = protos.day(request.start_date, "start_date")
    most = call.rules(ManagementRules).most_days_ago
    if start < call.home.today() - timedelta(days=most):
        said = f"{most} days ago at the most"
        raise errors.InvalidArgument("TOO_LONG_AGO", said, {"start_date": said})
    if start > call.home.today():
        raise errors.InvalidArgument("DATE_IN_FUTURE", f"{start} has not come yet", {"start_date": "in the future"})
    made = Action(
        id=new_id(),
        owner_id=owner_id,
        unit_id=owner.unit_id,
        name=request.name,
        description=request.description,
        metric_key=measuring.named(request.metric_key, call).key,
        core=request.core,
        start_date=start,
        created_at=call.now,
        updated_at=call.now,
    )
    call.tx.do(*rows.added("management_action", [made], Action))
    call.audit(made.id, "create", after=rows.row(made, "version", "updated_at"))
    return to_proto(made)


@rpcs.method
async def update_management_action(request: pb.UpdateManagementActionRequest, call: Call) -> pb.ManagementAction:
    before = await store.get(call.tx, request.action_id, lock=True)
    call.authorize(before.owner_id, before.unit_id)
    etags.check(request.etag, before.version)
    mask = masks.paths(request.update_mask, PATHS)
    changed: dict[str, Any] = {path: getattr(request, path) for path in mask & {"name", "description", "core"}}
    if not changed.get("name", "-"):
        raise errors.InvalidArgument("FIELD_EMPTY", "an action has a name", {"name": "is empty"})
    if "end_date" in mask:
        changed |= _ended(request, before)
    after = replace(before, version=before.version + 1, updated_at=call.now, **changed)
    call.tx.do(store.SAVE, {"rows": rows.pack([rows.row(after, only=rows.columns(Action))])})
    call.audit(after.id, "update", rows.row(before, "version", "updated_at"), rows.row(after, "version", "updated_at"))
    return to_proto(after)


def _ended(request: pb.UpdateManagementActionRequest, before: Seen) -> dict[str, Any]:
    """Without a day it goes on; one under test ends after the test."""
    if not request.HasField("end_date"):
        return {"end_date": None, "state": "active"}
    day = protos.day(request.end_date, "end_date")
    if day < before.start_date:
        raise errors.InvalidArgument("DATES_REVERSED", "it ends before it begins", {"end_date": "before start_date"})
    if before.experiment_id:
        raise errors.FailedPrecondition(
            "ACTION_UNDER_TEST", "conclude its experiment first", experiment_id=before.experiment_id
        )
    return {"end_date": day, "state": "ended"}


@rpcs.method
async def get_management_action(request: pb.GetManagementActionRequest, call: Call) -> pb.ManagementAction:
    found = await store.get(call.db, request.action_id)
    call.authorize(found.owner_id, found.unit_id)
    answer = to_proto(found)
    answer.quarters.extend(_quarter(one) for one in await store.quarters(call.db, found.id))
    return answer


@rpcs.method
async def list_management_actions(
    request: pb.ListManagementActionsRequest, call: Call
) -> pb.ListManagementActionsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **call.scope.params,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "state": word(pb.ManagementActionState, request.state),
        "core": request.core_only,
        "flat": request.least_flat_quarters,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Seen)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListManagementActionsResponse(actions=[to_proto(one) for one in page], next_page_token=token)


def to_proto(one: Action) -> pb.ManagementAction:
    comparison = json_format.ParseDict(one.comparison, pb.PracticeComparison()) if one.comparison else None
    return pb.ManagementAction(
        id=one.id,
        etag=etags.of(one.version),
        ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
        name=one.name,
        description=one.description,
        metric_key=one.metric_key,
        core=one.core,
        state=number(pb.ManagementActionState, one.state),
        start_date=protos.date_proto(one.start_date),
        end_date=protos.date_proto(one.end_date),
        flat_quarters=one.flat_quarters,
        comparison=comparison,
        experiment_id=one.experiment_id if isinstance(one, Seen) else "",
    )


def _quarter(one: Quarter) -> pb.QuarterResult:
    return pb.QuarterResult(
        quarter=protos.date_proto(one.quarter),
        value=json_format.ParseDict(one.value, pb.Estimate()),
        change=json_format.ParseDict(one.change, pb.Estimate()),
        flat=one.flat is True,
    )
