"""MentoringService: asked, answered, taken, earned (S90)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from closedloop.funnel.v1 import mentoring_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.data import patterns, rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.abilities.rules import AbilityRules
from closedloop_funnel.mentoring import rules, store
from closedloop_funnel.mentoring.rules import MentoringRules
from closedloop_funnel.mentoring.store import Answer, Question
from closedloop_funnel.points import earning
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.MentoringService")

# Who may look at any deal.
SEE_ALL = {"operations", "executive", "auditor"}


@rpcs.method
async def ask_question(request: pb.AskQuestionRequest, call: Call) -> pb.Question:
    if request.ability_key and request.ability_key not in call.rules(AbilityRules).abilities:
        raise errors.InvalidArgument("ABILITY_UNKNOWN", f"no ability {request.ability_key}", {"ability_key": "unknown"})
    if request.opportunity_id:
        deal = (await store.deals(call.tx, [request.opportunity_id])).get(request.opportunity_id)
        if deal is None:
            raise errors.NotFound("OPPORTUNITY_UNKNOWN", f"no opportunity {request.opportunity_id}")
        call.authorize(deal["owner_id"], deal["unit_id"], deal["participant_ids"])
    person = call.org.person(call.caller.subject)
    unit_id = person.unit_id if person else ""
    started = await call.tx.value(store.STARTED, {"person_id": call.caller.subject})
    asked = Question(
        id=new_id(),
        asker_id=call.caller.subject,
        unit_id=unit_id,
        newcomer=rules.is_newcomer(call.rules(MentoringRules), started, call.home.today(unit_id)),
        title=request.title,
        text=request.text,
        opportunity_id=request.opportunity_id or None,
        ability_key=request.ability_key,
        asked_at=call.now,
    )
    call.tx.do(store.ASK, {"rows": rows.pack([asked])})
    call.audit(asked.id, "ask", after=rows.row(asked, "version", "text"))
    return _to_proto(asked, [], shown=True)


@rpcs.method
async def answer_question(request: pb.AnswerQuestionRequest, call: Call) -> pb.Question:
    before = await store.lock(call.tx, request.question_id)
    _open(before)
    if before.asker_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_QUESTION", "nobody answers himself")
    said = (await store.answers(call.tx, [before.id])).get(before.id, [])
    if len(said) >= call.rules(MentoringRules).most_answers:
        raise errors.FailedPrecondition("QUESTION_CLOSED", f"it has {len(said)} answers")
    wanted = sorted(set(request.article_ids))
    if wanted and await call.tx.value(store.ARTICLES, {"ids": wanted}) != len(wanted):
        raise errors.InvalidArgument("ARTICLE_UNKNOWN", "not all of them are there", {"article_ids": "unknown"})
    answer = Answer(
        id=new_id(),
        question_id=before.id,
        mentor_id=call.caller.subject,
        text=request.text,
        article_ids=wanted,
        at=call.now,
    )
    after = replace(before, version=before.version + 1, state="answered")
    call.tx.do(store.SAY, {"rows": rows.pack([answer])})
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.audit(after.id, "answer", after={"answer_id": answer.id, "mentor_id": answer.mentor_id})
    [answered] = await _write([after], {after.id: [*said, answer]}, call.tx, call)
    return answered


@rpcs.method
async def accept_answer(request: pb.AcceptAnswerRequest, call: Call) -> pb.Question:
    before = await store.lock(call.tx, request.question_id)
    call.authorize(before.asker_id, before.unit_id)
    if before.asker_id != call.caller.subject:
        raise errors.PermissionDenied("NOT_YOUR_QUESTION", f"{before.asker_id} has asked it")
    etags.check(request.etag, before.version)
    _open(before)
    said = (await store.answers(call.tx, [before.id])).get(before.id, [])
    taken = next((one for one in said if one.id == request.answer_id), None)
    if taken is None:
        raise errors.NotFound("ANSWER_UNKNOWN", f"the question has no answer {request.answer_id}")
    points = await _earn(before, taken, call)
    after = replace(before, version=before.version + 1, state="accepted")
    call.tx.do(store.TAKE, {"id": taken.id, "points": points})
    call.tx.do(store.SAVE, {"rows": rows.pack([after])})
    call.audit(after.id, "accept", after={"answer_id": taken.id, "mentor_id": taken.mentor_id, "points": points})
    said = [replace(one, accepted=True, points=points) if one.id == taken.id else one for one in said]
    return _to_proto(after, said, shown=True)


async def _earn(question: Question, taken: Answer, call: Call) -> int:
    judged_by = call.rules(MentoringRules)
    since = call.now - timedelta(days=judged_by.per_days)
    # Whoever else takes an answer of the same mentor waits, so that the most is the most.
    await earning.one_at_a_time(call, taken.mentor_id)
    same = {"mentor": taken.mentor_id, "asker": question.asker_id, "since": since}
    points = rules.earned(judged_by, question.newcomer, await call.tx.value(store.FROM_SAME, same))
    mentor = call.org.person(taken.mentor_id)
    return await earning.credit(
        call,
        taken.mentor_id,
        mentor.unit_id if mentor else "",
        "mentoring",
        points,
        cause_id=taken.id,
        reason=question.title,
        rule="points",
        rule_version=call.process.rulebooks.version(MentoringRules, call.now),
    )


@rpcs.method
async def get_question(request: pb.GetQuestionRequest, call: Call) -> pb.Question:
    found = await store.get(call.db, request.question_id)
    [answered] = await _write([found], await store.answers(call.db, [found.id]), call.db, call)
    return answered


@rpcs.method
async def list_questions(request: pb.ListQuestionsRequest, call: Call) -> pb.ListQuestionsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        "state": word(pb.QuestionState, request.state),
        "asker": request.asker_id,
        "mentor": request.mentor_id,
        "ability": request.ability_key,
        "query": request.query,
        "pattern": patterns.containing(request.query),
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Question)
    page, token = pages.split(found, request, lambda one: [one.asked_at.isoformat(), one.id])
    said = await store.answers(call.db, [one.id for one in page])
    return pb.ListQuestionsResponse(questions=await _write(page, said, call.db, call), next_page_token=token)


def _open(question: Question) -> None:
    if question.state == "accepted":
        raise errors.FailedPrecondition("QUESTION_CLOSED", "an answer was taken already")


async def _write(
    questions: Sequence[Question], said: dict[str, list[Answer]], db: Reader | Transaction, call: Call
) -> list[pb.Question]:
    """Which deal a question is about is shown to those who may see the deal."""
    deals = await store.deals(db, [one.opportunity_id for one in questions if one.opportunity_id])
    me = call.caller.subject

    def mine(deal: dict[str, Any]) -> bool:
        line = {one.id for one in call.org.line_of(deal["owner_id"])}
        return bool(SEE_ALL & call.caller.roles) or me in {deal["owner_id"], *deal["participant_ids"], *line}

    return [
        _to_proto(one, said.get(one.id, []), shown=one.opportunity_id in deals and mine(deals[one.opportunity_id]))
        for one in questions
    ]


def _to_proto(question: Question, said: Sequence[Answer], *, shown: bool) -> pb.Question:
    return pb.Question(
        id=question.id,
        etag=etags.of(question.version),
        state=number(pb.QuestionState, question.state),
        asker_id=question.asker_id,
        newcomer=question.newcomer,
        title=question.title,
        text=question.text,
        opportunity_id=(question.opportunity_id or "") if shown else "",
        ability_key=question.ability_key,
        answers=[
            pb.Answer(
                id=one.id,
                mentor_id=one.mentor_id,
                text=one.text,
                article_ids=one.article_ids,
                accepted=one.accepted,
                points=one.points,
                time=protos.timestamp(one.at),
            )
            for one in said
        ],
        ask_time=protos.timestamp(question.asked_at),
    )
