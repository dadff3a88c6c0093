"""Lessons at the step that needs them, learned only when applied; advice after the deed (S86, S87, S88)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import (
    advice_pb2,
    advice_pb2_grpc,
    knowledge_pb2,
    opportunities_pb2,
    points_pb2,
    points_pb2_grpc,
    proposals_pb2,
    proposals_pb2_grpc,
)
from closedloop.funnel.v1 import lessons_pb2 as pb
from closedloop.funnel.v1 import lessons_pb2_grpc as rpc
from closedloop_chassis.ids import new_id
from closedloop_funnel.advice.rules import AdviceRules, Heard, Raised, Votes, on_clauses, on_talk
from closedloop_funnel.lessons.rules import Lesson, LessonRules, Step, chosen, for_breaker, right, shown

from .conftest import ACME, PROFILE, Company, account, rid
from .test_knowledge import client as knowledge
from .test_talk import client as talks
from .test_talk import taken

OTHER = "0190a000-0000-7000-8000-00000000ffff"


def lesson(id_: str, minutes: float = 3, **fields: Any) -> Lesson:
    return Lesson(id=id_, minutes=minutes, **fields)


@pytest.mark.mission("S86")
def test_a_lesson_is_offered_where_it_is_made_for() -> None:
    rules = LessonRules()
    at_proposal = lesson("proposal", stage_keys=["b2b/proposal"])
    hospital = lesson("hospital", customer_types=["hospital"])
    both = lesson("both", stage_keys=["b2b/proposal"], customer_types=["hospital"])
    everywhere, long = lesson("everywhere"), lesson("long", minutes=9, stage_keys=["b2b/proposal"])
    all_ = [at_proposal, hospital, both, everywhere, long]
    step = Step(customer_type="hospital", stage="b2b/proposal")
    assert chosen(rules, step, all_, set()) == ["both", "proposal"]
    assert chosen(rules, step, all_, {"both"}) == ["proposal"]
    assert chosen(rules, Step(customer_type="school", stage="b2b/proposal"), all_, set()) == ["proposal"]
    assert chosen(rules, Step(customer_type="hospital", stage="b2b/profile", opened=True), all_, set()) == ["hospital"]
    assert chosen(rules, Step(customer_type="hospital", stage="b2b/profile"), all_, set()) == []
    assert for_breaker(rules, [lesson("a", ability_keys=["needs"]), lesson("b", ability_keys=["price"])], set()) == [
        "a"
    ]


@pytest.mark.mission("S88")
def test_learned_is_what_a_conversation_shows() -> None:
    heard = {"price": "太贵了", "trial": "我们可以先试一条线"}
    answers = {"price": {"avoids_price_objection"}}
    assert shown(["trial"], heard, set(), answers) == "我们可以先试一条线"
    assert shown(["price"], heard, set(), answers) == "太贵了"
    assert shown(["price"], heard, {"avoids_price_objection"}, answers) == "", "it was dodged"
    assert shown(["delivery"], heard, set(), answers) == ""
    assert right([("几周", "四 周"), ("谁", "CFO")], ["四周", "cfo"]) == 1.0
    assert right([("几周", "四周"), ("谁", "CFO")], ["三周", "cfo"]) == 0.5
    assert right([], []) is None


@pytest.mark.mission("S87")
def test_what_did_not_help_others_sinks() -> None:
    rules = AdviceRules()
    heard = [
        Heard("risk", "no_next_step", "没有下一步", "再见", 0.7),
        Heard("risk", "pressures", "逼单", "今天不定就没了", 0.7),
        Heard("objection", "price", "价格", "太贵", 0.7, reply="按三年总成本算"),
        Heard("objection", "fit", "匹配", "不合适", 0.9),
    ]
    assert [hint.title for _, hint in on_talk(rules, heard, {})] == ["约下一步", "别逼单", "价格"]
    sunk = {"no_next_step": Votes(rated=20, helpful=1)}
    assert [one.key for one, _ in on_talk(rules, heard, sunk)] == ["pressures", "price", "no_next_step"]
    raised = [
        Raised("warranty", 4, 10),
        Raised("payment_terms", 8, 10),
        Raised("price", 1, 10),
        Raised("delivery", 3, 10),
    ]
    assert [one.key for one in on_clauses(rules, raised, {})] == ["payment_terms", "warranty", "delivery"]
    assert on_clauses(rules, [Raised("warranty", 2, 2)], {}) == [], "two customers are too few"


def client(company: Company, person: str = "rep1", role: str = "rep") -> rpc.LessonServiceStub:
    return company.live.stub(rpc.LessonServiceStub, person, role)


async def write(company: Company, title: str, stage: str, **fields: Any) -> str:
    request = knowledge_pb2.CreateArticleRequest(
        request_id=rid(),
        kind=knowledge_pb2.ARTICLE_KIND_LESSON,
        state=knowledge_pb2.ARTICLE_STATE_PUBLISHED,
        title=title,
        index=knowledge_pb2.KnowledgeIndex(stage_keys=[stage] if stage else []),
        **fields,
    )
    request.length.FromSeconds(180)
    return (await knowledge(company, "m1", "manager").CreateArticle(request)).id


async def offers(company: Company, person: str = "rep1", role: str = "rep", **asked: Any) -> list[pb.LessonOffer]:
    return list((await client(company, person, role).ListLessonOffers(pb.ListLessonOffersRequest(**asked))).offers)


@pytest.mark.mission("S86", "S88", "S90")
async def test_a_lesson_comes_with_the_step_and_counts_when_it_is_applied(company: Company) -> None:
    live, refused, rep = company.live, company.live.refused, client(company)
    body = "先说客户这一行的成果。\nQ: 先讲谁?\nA: 客户\n"
    first = await write(company, "三分钟介绍公司", "b2b/profile", body=body, applied_hearing_keys=["trial"])
    second = await write(company, "三分钟问需求", "b2b/need", body="追问", ability_keys=["needs"])
    deal = await company.open(account_id=ACME)
    await live.settle()
    [offer] = await offers(company)
    assert (offer.article_id, offer.opportunity_id, offer.stage_key) == (first, deal.id, "b2b/profile")
    assert (offer.state, offer.rule.rule, offer.length.seconds) == (pb.LESSON_STATE_OFFERED, "opened", 180)
    await company.climb(deal, PROFILE)
    await live.settle()
    assert [one.article_id for one in await offers(company)] == [second, first]
    await company.open(account_id=ACME)
    await live.settle()
    assert len(await offers(company)) == 2, "what lies on the table is not put there twice"

    wrong = pb.CompleteLessonRequest(request_id=rid(), offer_id=offer.id, etag=offer.etag)
    with refused("INVALID_ARGUMENT", "ANSWERS_MISSING"):
        await rep.CompleteLesson(wrong)
    wrong.answers.append("我们")
    failed = await rep.CompleteLesson(wrong)
    assert (failed.state, failed.score_ratio) == (pb.LESSON_STATE_OFFERED, 0)
    with refused("PERMISSION_DENIED"):
        await client(company, "m1", "manager").CompleteLesson(wrong)
    again = pb.CompleteLessonRequest(request_id=rid(), offer_id=offer.id, etag=failed.etag, answers=[" 客户"])
    done = await rep.CompleteLesson(again)
    assert (done.state, done.score_ratio) == (pb.LESSON_STATE_COMPLETED, 1)

    def evidence(of: pb.LessonOffer, **fields: Any) -> pb.SubmitLessonEvidenceRequest:
        return pb.SubmitLessonEvidenceRequest(request_id=rid(), offer_id=of.id, etag=of.etag, **fields)

    await live.advance(hours=2)
    older = await talks(company).CreateTranscript(
        taken(
            company, "s:可以先试用一条线, 四周。", "c:好的, 可以。", account_id=ACME, start_time=_ago(company, hours=30)
        )
    )
    newer = await talks(company).CreateTranscript(
        taken(company, "s:可以先试用一条线, 四周。", "c:好的, 可以。", account_id=ACME)
    )
    assert "trial" in {one.key for one in newer.hearings}
    with refused("INVALID_ARGUMENT", "EVIDENCE_EMPTY"):
        await rep.SubmitLessonEvidence(evidence(done))
    with refused("FAILED_PRECONDITION", "EVIDENCE_OLDER_THAN_LESSON"):
        await rep.SubmitLessonEvidence(evidence(done, record_id=older.id))
    with refused("INVALID_ARGUMENT", "EVIDENCE_UNKNOWN"):
        await rep.SubmitLessonEvidence(evidence(done, record_id=OTHER))
    applied = await rep.SubmitLessonEvidence(evidence(done, record_id=newer.id))
    assert (applied.state, applied.reviewer_id) == (pb.LESSON_STATE_APPLIED, "funnel.lessons")
    assert "试用" in applied.evidence_sentence

    # The other one says nothing of itself: a log, which the manager judges.
    [asking] = [one for one in await offers(company) if one.article_id == second]
    with refused("FAILED_PRECONDITION", "LESSON_NOT_COMPLETED"):
        await rep.SubmitLessonEvidence(evidence(asking, record_id=newer.id))
    asking = await rep.CompleteLesson(pb.CompleteLessonRequest(request_id=rid(), offer_id=asking.id, etag=asking.etag))
    await live.advance(hours=2)
    third = await talks(company).CreateTranscript(taken(company, "s:多久一次?", "c:每天三次。", account_id=ACME))
    handed = await rep.SubmitLessonEvidence(evidence(asking, record_id=third.id, note="问了频次"))
    assert handed.state == pb.LESSON_STATE_EVIDENCE_SUBMITTED
    tasks = [one.content for one in await live.told(approvals.TaskRequested) if one.content.subject_id == handed.id]
    assert [(one.kind, one.assignee_role) for one in tasks] == [("confirmation", "manager_of_owner")]
    review = pb.ReviewLessonEvidenceRequest(request_id=rid(), offer_id=handed.id, etag=handed.etag, comment="没问损失")
    with refused("PERMISSION_DENIED"):
        await client(company, "m2", "manager").ReviewLessonEvidence(review)
    no = await client(company, "lead1", "manager").ReviewLessonEvidence(review)
    assert (no.state, no.reviewer_id, no.review_comment) == (pb.LESSON_STATE_REFUSED, "lead1", "没问损失")
    review.request_id, review.etag, review.accepted = rid(), no.etag, True
    with refused("FAILED_PRECONDITION", "NO_EVIDENCE"):
        await client(company, "lead1", "manager").ReviewLessonEvidence(review)
    once_more = await rep.SubmitLessonEvidence(evidence(no, record_id=third.id, note="补充: 每次半小时"))
    review.request_id, review.etag = rid(), once_more.etag
    yes = await client(company, "lead1", "manager").ReviewLessonEvidence(review)
    assert yes.state == pb.LESSON_STATE_APPLIED
    points = live.stub(points_pb2_grpc.PointsServiceStub, "rep1", "rep")
    entries = (await points.ListPointsEntries(points_pb2.ListPointsEntriesRequest(kind=3))).entries
    assert [(one.points, one.rule.rulebook) for one in entries] == [(3, "funnel.lessons")] * 2

    # Offered by hand to another, and not taken up in a month.
    hand = pb.OfferLessonRequest(request_id=rid(), article_id=first, person_id="rep2", note="先看这个")
    with refused("PERMISSION_DENIED"):
        await client(company, "m1", "manager").OfferLesson(hand)
    given = await client(company, "m2", "manager").OfferLesson(hand)
    hand.request_id = rid()
    with refused("ALREADY_EXISTS", "LESSON_OFFERED"):
        await client(company, "m2", "manager").OfferLesson(hand)
    live.process.time.stop_at(live.now + timedelta(days=31))
    [late] = await offers(company, "rep2")
    assert (late.id, late.state) == (given.id, pb.LESSON_STATE_EXPIRED)
    with refused("FAILED_PRECONDITION", "OFFER_EXPIRED"):
        await client(company, "rep2").CompleteLesson(
            pb.CompleteLessonRequest(request_id=rid(), offer_id=late.id, etag=late.etag, answers=["客户"])
        )
    hand.request_id = rid()
    assert (await client(company, "m2", "manager").OfferLesson(hand)).state == pb.LESSON_STATE_OFFERED


def _ago(company: Company, **span: float) -> Any:
    from .test_talk import instant

    return instant(company, **span)


def advice_of(company: Company, person: str = "rep1", role: str = "rep") -> advice_pb2_grpc.AdviceServiceStub:
    return company.live.stub(advice_pb2_grpc.AdviceServiceStub, person, role)


@pytest.mark.mission("S87")
async def test_after_a_visit_the_talk_and_after_a_proposal_three_clauses(company: Company) -> None:
    live, refused, rep = company.live, company.live.refused, advice_of(company)
    scripts = await write(company, "三分钟回应价格", "", body="总成本", ability_keys=["price"])
    talk = await talks(company).CreateTranscript(
        taken(company, "c:报价太高了，吃不消。", "s:先看看外观。", "c:好。", "s:颜色有三种。", account_id=ACME)
    )
    early = await rep.GetAdvice(advice_pb2.GetAdviceRequest(activity_id=talk.activity_id))
    assert early.id == "", "made now, kept by nobody"
    await live.advance(minutes=5)
    kept = await rep.GetAdvice(advice_pb2.GetAdviceRequest(activity_id=talk.activity_id))
    assert (kept.kind, kept.person_id, len(kept.items)) == (advice_pb2.ADVICE_KIND_TALK, "rep1", len(early.items))
    dodged = {one.key: one for one in kept.items}["avoids_price_objection"]
    assert (dodged.title, dodged.sentence) == ("正面回应价格", "报价太高了，吃不消。")
    assert list(dodged.article_ids) == [scripts]
    rated = await rep.RateAdvice(advice_pb2.RateAdviceRequest(request_id=rid(), advice_id=kept.id, helpful=False))
    assert rated.HasField("helpful")
    assert not rated.helpful
    with refused("NOT_FOUND", "ADVICE_UNKNOWN"):
        await rep.RateAdvice(advice_pb2.RateAdviceRequest(request_id=rid(), advice_id=OTHER, helpful=True))
    with refused("PERMISSION_DENIED"):
        await advice_of(company, "rep2").GetAdvice(advice_pb2.GetAdviceRequest(activity_id=talk.activity_id))
    with refused("INVALID_ARGUMENT", "ONE_OF_TWO"):
        await rep.GetAdvice(advice_pb2.GetAdviceRequest())
    with refused("NOT_FOUND", "NOTHING_TO_ADVISE_ON"):
        await rep.GetAdvice(advice_pb2.GetAdviceRequest(activity_id=OTHER))

    # Four more customers of the trade; what they asked about comes with the next proposal to one like them.
    proposals = live.stub(proposals_pb2_grpc.ProposalServiceStub, "rep1", "rep")
    owner = {"owner_id": "rep1", "unit_id": "team1"}

    async def propose(account_id: str) -> proposals_pb2.Proposal:
        deal: opportunities_pb2.Opportunity = await company.open(account_id=account_id)
        return await proposals.SubmitProposal(
            proposals_pb2.SubmitProposalRequest(request_id=rid(), opportunity_id=deal.id, title="方案", custom=True)
        )

    for number, raised in enumerate((["payment_terms", "warranty"], ["payment_terms"], ["delivery", "payment_terms"])):
        like = new_id()
        await live.hear(account(like, f"同行{number}", industry="machinery", ownership=owner))
        if number == 2:
            alone = await propose(ACME)
            with refused("FAILED_PRECONDITION", "TOO_LITTLE_DATA"):
                await rep.GetAdvice(advice_pb2.GetAdviceRequest(proposal_id=alone.id))
        made = await propose(like)
        await proposals.RecordProposalFeedback(
            proposals_pb2.RecordProposalFeedbackRequest(
                request_id=rid(),
                proposal_id=made.id,
                etag=made.etag,
                clauses=[proposals_pb2.ProposalClause(key=key, concern="要改", raised=True) for key in raised],
            )
        )
    ours = await propose(ACME)
    await live.advance(minutes=5)
    clauses = await rep.GetAdvice(advice_pb2.GetAdviceRequest(proposal_id=ours.id))
    assert [(one.key, one.raised_count, one.similar_count) for one in clauses.items] == [
        ("payment_terms", 3, 3),
        ("delivery", 1, 3),
        ("warranty", 1, 3),
    ]
    assert clauses.items[0].title == "付款方式"
    share = clauses.items[1].raised_share
    # One of three: next to nothing is known, and it says so.
    assert (share.sample_size, share.method) == (3, "wilson")
    assert (share.low, share.high) == (pytest.approx(0.061, abs=0.001), pytest.approx(0.792, abs=0.001))
    assert "machinery" in clauses.items[0].reasons[0].text
    listed = await rep.ListAdvice(advice_pb2.ListAdviceRequest(kind=advice_pb2.ADVICE_KIND_CLAUSES))
    assert clauses.id in {one.id for one in listed.advice}
    assert not (await advice_of(company, "rep2").ListAdvice(advice_pb2.ListAdviceRequest())).advice
