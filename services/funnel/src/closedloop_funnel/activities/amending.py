"""AmendActivity: a log is corrected, its first wording kept, its marks computed anew (S42, S45)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop_chassis import errors, etags, masks, protos
from closedloop_chassis.data.rows import row
from closedloop_chassis.service import Rpcs
from closedloop_chassis.structs import plain
from closedloop_chassis.work import Call
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.activities import proto, rules, store
from closedloop_funnel.activities.record import Seen
from closedloop_funnel.activities.rules import ActivityRules, VisitRules
from closedloop_funnel.attachments import references
from closedloop_funnel.attachments.record import Attachment
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.points.earning import earn_late, take_back
from closedloop_funnel.truth.watching import look_soon
from closedloop_funnel.watch.feed import tell_watchers
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.ActivityService")

# What was said stays out of the audit trail; the amendment keeps it.
PRIVATE = ("version", "updated_at", "content", "customer_feedback", "account_name")
TEXTS = ("content", "next_step", "customer_feedback")
OF_PLANS = {"planned_period", "opportunity_id", "contact_ids", "custom_fields"}
OF_LOGS = {
    *TEXTS,
    *("attitude_before", "attitude_after", "next_step_date", "visit", "actions"),
    *("opportunity_id", "contact_ids", "custom_fields"),
}


@rpcs.method
async def amend_activity(request: pb.AmendActivityRequest, call: Call) -> pb.Activity:
    before = await store.lock(call.tx, request.activity_id, call.now)
    call.authorize(before.owner_id, before.unit_id, before.participant_ids)
    etags.check(request.etag, before.version)
    mask = _mask(request, before)
    judged_by = call.rules(ActivityRules)
    rules.check_amendable(judged_by, before, call.now)
    after = replace(before, **_fields(request, mask, call))
    if "opportunity_id" in mask:
        after = await _on_deal(after, request.opportunity_id, call)
    named = await _files(request, mask, call)
    if "visit" in mask:
        within = (before.at, before.ended_at or before.at)
        after = replace(after, visit=proto.visit(request.visit, call.rules(VisitRules), named, within))
    if before.state == "done":
        rules.check_parts(judged_by, after)
        after = _judged(after, request, mask, call)
    after = replace(after, version=before.version + 1, updated_at=call.now)
    store.save(call.tx, after)
    references.attach(call, named, "activity", after.id)
    earlier, now = row(before, "version", "updated_at"), row(after, "version", "updated_at")
    store.keep_wording(
        call.tx,
        {
            "activity_id": after.id,
            "version": after.version,
            "at": call.now,
            "author_id": call.actor,
            "reason": request.reason,
            "earlier": Jsonb({key: value for key, value in earlier.items() if now[key] != value}),
        },
    )
    await _points(before, after, call)
    call.audit(after.id, "amend", row(before, *PRIVATE), {**row(after, *PRIVATE), "reason": request.reason})
    if after.state == "done":
        look_soon(call, after.owner_id)
        call.tell(proto.logged(after), subject=after.id)
        tell_watchers(call)
    return proto.write(after)


def _mask(request: pb.AmendActivityRequest, before: Seen) -> set[str]:
    if before.state == "cancelled":
        raise errors.FailedPrecondition("ACTIVITY_CANCELLED", "it was called off; log what took place instead")
    there = OF_LOGS if before.state == "done" else OF_PLANS
    return masks.some(request.update_mask, there, of=f"one that is {before.state}")


def _fields(request: pb.AmendActivityRequest, mask: set[str], call: Call) -> dict[str, Any]:
    values: dict[str, Any] = {path: getattr(request, path) for path in TEXTS if path in mask}
    for path in ("attitude_before", "attitude_after"):
        if path in mask:
            values[path] = word(pb.Attitude, getattr(request, path))
    if "next_step_date" in mask:
        given = request.HasField("next_step_date")
        values["next_step_date"] = protos.day(request.next_step_date, "next_step_date") if given else None
    if "contact_ids" in mask:
        values["contact_ids"] = list(request.contact_ids)
    if "custom_fields" in mask:
        values["custom_fields"] = plain(request.custom_fields)
        call.rules(FunnelFieldRules).check("activity", values["custom_fields"])
    if "planned_period" in mask:
        begins = protos.instant(request.planned_period.start_time, "planned_period.start_time")
        ends = protos.instant(request.planned_period.end_time, "planned_period.end_time")
        if ends <= begins:
            raise errors.InvalidArgument(
                "TIMES_REVERSED", "it would end before it begins", {"planned_period": "reversed"}
            )
        values |= {"planned_from": begins, "planned_to": ends, "at": begins, "state": "planned"}
    return values


async def _on_deal(after: Seen, opportunity_id: str, call: Call) -> Seen:
    """Of another deal, or of none; the account follows the deal."""
    if not opportunity_id:
        return replace(after, opportunity_id=None, after_close=False)
    deal = (await store.around(call.tx, opportunity_id=opportunity_id, account_id="")).opportunity
    if deal is None:
        raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {opportunity_id}")
    call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    closed = deal["closed_at"]
    return replace(
        after,
        opportunity_id=opportunity_id,
        account_id=deal["account_id"],
        account_name=deal["account_name"],
        after_close=closed is not None and datetime.fromisoformat(closed) < after.at,
    )


async def _files(request: pb.AmendActivityRequest, mask: set[str], call: Call) -> Mapping[str, Attachment]:
    photos = [one.attachment_id for one in request.visit.photos] if "visit" in mask else []
    claimed = [one for claim in request.actions for one in claim.attachment_ids] if "actions" in mask else []
    files = await references.check(call, [*photos, *claimed], "visit.photos" if photos else "actions")
    references.check_pictures(files, photos, "visit.photos")
    return files


def _judged(after: Seen, request: pb.AmendActivityRequest, mask: set[str], call: Call) -> Seen:
    """Its marks anew; what people have found false stays found false."""
    if after.authenticity != "confirmed_false":
        after = replace(after, authenticity="unchecked")
        store.uncheck(call.tx, after.id)
    after = replace(after, effective=rules.effective(call.rules(ActivityRules), after))
    claims = request.actions if "actions" in mask else proto.claims(after)
    return replace(
        after,
        actions=proto.actions(claims, after, call.rules(UnitRules)),
        action_unit_keys=sorted({claim.action_unit_key for claim in claims}),
    )


async def _points(before: Seen, after: Seen, call: Call) -> None:
    """What is verified now earns, once; what no longer is goes back."""
    had, has = ({one["actionUnitKey"] for one in log.actions if one.get("verified")} for log in (before, after))
    for key in sorted(had - has):
        await take_back(call, after.id, f"{key} is no longer verified after a correction", key)
    await earn_late(call, after.owner_id, after.unit_id, after.id, sorted(has - had))
