"""The mentor bounty: newcomers ask, mentors answer, the one whose answer is taken earns, and two cannot feed each other (S90)."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from closedloop.funnel.v1 import mentoring_pb2 as pb
from closedloop.funnel.v1 import mentoring_pb2_grpc as rpc
from closedloop.funnel.v1 import newcomers_pb2, newcomers_pb2_grpc
from closedloop_funnel.mentoring.rules import MentoringRules, earned, is_newcomer

from .conftest import ACME, Company, day, rid
from .test_points import balance, proven

OTHER = "0190a000-0000-7000-8000-00000000ffff"


@pytest.mark.mission("S90")
def test_only_newcomers_questions_earn_and_not_without_end() -> None:
    rules, today = MentoringRules(), date(2026, 7, 1)
    assert is_newcomer(rules, date(2026, 1, 2), today)
    assert not is_newcomer(rules, date(2026, 1, 1), today)
    assert not is_newcomer(rules, date(2026, 7, 2), today), "has not begun"
    assert not is_newcomer(rules, None, today)
    assert [earned(rules, newcomer, before) for newcomer, before in ((True, 0), (True, 4), (True, 5), (False, 0))] == [
        5,
        5,
        0,
        0,
    ]


def client(company: Company, person: str, role: str = "rep") -> rpc.MentoringServiceStub:
    return company.live.stub(rpc.MentoringServiceStub, person, role)


async def ask(company: Company, person: str = "rep1", **fields: Any) -> pb.Question:
    return await client(company, person).AskQuestion(
        pb.AskQuestionRequest(request_id=rid(), title="价格怎么谈", text="客户说比别家贵两成, 怎么回应?", **fields)
    )


async def answer(company: Company, question: pb.Question, person: str = "rep2", **fields: Any) -> pb.Question:
    return await client(company, person).AnswerQuestion(
        pb.AnswerQuestionRequest(request_id=rid(), question_id=question.id, text="先算三年总成本", **fields)
    )


def take(question: pb.Question, answer_id: str = "") -> pb.AcceptAnswerRequest:
    chosen = answer_id or question.answers[-1].id
    return pb.AcceptAnswerRequest(request_id=rid(), question_id=question.id, etag=question.etag, answer_id=chosen)


@pytest.mark.mission("S90", "S56")
async def test_an_answer_that_a_newcomer_takes_earns_its_author_points(company: Company) -> None:
    refused = company.live.refused
    newcomers = company.live.stub(newcomers_pb2_grpc.NewcomerServiceStub, "m1", "manager")
    await newcomers.SetOnboarding(
        newcomers_pb2.SetOnboardingRequest(
            request_id=rid(),
            person_id="rep1",
            start_date=day(2026, 1, 2),
            style=newcomers_pb2.ONBOARDING_STYLE_OWN_CUSTOMERS,
        )
    )
    deal = await company.open(account_id=ACME)
    question = await ask(company, opportunity_id=deal.id, ability_key="price")
    assert (question.newcomer, question.state, question.opportunity_id) == (True, pb.QUESTION_STATE_OPEN, deal.id)
    with refused("INVALID_ARGUMENT", "ABILITY_UNKNOWN"):
        await ask(company, ability_key="magic")
    with refused("PERMISSION_DENIED"):
        await ask(company, "rep2", opportunity_id=deal.id)
    with refused("PERMISSION_DENIED", "OWN_QUESTION"):
        await answer(company, question, "rep1")
    with refused("INVALID_ARGUMENT", "ARTICLE_UNKNOWN"):
        await answer(company, question, article_ids=[OTHER])
    seen = await answer(company, question)
    assert (seen.state, seen.opportunity_id) == (pb.QUESTION_STATE_ANSWERED, ""), "rep2 has no part in the deal"
    with refused("PERMISSION_DENIED"):
        await client(company, "rep2").AcceptAnswer(take(seen))
    with refused("NOT_FOUND", "ANSWER_UNKNOWN"):
        await client(company, "rep1").AcceptAnswer(take(seen, OTHER))
    with refused("ABORTED", "ETAG_MISMATCH"):
        await client(company, "rep1").AcceptAnswer(
            pb.AcceptAnswerRequest(
                request_id=rid(), question_id=question.id, etag=question.etag, answer_id=seen.answers[0].id
            )
        )
    done = await client(company, "rep1").AcceptAnswer(take(seen))
    assert (done.state, done.answers[0].accepted, done.answers[0].points) == (pb.QUESTION_STATE_ACCEPTED, True, 5)
    assert (await balance(company, "rep2")).balance == 5
    with refused("FAILED_PRECONDITION", "QUESTION_CLOSED"):
        await answer(company, question)

    # Somebody who is no newcomer gets answers too; they earn nothing.
    old = await answer(company, await ask(company, "rep2"), "rep1")
    assert not old.newcomer
    await client(company, "rep2").AcceptAnswer(take(old))
    assert (await balance(company, "rep1")).balance == 0
    # Five from the same asker earn, the sixth does not.
    # Not even when all are taken at the same moment, or long after they were given.
    rest = [await answer(company, await ask(company)) for _ in range(9)]
    company.live.process.time.stop_at(company.live.now + timedelta(days=29))
    await asyncio.gather(*(client(company, "rep1").AcceptAnswer(take(one)) for one in rest[:4]))
    company.live.process.time.stop_at(company.live.now + timedelta(days=2))
    assert (await balance(company, "rep2")).balance == 25
    taken = await asyncio.gather(*(client(company, "rep1").AcceptAnswer(take(one)) for one in rest[4:]))
    assert sorted(one.answers[0].points for one in taken) == [0, 0, 0, 0, 5], "the first is more than thirty days ago"
    assert (await balance(company, "rep2")).balance == 30
    await proven(company)

    mine = await client(company, "rep2").ListQuestions(
        pb.ListQuestionsRequest(mentor_id="rep2", query="两成", page_size=4)
    )
    rest = await client(company, "rep2").ListQuestions(
        pb.ListQuestionsRequest(mentor_id="rep2", query="两成", page_size=4, page_token=mine.next_page_token)
    )
    assert len({one.id for one in (*mine.questions, *rest.questions)}) == 8
    open_ones = await client(company, "rep2").ListQuestions(pb.ListQuestionsRequest(state=pb.QUESTION_STATE_OPEN))
    assert not open_ones.questions
    read = await client(company, "rep1").GetQuestion(pb.GetQuestionRequest(question_id=question.id))
    assert read.opportunity_id == deal.id
    with refused("NOT_FOUND", "QUESTION_UNKNOWN"):
        await client(company, "rep1").GetQuestion(pb.GetQuestionRequest(question_id=OTHER))
