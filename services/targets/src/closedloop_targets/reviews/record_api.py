"""RecordReview: what a review found and decided (S7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time

from closedloop.targets.v1 import alarms_pb2
from closedloop.targets.v1 import reviews_pb2 as pb
from closedloop_chassis import enums, errors, etags, ids, protos
from closedloop_chassis.work import Call
from closedloop_targets import asking, company
from closedloop_targets.alarms.rules import LIGHTS
from closedloop_targets.periods.rules import DAY
from closedloop_targets.reviews import preparing, shapes, store
from closedloop_targets.reviews.rpcs import rpcs
from closedloop_targets.reviews.rules import ReviewRules
from closedloop_targets.reviews.store import FollowUp, Note, Pack

FOLLOW_UP = "targets.review_follow_up"


@rpcs.method
async def record_review(request: pb.RecordReviewRequest, call: Call) -> pb.ReviewPack:
    pack = await store.pack(call.tx, request.pack_id, store.LOCK)
    call.authorize(pack.owner_id, pack.unit_id)
    if pack.state == "closed":
        raise errors.FailedPrecondition("PACK_CLOSED", f"the review of {pack.period} is closed")
    etags.check(request.etag, pack.version)
    await _room(request, call, pack)
    await _confirm(request, call, pack)
    by, kept = call.caller.subject, []
    for proposal in request.proposals:
        kind = enums.word(pb.ProposalKind, proposal.kind)
        kept.append(Note(ids.new_id(), pack.id, kind, proposal.text, proposal.expected_effect, by, call.now))
    kept += [Note(ids.new_id(), pack.id, "decision", one.text, "", by, call.now) for one in request.decisions]
    store.add_notes(call.tx, kept)
    store.add_follow_ups(
        call.tx, [await _asked(call, pack, one, f"follow_ups[{at}]") for at, one in enumerate(request.follow_ups)]
    )
    after = replace(
        pack,
        state="closed" if request.close else "in_review",
        minutes=request.minutes or pack.minutes,
        closed_at=call.now if request.close else None,
        version=pack.version + 1,
    )
    call.tx.do(
        store.KEPT, {"id": pack.id, "state": after.state, "minutes": after.minutes, "closed_at": after.closed_at}
    )
    if request.close:
        asking.withdraw(call, preparing.review_cause(pack.id), pack.id)
    written = {"causes": len(request.causes), "notes": len(kept), "follow_ups": len(request.follow_ups)}
    call.audit(
        f"review_pack:{pack.id}", "record", before={"state": pack.state}, after={"state": after.state, **written}
    )
    return await shapes.whole(call.tx, after)


async def _room(request: pb.RecordReviewRequest, call: Call, pack: Pack) -> None:
    there = len(await store.notes(call.tx, pack.id)) + len(await store.follow_ups(call.tx, pack.id))
    most = call.rules(ReviewRules).most_written
    if there + len(request.proposals) + len(request.decisions) + len(request.follow_ups) > most:
        raise errors.FailedPrecondition("PACK_FULL", f"one review takes {most} entries")


async def _confirm(request: pb.RecordReviewRequest, call: Call, pack: Pack) -> None:
    """Causes of deviations that stand in the pack; the last word counts."""
    if not request.causes:
        return
    asked = {"id": pack.id, "holders": [one.holder_id for one in request.causes]}
    there = {(row["holder_id"], row["metric"]) for row in await call.tx.all(store.MEASURED, asked)}
    unknown = {
        f"causes[{at}].holder_id": f"{one.holder_id} has no deviation of {one.metric}"
        for at, one in enumerate(request.causes)
        if (one.holder_id, one.metric) not in there
    }
    if unknown:
        raise errors.InvalidArgument("NOT_IN_PACK", "causes are confirmed of deviations in the pack", unknown)
    last = {(one.holder_id, one.metric): one for one in request.causes}.values()
    call.tx.do(
        store.CONFIRM,
        {
            "id": pack.id,
            "by": call.caller.subject,
            "now": call.now,
            "holders": [one.holder_id for one in last],
            "metrics": [one.metric for one in last],
            "causes": [enums.word(alarms_pb2.Cause, one.cause) for one in last],
            "comments": [one.comment for one in last],
        },
    )


async def _asked(call: Call, pack: Pack, given: pb.FollowUp, field: str) -> FollowUp:
    """On its assignee's work list until the end of its day."""
    person = await company.person(call, given.assignee_id)
    if not person.active:
        raise errors.NotFound("PERSON_NOT_FOUND", f"{person.id} has left", person_id=person.id)
    day: date = protos.day(given.due_date, f"{field}.due_date")
    if day < call.home.today():
        raise errors.InvalidArgument("DUE_DATE_IN_PAST", f"{day} is over", {f"{field}.due_date": "in the past"})
    follow_up = FollowUp(ids.new_id(), pack.id, given.title, given.details, person.id, day)
    asking.task(
        call,
        kind="follow_up",
        warning=FOLLOW_UP,
        subject_type="review_follow_up",
        subject_id=follow_up.id,
        title=given.title,
        description=given.details or f"Decided in the review of {pack.period}.",
        assignee_id=person.id,
        owner_id=person.id,
        unit_id=person.unit_id,
        light=LIGHTS.index(call.rules(ReviewRules).follow_up_light) + 1,
        due_time=call.home.moment(day + DAY, time(), person.unit_id),
    )
    return follow_up
