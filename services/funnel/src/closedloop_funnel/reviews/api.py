"""ReviewService: what was opened by rule, and what people conclude (S81)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import reviews_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.opportunities import holding
from closedloop_funnel.reviews import store
from closedloop_funnel.reviews.process import EFFECTS, PROCESS
from closedloop_funnel.reviews.rules import ReviewRules
from closedloop_funnel.reviews.store import Review
from closedloop_funnel.warnings import acting
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.ReviewService")

INTAKE = "funnel.intake_burst"


@rpcs.method
async def list_reviews(request: pb.ListReviewsRequest, call: Call) -> pb.ListReviewsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "kind": word(pb.ReviewKind, request.kind),
        "state": word(pb.ReviewState, request.state),
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Review)
    page, token = pages.split(found, request, lambda one: [one.created_at.isoformat(), one.id])
    return pb.ListReviewsResponse(reviews=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def get_review(request: pb.GetReviewRequest, call: Call) -> pb.Review:
    found = await store.get(call.db, request.review_id)
    call.authorize(found.owner_id, found.unit_id)
    return _to_proto(found)


@rpcs.method
async def conclude_review(request: pb.ConcludeReviewRequest, call: Call) -> pb.Review:
    before = await store.lock(call.tx, request.review_id)
    call.authorize(before.owner_id, before.unit_id)
    etags.check(request.etag, before.version)
    if before.state != "open":
        raise errors.FailedPrecondition("REVIEW_CONCLUDED", f"{before.reviewer_id} has concluded it")
    verdict = word(pb.ProcessVerdict, request.process_verdict)
    if bool(verdict) != (before.kind == "process"):
        raise errors.InvalidArgument(
            "VERDICT_MISPLACED",
            "a process review, and only that, says what becomes of the action",
            {"process_verdict": "not of this kind of review"},
        )
    # Whoever answers for a process judges it; nobody judges what he has done himself.
    if before.kind == "intake" and before.owner_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_REVIEW", "nobody reviews himself")
    strange = sorted(set(request.rejected_opportunity_ids) - set(before.opportunity_ids))
    if strange:
        raise errors.InvalidArgument(
            "OPPORTUNITY_NOT_IN_REVIEW",
            f"the review does not hold {strange[0]}",
            {"rejected_opportunity_ids": "not in review"},
        )
    rejected = sorted(set(request.rejected_opportunity_ids))
    await holding.release(
        call, before.id, set(rejected), call.rules(ReviewRules).reject_reason, request.conclusion[:1000]
    )
    after = replace(
        before,
        version=before.version + 1,
        state="concluded",
        reviewer_id=call.caller.subject,
        conclusion=request.conclusion,
        rejected_ids=rejected,
        process_verdict=verdict,
        concluded_at=call.now,
    )
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.audit(after.id, "conclude", rows.row(before, "version"), rows.row(after, "version"))
    cause = f"{INTAKE if after.kind == 'intake' else PROCESS}:{after.id}"
    await acting.act_on(call, cause, request.conclusion, call.caller.subject)
    withdrawn = approvals.TaskWithdrawn(
        origin="funnel",
        cause_key=cause,
        reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
        clear_time=protos.timestamp(call.now),
    )
    call.tell(withdrawn, after.owner_id)
    return _to_proto(after)


def _to_proto(review: Review) -> pb.Review:
    return pb.Review(
        id=review.id,
        etag=etags.of(review.version),
        kind=number(pb.ReviewKind, review.kind),
        state=number(pb.ReviewState, review.state),
        ownership=common_pb2.Ownership(owner_id=review.owner_id, unit_id=review.unit_id),
        opportunity_ids=review.opportunity_ids,
        date=protos.date_proto(review.day),
        action_unit_key=review.action_unit_key,
        result_metric=review.result_metric,
        process_verdict=number(pb.ProcessVerdict, review.process_verdict),
        evidence=[common_pb2.Evidence(**one) for one in review.evidence],
        rule=common_pb2.RuleReference(
            rulebook=ReviewRules.rulebook if review.kind == "intake" else EFFECTS,
            version=review.rule_version,
            rule="burst_times" if review.kind == "intake" else "executed",
            explanation=review.explanation,
        ),
        reviewer_id=review.reviewer_id,
        conclusion=review.conclusion,
        rejected_opportunity_ids=review.rejected_ids,
        create_time=protos.timestamp(review.created_at),
        conclude_time=protos.timestamp(review.concluded_at),
    )
