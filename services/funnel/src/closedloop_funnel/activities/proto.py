"""Activities between the contract and Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as events
from closedloop_chassis import etags, protos
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.actions.units import failed
from closedloop_funnel.activities import rules
from closedloop_funnel.activities.record import Activity, DailyLog, Seen
from closedloop_funnel.activities.rules import ActivityRules, VisitRules
from closedloop_funnel.attachments.record import Attachment
from closedloop_funnel.words import number, word


def write(activity: Seen) -> pb.Activity:
    result = pb.Activity(
        id=activity.id,
        etag=etags.of(activity.version),
        kind=number(pb.ActivityKind, activity.kind),
        state=number(pb.ActivityState, activity.state),
        ownership=common_pb2.Ownership(owner_id=activity.owner_id, unit_id=activity.unit_id),
        provenance=common_pb2.Provenance(
            source=activity.source,
            source_id=activity.source_id,
            brought_by=activity.brought_by,
            observed_time=protos.timestamp(activity.observed_at),
        ),
        account_id=activity.account_id or "",
        account_name=activity.account_name,
        opportunity_id=activity.opportunity_id or "",
        lead_id=activity.lead_id or "",
        contact_ids=activity.contact_ids,
        participant_ids=activity.participant_ids,
        subject=activity.subject,
        start_time=protos.timestamp(activity.started_at),
        end_time=protos.timestamp(activity.ended_at),
        content=activity.content,
        attitude_before=number(pb.Attitude, activity.attitude_before),
        attitude_after=number(pb.Attitude, activity.attitude_after),
        next_step=activity.next_step,
        next_step_date=protos.date_proto(activity.next_step_date),
        script_version=activity.script_version,
        transcript_id=activity.transcript_id or "",
        customer_feedback=activity.customer_feedback,
        authenticity=number(pb.Authenticity, activity.authenticity),
        finding_ids=activity.finding_ids,
        effective=activity.effective,
        after_close=activity.after_close,
        cancel_reason=activity.cancel_reason,
        log_time=protos.timestamp(activity.logged_at),
        update_time=protos.timestamp(activity.updated_at),
    )
    if activity.planned_from is not None:
        planned = Interval(
            start_time=protos.timestamp(activity.planned_from), end_time=protos.timestamp(activity.planned_to)
        )
        result.planned_period.CopyFrom(planned)
    if activity.visit is not None:
        json_format.ParseDict(activity.visit, result.visit)
    for action in activity.actions:
        json_format.ParseDict(action, result.actions.add())
    if activity.custom_fields:
        result.custom_fields.update(activity.custom_fields)
    return result


def visit(
    given: pb.VisitEvidence, visits: VisitRules, files: Mapping[str, Attachment], within: tuple[datetime, datetime]
) -> dict[str, Any]:
    """As it is kept: what is still missing, and which photos contradict the visit (S50)."""
    kept = pb.VisitEvidence()
    kept.CopyFrom(given)
    place = (given.position.latitude, given.position.longitude) if given.HasField("position") else None
    for photo in kept.photos:
        file = files[photo.attachment_id]
        shot = None if file.latitude is None or file.longitude is None else (file.latitude, file.longitude)
        photo.inconsistency = rules.inconsistency(visits, file.taken_at, shot, within, place)
        photo.consistent = not photo.inconsistency
    photos = [word(pb.PhotoSubject, photo.subject) for photo in given.photos]
    kept.missing_keys[:] = rules.missing(visits, photos, given.checklist_keys)
    return json_format.MessageToDict(kept)


def actions(given: Sequence[pb.ActionPerformed], log: Activity, units: UnitRules) -> list[dict[str, Any]]:
    """Claims of action units as they are kept, each with what it fails (S53)."""
    kept = []
    for claim in given:
        one = pb.ActionPerformed()
        one.CopyFrom(claim)
        one.verified = False
        one.ClearField("failed_checks")
        said = json_format.MessageToDict(one)
        failures = failed(units.units.get(claim.action_unit_key), said, activity_kind=log.kind, effective=log.effective)
        kept.append({**said, "failedChecks": failures} if failures else {**said, "verified": True})
    return kept


def claims(log: Activity) -> list[pb.ActionPerformed]:
    """Claims as they are kept, to be checked anew."""
    return [json_format.ParseDict(one, pb.ActionPerformed()) for one in log.actions]


def logged(activity: Activity) -> events.ActivityLogged:
    """What the other services hear."""
    return events.ActivityLogged(
        activity_id=activity.id,
        version=activity.version,
        kind=number(pb.ActivityKind, activity.kind),
        ownership=common_pb2.Ownership(owner_id=activity.owner_id, unit_id=activity.unit_id),
        account_id=activity.account_id or "",
        opportunity_id=activity.opportunity_id or "",
        lead_id=activity.lead_id or "",
        contact_ids=activity.contact_ids,
        start_time=protos.timestamp(activity.started_at),
        end_time=protos.timestamp(activity.ended_at),
        effective=activity.effective,
        authenticity=number(pb.Authenticity, activity.authenticity),
        attitude_after=number(pb.Attitude, activity.attitude_after),
        next_step=activity.next_step,
        next_step_date=protos.date_proto(activity.next_step_date),
        verified_action_unit_keys=[one["actionUnitKey"] for one in activity.actions if one.get("verified")],
        feedback_given=bool(activity.customer_feedback),
    )


def daily_log(log: DailyLog, of_day: list[Seen], judged_by: ActivityRules, *, with_activities: bool) -> pb.DailyLog:
    done = [one for one in of_day if one.state == "done"]
    changes = [rules.risen(one) for one in done]
    return pb.DailyLog(
        person_id=log.person_id,
        date=protos.date_proto(log.day),
        submitted=log.submitted_at is not None,
        summary=log.summary,
        plan=log.plan,
        help_needed=log.help_needed,
        submit_time=protos.timestamp(log.submitted_at),
        activities=[write(one) for one in of_day] if with_activities else [],
        activity_count=len(done),
        incomplete_count=sum(not rules.complete(judged_by, one) for one in done),
        risen_count=changes.count(1),
        fallen_count=changes.count(-1),
        unit_id=log.unit_id,
    )
