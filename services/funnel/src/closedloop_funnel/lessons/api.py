"""LessonService: offered, gone through, applied (S86, S88)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import lessons_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.attachments import references
from closedloop_funnel.knowledge.rules import questions
from closedloop_funnel.lessons import offering, rules, store
from closedloop_funnel.lessons.rules import LessonRules
from closedloop_funnel.lessons.store import Offer, Seen
from closedloop_funnel.points import earning
from closedloop_funnel.talk.rules import TalkRules
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.LessonService")

REVIEW = "funnel.lesson_evidence"


@rpcs.method
async def list_lesson_offers(request: pb.ListLessonOffersRequest, call: Call) -> pb.ListLessonOffersResponse:
    pressing, after, after_id = pages.after(request, 9, "infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff")
    mine = call.caller.subject if not (request.opportunity_id or request.unit_id or request.article_id) else ""
    params: dict[str, Any] = {
        **call.scope.params,
        "now": call.now,
        "person": request.person_id or mine,
        "deal": request.opportunity_id or None,
        "article": request.article_id or None,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "states": [word(pb.LessonState, state) for state in request.states] or None,
        "pressing": pressing,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, params)
    page, token = pages.split(found, request, lambda one: [one.pressing, one.offered_at.isoformat(), one.id])
    return pb.ListLessonOffersResponse(offers=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def offer_lesson(request: pb.OfferLessonRequest, call: Call) -> pb.LessonOffer:
    person = call.org.person(request.person_id)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {request.person_id}")
    call.authorize(person.id, person.unit_id)
    lesson = await call.tx.one(store.LESSON, {"id": request.article_id})
    if lesson is None:
        raise errors.NotFound("ARTICLE_UNKNOWN", f"no article {request.article_id}")
    if (lesson["kind"], lesson["state"]) != ("lesson", "published"):
        raise errors.FailedPrecondition("NOT_A_LESSON", f"it is a {lesson['kind']}, {lesson['state']}")
    stage = ""
    if request.opportunity_id:
        deals = await call.tx.all(store.DEALS, {"ids": [request.opportunity_id]})
        if not deals:
            raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no open opportunity {request.opportunity_id}")
        stage = deals[0]["stage"]
    await offering.lately(call, [person.id])
    made = offering.make(
        call, person.id, request.article_id, "", request.note, request.opportunity_id, stage, request.training_id
    )
    if not await offering.put(call, [made]):
        raise errors.AlreadyExists("LESSON_OFFERED", f"{person.name} has it on the table")
    call.audit(made.id, "offer", after=rows.row(made, "version"))
    return _to_proto(await store.lock(call.tx, made.id, call.now))


@rpcs.method
async def complete_lesson(request: pb.CompleteLessonRequest, call: Call) -> pb.LessonOffer:
    before = await _mine(request.offer_id, request.etag, call)
    if before.state == "expired":
        raise errors.FailedPrecondition("OFFER_EXPIRED", f"it was open until {before.expires_at.isoformat()}")
    if before.state != "offered":
        raise errors.FailedPrecondition("LESSON_COMPLETED", f"it is {before.state} already")
    asked = questions(before.body)
    if len(request.answers) != len(asked):
        raise errors.InvalidArgument(
            "ANSWERS_MISSING", f"{len(asked)} questions, {len(request.answers)} answers", {"answers": "one a question"}
        )
    score = rules.right(asked, request.answers)
    passed = score is None or score >= call.rules(LessonRules).pass_ratio
    changed: dict[str, Any] = {"state": "completed", "completed_at": call.now} if passed else {}
    return _save(before, call, "complete", score=score, **changed)


@rpcs.method
async def submit_lesson_evidence(request: pb.SubmitLessonEvidenceRequest, call: Call) -> pb.LessonOffer:
    before = await _mine(request.offer_id, request.etag, call)
    if before.state not in ("completed", "refused"):
        raise errors.FailedPrecondition("LESSON_NOT_COMPLETED", f"it is {before.state}")
    if not (request.record_id or request.attachment_ids):
        raise errors.InvalidArgument(
            "EVIDENCE_EMPTY", "name a conversation or a log, or attach a file", {"record_id": "is empty"}
        )
    await references.check(call, request.attachment_ids, "attachment_ids")
    sentence = await _shown(before, request.record_id, call) if request.record_id else ""
    after = _save(
        before,
        call,
        "submit_evidence",
        state="applied" if sentence else "evidence_submitted",
        evidence_record_id=request.record_id or None,
        evidence_attachment_ids=list(dict.fromkeys(request.attachment_ids)),
        evidence_note=request.note,
        evidence_sentence=sentence,
        reviewer_id=LessonRules.rulebook if sentence else "",
        review_comment="",
        applied_at=call.now if sentence else None,
    )
    # Whoever judges it may open it.
    references.attach(call, request.attachment_ids, "lesson_offer", before.id)
    if sentence:
        await _earn(before, call)
    else:
        call.tell(_task(before, request.note, call), before.person_id)
    return after


async def _shown(before: Seen, record_id: str, call: Call) -> str:
    """The sentence of the conversation that shows it by rule; empty where a person has to judge."""
    record = await call.tx.one(store.RECORD, {"id": record_id})
    if record is None or record["owner_id"] != before.person_id:
        raise errors.InvalidArgument(
            "EVIDENCE_UNKNOWN", "no conversation or log of yours", {"record_id": "unknown, or another's"}
        )
    if before.completed_at is not None and record["at"] < before.completed_at:
        raise errors.FailedPrecondition(
            "EVIDENCE_OLDER_THAN_LESSON", f"the lesson was gone through on {before.completed_at.isoformat()}"
        )
    if not record["talk"]:
        return ""
    heard = await call.tx.all(store.HEARD, {"id": record_id})
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for key, risk in call.rules(TalkRules).risks.items():
        answers[risk.objection].add(key)
    return rules.shown(
        before.applied_hearing_keys,
        {row["key"]: row["sentence"] for row in reversed(heard) if row["kind"] != "risk"},
        {row["key"] for row in heard if row["kind"] == "risk"},
        answers,
    )


@rpcs.method
async def review_lesson_evidence(request: pb.ReviewLessonEvidenceRequest, call: Call) -> pb.LessonOffer:
    before = await store.lock(call.tx, request.offer_id, call.now)
    call.authorize(before.person_id, before.unit_id)
    etags.check(request.etag, before.version)
    if before.state != "evidence_submitted":
        raise errors.FailedPrecondition("NO_EVIDENCE", f"nothing waits to be judged; it is {before.state}")
    if before.person_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_EVIDENCE", "nobody judges himself")
    after = _save(
        before,
        call,
        "accept_evidence" if request.accepted else "refuse_evidence",
        state="applied" if request.accepted else "refused",
        reviewer_id=call.caller.subject,
        review_comment=request.comment,
        applied_at=call.now if request.accepted else None,
    )
    if request.accepted:
        await _earn(before, call)
    withdrawn = approvals.TaskWithdrawn(
        origin="funnel",
        cause_key=f"{REVIEW}:{before.id}",
        reason=approvals.WITHDRAWAL_REASON_CAUSE_CLEARED,
        clear_time=protos.timestamp(call.now),
    )
    call.tell(withdrawn, before.person_id)
    return after


async def _mine(offer_id: str, etag: str, call: Call) -> Seen:
    """Nobody learns for another."""
    before = await store.lock(call.tx, offer_id, call.now)
    call.authorize(before.person_id, before.unit_id)
    if before.person_id != call.caller.subject:
        raise errors.PermissionDenied("NOT_YOUR_LESSON", f"it was offered to {before.person_id}")
    etags.check(etag, before.version)
    return before


def _save(before: Seen, call: Call, action: str, **changed: Any) -> pb.LessonOffer:
    after = replace(before, version=before.version + 1, **changed)
    plain = rows.row(after, only=rows.columns(Offer))
    call.tx.do(store.SAVE, {"rows": rows.pack([plain])}, refuse=store.USED)
    # What was said stays out of the trail.
    private = ("version", "evidence_sentence", "title", "body", "length_ms", "applied_hearing_keys")
    call.audit(after.id, action, rows.row(before, *private), rows.row(after, *private))
    return _to_proto(after)


async def _earn(before: Seen, call: Call) -> None:
    version = call.process.rulebooks.version(LessonRules, call.now)
    await earning.credit(
        call,
        before.person_id,
        before.unit_id,
        "learning",
        call.rules(LessonRules).points,
        cause_id=before.id,
        reason=before.title,
        rule="points",
        rule_version=version,
    )


def _task(before: Seen, note: str, call: Call) -> approvals.TaskRequested:
    content = tasks_pb2.TaskContent(
        kind=call.rules(LessonRules).review_task_kind,
        title=f"确认学以致用: {before.title}"[:200],
        description=note,
        assignee_role="manager_of_owner",
        ownership=common_pb2.Ownership(owner_id=before.person_id, unit_id=before.unit_id),
        origin="funnel",
        cause_key=f"{REVIEW}:{before.id}",
        warning="",
        subject_type="lesson_offer",
        subject_id=before.id,
        cause_time=protos.timestamp(call.now),
    )
    return approvals.TaskRequested(content=content)


def _to_proto(one: Seen) -> pb.LessonOffer:
    answer = pb.LessonOffer(
        id=one.id,
        etag=etags.of(one.version),
        person_id=one.person_id,
        article_id=one.article_id,
        title=one.title,
        state=number(pb.LessonState, one.state),
        opportunity_id=one.opportunity_id or "",
        stage_key=one.stage_key,
        training_id=one.training_id or "",
        offered_by=one.offered_by,
        score_ratio=one.score,
        evidence_record_id=one.evidence_record_id or "",
        evidence_attachment_ids=one.evidence_attachment_ids,
        evidence_note=one.evidence_note,
        evidence_sentence=one.evidence_sentence,
        reviewer_id=one.reviewer_id,
        review_comment=one.review_comment,
        offer_time=protos.timestamp(one.offered_at),
        complete_time=protos.timestamp(one.completed_at),
        apply_time=protos.timestamp(one.applied_at),
        expire_time=protos.timestamp(one.expires_at),
    )
    if one.length_ms is not None:
        length = Duration()
        length.FromTimedelta(timedelta(milliseconds=one.length_ms))
        answer.length.CopyFrom(length)
    if one.rule:
        answer.rule.CopyFrom(
            common_pb2.RuleReference(
                rulebook=LessonRules.rulebook, version=one.rule_version, rule=one.rule, explanation=one.explanation
            )
        )
    return answer
