"""More new opportunities in a day than three times the team's mean go to review (S81)."""

from __future__ import annotations

from datetime import date

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import reviews_pb2 as pb
from closedloop.funnel.v1 import reviews_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_funnel.reviews.rules import ReviewRules, burst

from .conftest import ACME, PROFILE, Company, rid
from .raw_history import moment

MONDAY = date(2026, 1, 5)


@pytest.mark.mission("S81")
@pytest.mark.parametrize(
    ("count", "team", "sellers", "expected"),
    [
        (13, 17, 4, True),
        (12, 16, 4, False),
        (4, 4, 10, False),
        (5, 5, 4, True),
        (31, 100, 10, True),
        (30, 100, 10, False),
    ],
)
def test_more_than_three_times_the_mean(count: int, team: int, sellers: int, expected: bool) -> None:
    assert burst(ReviewRules(), count, team, sellers) is expected


def client(company: Company, person: str = "m1", role: str = "manager") -> rpc.ReviewServiceStub:
    return company.live.stub(rpc.ReviewServiceStub, person, role)


@pytest.mark.mission("S81")
async def test_a_burst_is_held_released_or_rejected(company: Company) -> None:
    live, refused = company.live, company.live.refused
    await live.organise(
        units=[], people=[(f"rep{number}", "team1", f"销售{number}", ["rep"]) for number in range(3, 7)]
    )
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    for owner in ("rep3", "rep4"):
        await company.open("ops", "operations", owner_id=owner)
    real, fake, *_ = [await company.open(account_id=ACME) for _ in range(6)]
    await live.move_to(moment(MONDAY, 23))
    [review] = (await client(company).ListReviews(pb.ListReviewsRequest(state=pb.REVIEW_STATE_OPEN))).reviews
    assert (review.kind, review.ownership.owner_id, len(review.opportunity_ids)) == (pb.REVIEW_KIND_INTAKE, "rep1", 6)
    # Five sellers in the team, eight new ones between them.
    assert {one.name: one.value for one in review.evidence} == {
        "new_opportunities": 6,
        "team_mean": pytest.approx(1.6),
        "team_sellers": 5,
    }
    [task] = [one.content for one in await live.told(approvals.TaskRequested) if one.content.kind == "review"]
    assert (task.assignee_role, task.subject_id) == ("manager_of_owner", review.id)
    assert (await company.read(real.id)).review_id == review.id
    told = [one for one in await live.told(events.OpportunityChanged) if one.opportunity_id == real.id]
    assert told[-1].under_review
    with refused("FAILED_PRECONDITION", "OPPORTUNITY_UNDER_REVIEW"):
        await company.climb(await company.read(real.id), PROFILE)

    ask = pb.ConcludeReviewRequest(
        request_id=rid(), review_id=review.id, etag="x", conclusion="一条为虚构", rejected_opportunity_ids=[fake.id]
    )
    with refused("PERMISSION_DENIED"):
        await client(company, "m2").ConcludeReview(ask)
    with refused("ABORTED", "ETAG_MISMATCH"):
        await client(company).ConcludeReview(ask)
    ask.etag = review.etag
    ask.rejected_opportunity_ids.append(ACME)
    with refused("INVALID_ARGUMENT", "OPPORTUNITY_NOT_IN_REVIEW"):
        await client(company).ConcludeReview(ask)
    ask.rejected_opportunity_ids[:] = [fake.id]
    done = await client(company).ConcludeReview(ask)
    assert (done.state, done.reviewer_id, list(done.rejected_opportunity_ids)) == (
        pb.REVIEW_STATE_CONCLUDED,
        "m1",
        [fake.id],
    )
    lost = await company.read(fake.id)
    assert (lost.state, lost.reason_code, lost.reason_comment) == (deals.OPPORTUNITY_STATE_LOST, "other", "一条为虚构")
    free = await company.read(real.id)
    assert (free.review_id, free.state) == ("", deals.OPPORTUNITY_STATE_OPEN)
    assert (await company.climb(free, PROFILE)).stage_key == "need"
    ask.request_id, ask.etag = rid(), done.etag
    with refused("FAILED_PRECONDITION", "REVIEW_CONCLUDED"):
        await client(company).ConcludeReview(ask)
    await live.advance(days=1)
    again = await client(company, "rep1", "rep").GetReview(pb.GetReviewRequest(review_id=review.id))
    assert again == done
    assert len((await client(company).ListReviews(pb.ListReviewsRequest())).reviews) == 1
