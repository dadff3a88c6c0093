"""Newcomers: first deal, repurchase, who stays by style of start (S62, S92, S93)."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

import numpy
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from closedloop.funnel.v1 import experiments_pb2
from closedloop.funnel.v1 import newcomers_pb2 as pb
from closedloop.funnel.v1 import newcomers_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_funnel import estimates
from closedloop_funnel.newcomers.rules import NewcomerRules, followed, mismatch

from .conftest import ACME, NORTH, Company, day, remember, rid
from .raw_history import moment
from .test_effects import stay

SHADOW, OWN = pb.ONBOARDING_STYLE_SHADOW, pb.ONBOARDING_STYLE_OWN_CUSTOMERS


@pytest.mark.mission("S62")
def test_forty_one_percent_faster_and_22_percent_more_repurchase() -> None:
    slow, fast = [90.0, 100.0, 110.0] * 10, [50.0, 59.0, 68.0] * 10
    cycle = estimates.relative(slow, fast)
    assert cycle.value == pytest.approx(-0.41)
    assert cycle.verdict == experiments_pb2.ESTIMATE_VERDICT_LOWER
    assert cycle.low < -0.41 < cycle.high < 0
    # 400 of 1000 came back before, 4892 of 10000 after.
    repurchase = estimates.relative_share(489, 1000, 40, 100)
    assert repurchase.value == pytest.approx(0.223, abs=0.001)
    assert repurchase.verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE, (
        "a hundred before are too few to be sure"
    )
    assert estimates.relative([1.0], [2.0]).verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    assert estimates.spread([5.0, 5.0], "d").low == 5


def test_an_interval_of_five_values_holds_as_often_as_it_says() -> None:
    """400 samples of five of a mean of nothing; percentiles of samples drawn anew held 81 of 100."""
    chance = numpy.random.default_rng(3)
    told = [estimates.spread(list(chance.normal(0, 1, 5)), "d") for _ in range(400)]
    apart = [estimates.means_apart(list(chance.normal(0, 1, 5)), list(chance.normal(0, 3, 8)), "d") for _ in range(400)]
    for some, method in ((told, "student_t"), (apart, "welch_t")):
        assert {one.method for one in some} == {method}
        assert sum(one.low <= 0 <= one.high for one in some) / 400 == pytest.approx(0.95, abs=0.033)


@pytest.mark.mission("S92")
def test_a_new_cohort_does_not_look_faster_because_its_slow_ones_have_sold_nothing_yet() -> None:
    """Two cohorts of one kind, the second begun four months ago: first deals told alone would be 40 % faster."""
    rules, today = NewcomerRules(), date(2026, 6, 30)
    sold = [30, 60, 90, 150, 170, 200, 260, 300]
    old = followed(rules, [(date(2025, 1, 1), date(2025, 1, 1) + timedelta(days=one)) for one in sold], today)
    assert (old.days, old.none, old.too_new) == ([30, 60, 90, 150, 170, 180, 180, 180], 3, 0)
    begun = date(2026, 3, 1)
    deals = [begun + timedelta(days=one) for one in sold]
    new = followed(rules, [(begun, deal if deal <= today else None) for deal in deals], today)
    assert (new.days, new.too_new) == ([], 8)
    assert new.sentence == "of the first 180 days; 0 of 0 have sold nothing by then, 8 started too lately to be counted"
    later = followed(rules, [(begun, deal) for deal in deals], date(2026, 12, 31))
    assert later == old


@pytest.mark.mission("S93")
def test_a_guides_customers_may_be_another_market() -> None:
    rules = NewcomerRules()
    assert mismatch(rules, {"a": 30, "b": 10}, {"a": 30, "b": 10}) == 0
    assert mismatch(rules, {"a": 20}, {"b": 27}) == 1
    assert mismatch(rules, {"a": 10, "b": 10}, {"b": 20}) == 0.5
    assert mismatch(rules, {}, {"b": 20}) is None
    assert mismatch(rules, {"a": 19}, {"b": 27}) is None, "few deals differ in one market, too"


def client(company: Company, person: str = "boss", role: str = "executive") -> rpc.NewcomerServiceStub:
    return company.live.stub(rpc.NewcomerServiceStub, person, role)


async def _won(company: Company, deal_id: str, day: str) -> None:
    tx = company.live.process.database.transaction()
    tx.do("UPDATE opportunity SET state = 'won', close_date = %(day)s WHERE id = %(id)s", {"day": day, "id": deal_id})
    await tx.commit()


def span(begins: date, ends: date) -> Interval:
    return Interval(
        start_time=Timestamp(seconds=int(moment(begins, 0).timestamp())),
        end_time=Timestamp(seconds=int(moment(ends, 0).timestamp())),
    )


@pytest.mark.mission("S62", "S93")
async def test_newcomers_are_followed_from_their_start(company: Company) -> None:
    live, refused = company.live, company.live.refused
    ops = client(company, "ops", "operations")
    ask = pb.SetOnboardingRequest(
        request_id=rid(), person_id="rep1", start_date=day(2025, 9, 1), style=SHADOW, guide_id="rep2"
    )
    set_ = await ops.SetOnboarding(ask)
    ask.request_id, ask.style = rid(), OWN
    with refused("ABORTED", "ETAG_MISMATCH"):
        await ops.SetOnboarding(ask)
    ask.request_id, ask.etag = rid(), set_.etag
    set_ = await ops.SetOnboarding(ask)
    assert (set_.style, set_.guide_id) == (OWN, "rep2")
    for bad, reason in (("nobody", "PERSON_UNKNOWN"),):
        with refused("NOT_FOUND", reason):
            await ops.SetOnboarding(
                pb.SetOnboardingRequest(request_id=rid(), person_id=bad, start_date=day(2025, 9, 1), style=OWN)
            )
    with refused("INVALID_ARGUMENT", "OWN_GUIDE"):
        await ops.SetOnboarding(
            pb.SetOnboardingRequest(
                request_id=rid(), person_id="rep2", start_date=day(2025, 9, 1), style=OWN, guide_id="rep2"
            )
        )
    # What one deal each would say of two markets is not said.
    for owner, account, kind in (("rep1", ACME, "factory"), ("rep2", NORTH, "chain")):
        first = await company.open("ops", "operations", owner_id=owner, account_id=account, customer_type=kind)
        if owner == "rep2":
            await _won(company, first.id, "2025-03-01")
    period = span(date(2025, 8, 1), date(2025, 10, 1))
    few = await client(company).CompareOnboardings(pb.CompareOnboardingsRequest(period=period))
    assert (list(few.segment_gaps), "客群差异最大" in few.summary) == ([], False)
    for _ in range(3):
        await company.open("ops", "operations", owner_id="rep1", account_id=ACME, customer_type="factory")
        deal = await company.open("ops", "operations", owner_id="rep2", account_id=NORTH, customer_type="chain")
        await _won(company, deal.id, "2025-03-01")
    # Won by the newcomer on the fortieth day, again by the same customer; the guide sold to others.
    for owner, account, kind, closed in (
        ("rep1", ACME, "factory", "2025-10-11"),
        ("rep1", ACME, "factory", "2025-12-01"),
        ("rep2", NORTH, "chain", "2025-03-01"),
    ):
        deal = await company.open("ops", "operations", owner_id=owner, account_id=account, customer_type=kind)
        await _won(company, deal.id, closed)
    [one] = (await client(company).ListOnboardings(pb.ListOnboardingsRequest(style=OWN))).onboardings
    assert (one.first_deal_days, one.HasField("segment_mismatch_ratio"), one.HasField("leave_date")) == (
        40,
        False,
        False,
    )
    alone = await client(company).CompareOnboardings(pb.CompareOnboardingsRequest(period=period))
    assert alone.groups[0].segment_mismatch.explanation == "0 of 1 have 20 deals, and a guide who has; it takes 5"
    many = [stay(date(2026, 1, 2), went_on=True)[0] for _ in range(40)]
    for number, deal in enumerate(many):
        theirs = {"owner_id": "rep2", "customer_type": "chain", "state": "won", "close_date": date(2025, 3, 1)}
        deal |= theirs if number % 2 else {"owner_id": "rep1", "customer_type": "factory", "close_date": None}
    await remember(company, "opportunity", many)
    [one] = (await client(company).ListOnboardings(pb.ListOnboardingsRequest(style=OWN))).onboardings
    assert one.segment_mismatch_ratio == 1.0

    # Two hundred who started a year ago: 58 of 100 shadows stayed three months, 79 of 100 with customers of their own.
    started = date(2025, 1, 6)
    await remember(
        company,
        "onboarding",
        [
            {
                "person_id": f"{style}{number}",
                "version": 1,
                "unit_id": "team1",
                "start_date": started,
                "style": style,
                "guide_id": "rep2" if style == "shadow" else "",
                "leave_date": None if number < stayed else started + timedelta(days=60),
                "updated_at": live.now,
            }
            for style, stayed in (("shadow", 58), ("own_customers", 79))
            for number in range(100)
        ],
    )
    compared = await client(company).CompareOnboardings(
        pb.CompareOnboardingsRequest(period=span(date(2025, 1, 1), date(2025, 2, 1)))
    )
    retention = {group.style: (group.people, group.retention.value) for group in compared.groups}
    assert retention == {SHADOW: (100, 0.58), OWN: (100, 0.79)}
    assert compared.retention_difference.value == pytest.approx(0.21)
    assert compared.retention_difference.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert "79/100" in compared.summary
    both = await client(company).CompareOnboardings(
        pb.CompareOnboardingsRequest(period=span(date(2025, 8, 1), date(2025, 10, 1)))
    )
    assert [(gap.segment, gap.guides_ratio, gap.newcomers_ratio) for gap in both.segment_gaps] == [
        ("chain", 1.0, 0.0),
        ("factory", 0.0, 1.0),
    ]
    report = await client(company).GetNewcomerReport(
        pb.GetNewcomerReportRequest(
            before_period=span(date(2025, 1, 1), date(2025, 2, 1)),
            after_period=span(date(2025, 8, 1), date(2025, 10, 1)),
        )
    )
    assert report.metrics[0].before.explanation == "of the first 180 days; 200 of 200 have sold nothing by then"
    assert [(one.name, one.after.verdict) for one in report.metrics] == [
        ("first_deal_days", experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY),
        ("repurchase_ratio", experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY),
    ], "one newcomer says nothing"
    # Five of a spring whose five customers never came back.
    five = [f"spring{number}" for number in range(5)]
    spring = {"version": 1, "unit_id": "team1", "start_date": date(2025, 3, 3), "style": "mixed", "guide_id": ""}
    await remember(
        company,
        "onboarding",
        [{**spring, "person_id": one, "leave_date": None, "updated_at": live.now} for one in five],
    )
    won = {"state": "won", "close_date": date(2025, 4, 1)}
    deals = [stay(date(2025, 3, 10), went_on=True)[0] | won for _ in five]
    await remember(
        company,
        "opportunity",
        [{**deal, "owner_id": one, "account_id": uuid.uuid4()} for one, deal in zip(five, deals, strict=True)],
    )
    march = span(date(2025, 3, 1), date(2025, 4, 1))
    nobody = await client(company).GetNewcomerReport(
        pb.GetNewcomerReportRequest(before_period=march, after_period=march)
    )
    back = {one.name: one for one in nobody.metrics}["repurchase_ratio"]
    assert (back.before.value, back.before.method, back.before.sample_size) == (0, "wilson", 5)
    assert back.before.high == pytest.approx(0.434, abs=0.001), "nobody of five does not say that nobody ever does"
    assert back.change.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    await live.hear(targets.PersonChanged(person_id="rep1", unit_id="team1", name="张三", active=False, version=10**6))
    [gone] = (
        await client(company).ListOnboardings(pb.ListOnboardingsRequest(start_date_from=day(2025, 8, 1)))
    ).onboardings
    assert gone.leave_date == day(2026, 1, 5)
    # Who is described after he left has not stayed, on whatever day that was.
    for person_id, leave in (("rep9", day(2025, 10, 1)), ("rep8", None)):
        await live.hear(
            targets.PersonChanged(
                person_id=person_id, unit_id="team1", name="短", active=False, version=1, leave_date=leave
            )
        )
        ask = pb.SetOnboardingRequest(request_id=rid(), person_id=person_id, start_date=day(2025, 9, 1), style=OWN)
        assert (await ops.SetOnboarding(ask)).leave_date == (leave or day(2026, 1, 5))
    both = await client(company).CompareOnboardings(pb.CompareOnboardingsRequest(period=period))
    [began] = both.groups
    assert (began.people, began.retention.sample_size) == (3, 3)
    assert "自拓客户 2/3" in both.summary
    page = await client(company).ListOnboardings(pb.ListOnboardingsRequest(page_size=150))
    rest = await client(company).ListOnboardings(
        pb.ListOnboardingsRequest(page_size=150, page_token=page.next_page_token)
    )
    assert len(page.onboardings) + len(rest.onboardings) == 208
    with refused("INVALID_ARGUMENT", "TIMES_REVERSED"):
        await client(company).CompareOnboardings(
            pb.CompareOnboardingsRequest(period=span(date(2025, 2, 1), date(2025, 1, 1)))
        )
