"""ActivityService: contacts planned, logged, called off, read. Days are in `days.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import patterns
from closedloop_chassis.data.rows import row
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.activities import known, proto, rules, store
from closedloop_funnel.activities.record import Around, Seen
from closedloop_funnel.activities.rules import ActivityRules, VisitRules
from closedloop_funnel.attachments import references
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.points.earning import earn
from closedloop_funnel.truth.watching import look_soon
from closedloop_funnel.watch.feed import tell_watchers
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.ActivityService")

# What was said stays out of the trail; that it changed does not.
PRIVATE = ("version", "updated_at", "content", "customer_feedback", "account_name")


@rpcs.method
async def plan_activity(request: pb.PlanActivityRequest, call: Call) -> pb.Activity:
    owner_id, unit_id = _owner(request.owner_id, call)
    begins = protos.instant(request.planned_period.start_time, "planned_period.start_time")
    ends = protos.instant(request.planned_period.end_time, "planned_period.end_time")
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "it would end before it begins", {"planned_period": "reversed"})
    around = await store.around(call.tx, opportunity_id=request.opportunity_id, account_id=request.account_id)
    account_id, account_name = _reachable(request, around, call)
    planned = Seen(
        id=new_id(),
        kind=word(pb.ActivityKind, request.kind),
        state="planned",
        owner_id=owner_id,
        unit_id=unit_id,
        source="manual",
        brought_by=call.actor,
        observed_at=call.now,
        account_id=account_id,
        account_name=account_name,
        opportunity_id=request.opportunity_id or None,
        lead_id=request.lead_id or None,
        contact_ids=list(request.contact_ids),
        participant_ids=list(request.participant_ids),
        subject=request.subject,
        planned_from=begins,
        planned_to=ends,
        at=begins,
        action_unit_keys=list(request.action_unit_keys),
        updated_at=call.now,
    )
    store.add(call.tx, planned)
    call.audit(planned.id, "plan", after=row(planned, *PRIVATE))
    return proto.write(planned)


@rpcs.method
async def log_activity(request: pb.LogActivityRequest, call: Call) -> pb.Activity:
    owner_id, unit_id = _owner(request.owner_id, call)
    judged_by = call.rules(ActivityRules)
    started = protos.instant(request.start_time, "start_time")
    ended = protos.instant(request.end_time, "end_time") if request.HasField("end_time") else None
    rules.check_times(judged_by, started, ended, call.now)
    values = plain(request.custom_fields)
    call.rules(FunnelFieldRules).check("activity", values)
    around = _known(request, call)
    presumed = around is not None
    if around is None:
        around = await store.around(
            call.tx,
            opportunity_id=request.opportunity_id,
            account_id=request.account_id,
            planned_id=request.activity_id,
        )
    planned = _planned(request.activity_id, around, call)
    account_id, account_name = _reachable(request, around, call, planned)
    if not presumed:
        known.learn(call, around)
    photos = [photo.attachment_id for photo in request.visit.photos]
    named = [*photos, *(one for claim in request.actions for one in claim.attachment_ids)]
    files = await references.check(call, named, "visit.photos" if photos else "actions")
    references.check_pictures(files, photos, "visit.photos")
    opportunity_id = request.opportunity_id or (planned["opportunity_id"] if planned else None)
    log = Seen(
        id=planned["id"] if planned else new_id(),
        version=planned["version"] + 1 if planned else 1,
        kind=word(pb.ActivityKind, request.kind),
        state="done",
        owner_id=owner_id,
        unit_id=unit_id,
        source=request.provenance.source or "manual",
        source_id=request.provenance.source_id,
        brought_by=call.actor,
        observed_at=call.now,
        account_id=account_id,
        account_name=account_name,
        opportunity_id=opportunity_id,
        lead_id=request.lead_id or (planned["lead_id"] if planned else None),
        contact_ids=list(request.contact_ids) or (planned["contact_ids"] if planned else []),
        participant_ids=list(request.participant_ids) or (planned["participant_ids"] if planned else []),
        subject=request.subject or (planned["subject"] if planned else ""),
        planned_from=datetime.fromisoformat(planned["planned_from"]) if planned else None,
        planned_to=datetime.fromisoformat(planned["planned_to"]) if planned else None,
        started_at=started,
        ended_at=ended,
        at=started,
        content=request.content,
        attitude_before=word(pb.Attitude, request.attitude_before),
        attitude_after=word(pb.Attitude, request.attitude_after),
        next_step=request.next_step,
        next_step_date=protos.day(request.next_step_date) if request.HasField("next_step_date") else None,
        visit=proto.visit(request.visit, call.rules(VisitRules), files, (started, ended or started))
        if request.HasField("visit")
        else None,
        action_unit_keys=sorted({claim.action_unit_key for claim in request.actions}),
        script_version=request.script_version,
        transcript_id=request.transcript_id or None,
        customer_feedback=request.customer_feedback,
        after_close=_after_close(around, started),
        custom_fields=values,
        logged_at=call.now,
        updated_at=call.now,
    )
    rules.check_parts(judged_by, log)
    if rules.effective(judged_by, log):
        log = replace(log, effective=True)
    if request.actions:
        log = replace(log, actions=proto.actions(request.actions, log, call.rules(UnitRules)))
    (store.save if planned else store.add)(call.tx, log)
    references.attach(call, named, "activity", log.id)
    if presumed:
        store.touch_as_known(call.tx, around, started)
    elif opportunity_id:
        store.touch(call.tx, opportunity_id, started)
    await earn(call, owner_id, unit_id, log.id, [one["actionUnitKey"] for one in log.actions if one.get("verified")])
    look_soon(call, owner_id)
    call.audit(log.id, "log", after=row(log, *PRIVATE))
    call.tell(proto.logged(log), subject=log.id)
    tell_watchers(call)
    return proto.write(log)


@rpcs.method
async def cancel_activity(request: pb.CancelActivityRequest, call: Call) -> pb.Activity:
    before = await store.lock(call.tx, request.activity_id, call.now)
    call.authorize(before.owner_id, before.unit_id, before.participant_ids)
    etags.check(request.etag, before.version)
    if before.state not in ("planned", "missed"):
        raise errors.FailedPrecondition("ACTIVITY_NOT_PLANNED", f"it is {before.state}; only a plan is called off")
    after = replace(
        before, state="cancelled", cancel_reason=request.reason, version=before.version + 1, updated_at=call.now
    )
    store.save(call.tx, after)
    call.audit(after.id, "cancel", row(before, *PRIVATE), row(after, *PRIVATE))
    return proto.write(after)


@rpcs.method
async def get_activity(request: pb.GetActivityRequest, call: Call) -> pb.Activity:
    activity = await store.get(call.db, request.activity_id, call.now)
    call.authorize(activity.owner_id, activity.unit_id, activity.participant_ids)
    return proto.write(activity)


@rpcs.method
async def list_activities(request: pb.ListActivitiesRequest, call: Call) -> pb.ListActivitiesResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "now": call.now,
        "owner_id": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "account_id": request.account_id or None,
        "opportunity_id": request.opportunity_id or None,
        "kinds": [word(pb.ActivityKind, kind) for kind in request.kinds] or None,
        "states": [word(pb.ActivityState, state) for state in request.states] or None,
        "from": begins,
        "to": ends,
        "authenticities": [word(pb.Authenticity, one) for one in request.authenticities] or None,
        "action_unit_key": request.action_unit_key,
        "query": patterns.containing(request.query),
        "custom_fields": call.rules(FunnelFieldRules).path(
            "activity", plain(request.custom_fields), request.custom_field_ranges
        ),
        "source": request.source,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, params)
    page, token = pages.split(found, request, lambda one: [one.at.isoformat(), one.id])
    return pb.ListActivitiesResponse(activities=[proto.write(one) for one in page], next_page_token=token)


def _owner(said: str, call: Call) -> tuple[str, str]:
    """Who did it, and their unit. Raises InvalidArgument OWNER_UNKNOWN, PermissionDenied for somebody else's log."""
    owner_id = said or call.caller.subject
    person = call.org.person(owner_id)
    if person is None:
        raise errors.InvalidArgument("OWNER_UNKNOWN", f"nobody here is {owner_id}", {"owner_id": "unknown"})
    call.authorize(owner_id, person.unit_id)
    return owner_id, person.unit_id


def _known(request: pb.LogActivityRequest, call: Call) -> Around | None:
    """The deal as it is remembered, where nothing else is named and the caller may work on it as it was."""
    if request.account_id or request.activity_id or not request.opportunity_id:
        return None
    around = known.deal(call, request.opportunity_id)
    deal = around.opportunity if around is not None else None
    if deal is None or not call.scope.covers(deal["owner_id"], deal["unit_id"], deal["participant_ids"]):
        return None
    return around


def _planned(activity_id: str, around: Around, call: Call) -> dict[str, Any] | None:
    planned = around.planned
    if not activity_id:
        return None
    if planned is None:
        raise errors.NotFound("ACTIVITY_UNKNOWN", f"no activity {activity_id}")
    call.authorize(planned["owner_id"], planned["unit_id"], planned["participant_ids"])
    if planned["state"] != "planned":
        raise errors.FailedPrecondition("ACTIVITY_NOT_PLANNED", f"it is {planned['state']} already")
    return planned


def _reachable(
    request: pb.LogActivityRequest | pb.PlanActivityRequest,
    around: Around,
    call: Call,
    planned: dict[str, Any] | None = None,
) -> tuple[str | None, str]:
    """Id and name of the account: the one named, else the opportunity's. What is named must be known and in reach."""
    deal, account = around.opportunity, around.account
    if request.opportunity_id:
        if deal is None:
            raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
        call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    if request.account_id:
        if account is None:
            raise errors.InvalidArgument(
                "ACCOUNT_UNKNOWN", f"no account {request.account_id}", {"account_id": "unknown"}
            )
        # One in the pool is anybody's; one on the caller's own deal is theirs to visit.
        own_deal = deal is not None and deal["account_id"] == account["id"]
        if account["owner_id"] and not own_deal:
            call.authorize(account["owner_id"], account["unit_id"], account["participant_ids"])
        return account["id"], account["name"]
    if deal is not None:
        return deal["account_id"], deal["account_name"]
    return (planned["account_id"], planned["account_name"] or "") if planned else (None, "")


def _after_close(around: Around, started: datetime) -> bool:
    closed = around.opportunity["closed_at"] if around.opportunity else None
    return closed is not None and datetime.fromisoformat(closed) < started
