"""Best practice mined from deals, told in cases, kept on cards, and measured: r = 0.87 comes back out of raw deals (S94, S96)."""

from __future__ import annotations

import random
from datetime import date, timedelta
from math import sqrt
from statistics import fmean, pstdev
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from closedloop.funnel.v1 import experiments_pb2
from closedloop.funnel.v1 import practices_pb2 as pb
from closedloop.funnel.v1 import practices_pb2_grpc as rpc
from closedloop_chassis.ids import new_id
from closedloop_funnel import estimates
from closedloop_funnel.practices import mining
from closedloop_funnel.practices.rules import (
    FEATURES,
    Deal,
    PracticeRules,
    is_benchmark,
    practised,
    tell_apart,
    value,
)

from .conftest import Company, remember, rid
from .raw_history import moment
from .test_effects import stay
from .test_performance import visit

OTHER = "0190a000-0000-7000-8000-00000000ffff"
CARD, OTHER_CARD = "0190a000-0000-7000-8000-00000000fffd", "0190a000-0000-7000-8000-00000000fffe"


@pytest.mark.mission("S94")
@pytest.mark.parametrize(
    ("days", "margin", "expected"),
    [(70, 0.36, True), (71, 0.36, False), (70, 0.35, False), (10, None, False)],
)
def test_a_benchmark_is_thirty_percent_shorter_and_above_thirty_five_percent_margin(
    days: float, margin: float | None, expected: bool
) -> None:
    assert is_benchmark(PracticeRules(), Deal(id="x", cycle_days=days, margin=margin), 100) is expected


@pytest.mark.mission("S94")
def test_features_are_read_off_a_deal() -> None:
    deal = Deal(
        id="x",
        cycle_days=30,
        margin=0.4,
        roles_at={"engineer": 10},
        activities={"demo": 3, "visit": 5},
        units=["pain_matrix"],
        effective=6,
    )
    assert {key: value(rule, deal) for key, rule in FEATURES.items()} == pytest.approx(
        {
            "technical_lead_early": 1,
            "poc_iterations": 3,
            "pain_matrix": 1,
            "competitor_comparison": 0,
            "custom_proposal": 0,
            "effective_contacts": 6,
        }
    )
    assert (
        value(FEATURES["technical_lead_early"], Deal(id="y", cycle_days=30, margin=0.4, roles_at={"engineer": 11})) == 0
    )
    found = tell_apart(
        PracticeRules(), [deal, Deal(id="slow", cycle_days=90, margin=0.1), Deal(id="?", cycle_days=60, margin=None)]
    )
    assert (found.mean_days, [one.id for one in found.benchmarks], found.without_margin) == (60, ["x"], 1)


@pytest.mark.mission("S94")
def test_out_of_deals_without_a_pattern_no_practice_is_mined() -> None:
    """What benchmarks are chosen by tells nothing of what was done in them: 100 sets of 60 deals, all at random."""
    chance, judged_by = random.Random(94), PracticeRules()
    claimed = 0
    for _ in range(100):
        deals = [
            Deal(
                id=str(number),
                owner_id=f"s{number % 12}",
                cycle_days=chance.lognormvariate(4, 0.6),
                margin=chance.uniform(0.2, 0.6),
                effective=chance.randint(1, 9),
            )
            for number in range(60)
        ]
        told = mining.feature("x", FEATURES["effective_contacts"], tell_apart(judged_by, deals), judged_by)
        claimed += told.difference.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert claimed <= 7, "2.5 % by chance alone"


@pytest.mark.mission("S94")
def test_the_habit_of_a_seller_is_no_practice() -> None:
    """150 sets of twelve sellers who differ in pace and in how many contacts they log, the one having nothing to do with the
    other: with deals taken for independent, one set in twelve would have made a card of it."""
    judged_by, chance, rule = PracticeRules(), random.Random(3), FEATURES["effective_contacts"]
    claimed = over_deals = 0
    for _ in range(150):
        deals = []
        for seller in range(12):
            pace, habit = chance.gauss(0, 0.5), chance.randint(2, 9)
            deals += [
                Deal(
                    id=f"{seller}-{number}",
                    owner_id=str(seller),
                    cycle_days=chance.lognormvariate(4 + pace, 0.4),
                    margin=chance.uniform(0.2, 0.6),
                    effective=max(0, habit + chance.randint(-1, 1)),
                )
                for number in range(6)
            ]
        found = tell_apart(judged_by, deals)
        told = mining.feature("c", rule, found, judged_by)
        claimed += told.difference.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
        sides = [[value(rule, deal) for deal in side] for side in (found.benchmarks, found.others)]
        over_deals += estimates.means_apart(*sides).verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert claimed <= 8, "2.5 % by chance alone"
    assert over_deals > claimed
    star = [Deal(id=f"a{n}", owner_id="star", cycle_days=20 if n < 9 else 90, margin=0.5) for n in range(14)]
    alone = mining.feature("c", rule, tell_apart(judged_by, star), judged_by)
    assert alone.difference.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY, "there is nobody to tell him from"


def test_a_correlation_says_how_sure_it_is() -> None:
    xs = [float(number) for number in range(10)]
    line = estimates.correlation(xs, [2 * x + 1 for x in xs])
    assert line.value == pytest.approx(1)
    alike = estimates.correlation(xs, [1.0, -1.0] * 5)
    assert alike.verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    for given in (xs[:3], [1.0] * 10):
        assert estimates.correlation(given, xs[: len(given)]).verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.PracticeServiceStub:
    return company.live.stub(rpc.PracticeServiceStub, person, role)


def year() -> Interval:
    begins, ends = Timestamp(), Timestamp()
    begins.FromDatetime(moment(date(2026, 1, 1), 0).replace(tzinfo=None))
    ends.FromDatetime(moment(date(2026, 7, 1), 0).replace(tzinfo=None))
    return Interval(start_time=begins, end_time=ends)


def won(number: int, days: int, margin: float | None, **more: Any) -> dict[str, Any]:
    """A deal won on the first of June after so many days."""
    closed = date(2026, 6, 1)
    deal, _ = stay(closed, went_on=False)
    at = moment(closed, 12) + timedelta(minutes=number)
    return {
        **deal,
        "state": "won",
        "stage_key": "won",
        "closed_from": "contract",
        "closed_at": at,
        "close_date": closed,
        "engage_date": closed - timedelta(days=days),
        "created_at": moment(closed - timedelta(days=days), 9),
        "margin_ratio": margin,
        "reporting_minor": 10_000_00,
        "reporting_currency": "CNY",
        "participants": {"eng1": "engineer"},
        "participant_ids": ["eng1"],
        **more,
    }


@pytest.mark.mission("S94", "S96")
async def test_what_short_and_profitable_deals_share_becomes_cards_and_cases_are_told(company: Company) -> None:
    live, refused = company.live, company.live.refused
    live.process.time.stop_at(moment(date(2026, 7, 1), 9))
    mine = pb.MinePracticesRequest(request_id=rid(), period=year(), validate_only=True)
    with refused("FAILED_PRECONDITION", "TOO_LITTLE_DATA"):
        await client(company).MinePractices(mine)
    # Ten of thirty are short and profitable; the engineer was there in their first days, in the others late.
    deals, logs = [], []
    for number in range(30):
        best = number < 10
        seller = f"s{number % 10}" if number % 10 else "rep1"
        deal = won(number, 20 if best else 100, None if number == 29 else 0.4 if best else 0.2, owner_id=seller)
        deals.append(deal)
        early = deal["engage_date"] + timedelta(days=2 if best else 90)
        talk = visit("rep1", early, number, done=True)
        logs.append({**talk, "opportunity_id": deal["id"], "participant_ids": ["eng1"]})
        logs += [
            {**visit("rep1", early, 100 + number * 5 + at, done=True), "kind": "demo", "opportunity_id": deal["id"]}
            for at in range(3 if best else number % 2)
        ]
    await remember(company, "opportunity", deals)
    await remember(company, "activity", logs)
    mine.request_id = rid()
    tried = await client(company).MinePractices(mine)
    assert (tried.deal_count, tried.benchmark_count, tried.without_margin_count) == (30, 10, 1)
    assert tried.mean_cycle_days == pytest.approx((10 * 20 + 20 * 100) / 30)
    assert tried.benchmark_cycle_days == pytest.approx(0.7 * tried.mean_cycle_days)
    assert set(tried.benchmark_opportunity_ids) == {deal["id"] for deal in deals[:10]}
    cards = {one.features[0].key: one for one in tried.proposed_cards}
    assert {"technical_lead_early", "poc_iterations"} <= set(cards)
    assert not {"pain_matrix", "custom_proposal"} & set(cards)
    lead = cards["technical_lead_early"].features[0]
    assert (lead.benchmark.value, lead.others.value, lead.difference.method) == (1, 0, "newcombe, by person")
    rounds = cards["poc_iterations"].features[0]
    assert (rounds.benchmark.value, rounds.difference.method) == (3, "welch_t, by person")
    assert rounds.difference.low > 2
    states = [pb.PRACTICE_CARD_STATE_PROPOSED, pb.PRACTICE_CARD_STATE_PUBLISHED]
    for state in states:
        assert not (await client(company).ListPracticeCards(pb.ListPracticeCardsRequest(state=state))).cards
    mine.request_id, mine.validate_only = rid(), False
    kept = await client(company).MinePractices(mine)
    mine.request_id = rid()
    assert len(kept.proposed_cards) >= 2
    assert not (await client(company).MinePractices(mine)).proposed_cards, "what lies there is not proposed again"

    card = next(one for one in kept.proposed_cards if one.features[0].key == "poc_iterations")
    change = pb.UpdatePracticeCardRequest(
        request_id=rid(), card_id=card.id, etag="x", state=pb.PRACTICE_CARD_STATE_PUBLISHED, stage_keys=["b2b/moon"]
    )
    change.update_mask.paths[:] = ["state"]
    with refused("ABORTED", "ETAG_MISMATCH"):
        await client(company).UpdatePracticeCard(change)
    change.etag, change.update_mask.paths[:] = card.etag, ["stage_keys"]
    with refused("INVALID_ARGUMENT", "STAGE_UNKNOWN"):
        await client(company).UpdatePracticeCard(change)
    change.update_mask.paths[:] = ["state"]
    published = await client(company).UpdatePracticeCard(change)
    assert published.state == pb.PRACTICE_CARD_STATE_PUBLISHED
    seen = await client(company, "rep2", "rep").ListPracticeCards(pb.ListPracticeCardsRequest(stage_key="b2b/proposal"))
    assert [one.id for one in seen.cards] == [card.id]
    assert (
        "至少两轮"
        in (await client(company, "rep2", "rep").GetPracticeCard(pb.GetPracticeCardRequest(card_id=card.id))).method
    )

    case = pb.SubmitCaseRequest(
        request_id=rid(),
        opportunity_id=deals[0]["id"],
        title="三轮演示拿下",
        decision_point="先演示还是先报价",
        turn="客户换了总监",
        trick="把指标写进试点协议",
    )
    with refused("PERMISSION_DENIED"):
        await client(company, "rep2", "rep").SubmitCase(case)
    told = await client(company, "rep1", "rep").SubmitCase(case)
    still_open = await company.open()
    case.request_id, case.opportunity_id = rid(), still_open.id
    with refused("FAILED_PRECONDITION", "OPPORTUNITY_OPEN"):
        await client(company, "rep1", "rep").SubmitCase(case)
    listed = await client(company, "rep2", "rep").ListCases(pb.ListCasesRequest(query="试点协议", benchmark_only=True))
    assert [(one.id, one.benchmark) for one in listed.cases] == [(told.id, True)]


@pytest.mark.mission("S94")
async def test_adoption_against_results_gives_r_of_0_87_out_of_raw_deals(company: Company) -> None:
    live, refused, ops = company.live, company.live.refused, client(company)
    live.process.time.stop_at(moment(date(2026, 7, 1), 9))
    report = pb.GetAdoptionReportRequest(period=year())
    with refused("FAILED_PRECONDITION", "NOTHING_TO_ADOPT"):
        await ops.GetAdoptionReport(report)
    card = {
        "id": OTHER, "version": 1, "state": "published", "title": "多轮演示", "method": "", "feature_key": "",
        "features": [], "customer_types": [], "industries": [], "stage_keys": [], "action_unit_keys": ["custom_demo"],
        "case_ids": [], "author_id": "ops", "unit_id": "co", "created_at": live.now, "updated_at": live.now,
    }  # fmt: skip
    await remember(company, "practice_card", [card])
    # Twenty sellers with ten deals each; k of the ten have the action. What they win follows it with r = 0.87.
    adopted = [number % 11 for number in range(20)]
    amounts = _correlated([float(k) for k in adopted], 0.87)
    deals, logs = [], []
    for number, (count, amount) in enumerate(zip(adopted, amounts, strict=True)):
        for at in range(10):
            deal = won(number * 10 + at, 30, 0.4, owner_id=f"s{number:02}", reporting_minor=round(amount * 10))
            deals.append(deal)
            if at < count:
                log = visit("rep1", date(2026, 5, 20), number * 10 + at, done=True)
                logs.append({**log, "opportunity_id": deal["id"], "action_unit_keys": ["custom_demo"]})
    await remember(company, "opportunity", deals)
    await remember(company, "activity", logs)
    found = await ops.GetAdoptionReport(report)
    assert len(found.points) == 20
    assert [one.adoption_ratio for one in found.points] == pytest.approx([count / 10 for count in adopted])
    r = found.correlation
    assert r.value == pytest.approx(0.87, abs=0.001)
    assert (r.sample_size, r.method, r.verdict) == (20, "pearson, fisher_z", experiments_pb2.ESTIMATE_VERDICT_HIGHER)
    # Fisher's interval for r = 0.87 of twenty.
    assert (r.low, r.high) == (pytest.approx(0.695, abs=0.002), pytest.approx(0.948, abs=0.002))
    report.metric_key = "win_rate"
    same = await ops.GetAdoptionReport(report)
    assert same.correlation.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY, "all of them won everything"
    report.metric_key = "luck"
    with refused("INVALID_ARGUMENT", "METRIC_UNKNOWN"):
        await ops.GetAdoptionReport(report)
    report.metric_key, report.by_unit = "", True
    few = await ops.GetAdoptionReport(report)
    assert (len(few.points), few.correlation.verdict) == (1, experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY)


@pytest.mark.mission("S94")
def test_a_card_is_followed_by_what_it_was_made_from() -> None:
    found = [{"benchmark": {"value": 3.0}, "others": {"value": 0.5}}]
    [rounds] = practised("poc_iterations", ["custom_demo"], found, FEATURES)
    assert (rounds.rule.kind, rounds.least) == ("activities", 1.75), "its action unit is another thing"
    [early] = practised("technical_lead_early", ["needs_report"], [], FEATURES)
    assert (early.rule.kind, early.least) == ("early_role", 1)
    by_hand = practised("", ["pain_matrix", "custom_demo"], [], FEATURES)
    assert [(one.rule.unit, one.least) for one in by_hand] == [("pain_matrix", 1), ("custom_demo", 1)]
    assert not practised("", [], [], FEATURES)


@pytest.mark.mission("S94")
async def test_who_takes_a_card_up_is_told_before_and_after_and_held_against_the_others(company: Company) -> None:
    live, refused, ops = company.live, company.live.refused, client(company)
    live.process.time.stop_at(moment(date(2026, 10, 1), 9))
    published = date(2026, 4, 1)
    told = {"benchmark": {"value": 3.0}, "others": {"value": 0.5}}
    card = {
        "id": CARD, "version": 1, "state": "published", "title": "多轮演示", "method": "", "feature_key": "poc_iterations",
        "features": [told], "customer_types": [], "industries": [], "stage_keys": [], "action_unit_keys": ["custom_demo"],
        "case_ids": [], "author_id": "ops", "unit_id": "co", "created_at": live.now, "updated_at": live.now,
        "published_at": moment(published, 9),
    }  # fmt: skip
    await remember(company, "practice_card", [card, {**card, "id": OTHER_CARD, "published_at": None}])
    deals, logs = [], []
    # Six took it up: two rounds in one of ten deals before, in nine after. Six did not. Won: 3 of 10 before, then 7 and 3,
    # give or take one.
    for seller in range(12):
        took = seller < 6
        for after in (False, True):
            wins = (7 if took and after else 3) + seller % 3 - 1
            for at in range(10):
                closed = published + timedelta(days=60 if after else -20)
                number = seller * 20 + after * 10 + at
                deal = won(number, 30, 0.4, owner_id=f"t{seller:02}")
                at_day = {
                    "closed_at": moment(closed, 12),
                    "close_date": closed,
                    "engage_date": closed - timedelta(days=30),
                }
                deal |= at_day if at < wins else {**at_day, "state": "lost", "stage_key": "lost"}
                deals.append(deal)
                for one in range(2 if (took and after and at < 9) or at < 1 else 1):
                    log = visit("rep1", closed - timedelta(days=5), 5000 + number * 2 + one, done=True)
                    # The action unit is logged in all of them, and is not what the card is about.
                    logs.append(
                        {**log, "kind": "demo", "opportunity_id": deal["id"], "action_unit_keys": ["custom_demo"]}
                    )
    under_way = won(9000, 60, 0.4, owner_id="t00", closed_at=moment(date(2026, 4, 20), 9), close_date=date(2026, 4, 20))
    deals.append({**under_way, "engage_date": date(2026, 3, 1)})
    await remember(company, "opportunity", deals)
    await remember(company, "activity", logs)

    found = await ops.GetCardAdoption(pb.GetCardAdoptionRequest(card_id=CARD))
    assert (found.feature_key, found.least_value, found.metric_key) == ("poc_iterations", 1.75, "win_rate")
    change = found.adoption_change
    assert (change.value, change.sample_size, change.method) == (pytest.approx(48 / 120), 240, "newcombe, by person")
    assert change.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert [one.adopted for one in found.sellers] == [True] * 6 + [False] * 6
    first = found.sellers[0]
    assert (first.before.value, first.after.value, first.change.sample_size) == (0.1, 0.9, 20)
    assert (first.result_before, first.result_after) == (0.2, 0.6)
    effect = found.effect
    assert (effect.value, effect.sample_size) == (pytest.approx(0.4), 12)
    assert effect.method == "difference_in_differences, welch_t"
    assert found.under_way_count == 1
    report = await ops.GetAdoptionReport(pb.GetAdoptionReportRequest(card_id=CARD, period=year()))
    ratios = {one.group_key: one.adoption_ratio for one in report.points}
    assert ratios["t11"] == pytest.approx(0.1), "its own feature, not the action unit"

    cycle = await ops.GetCardAdoption(pb.GetCardAdoptionRequest(card_id=CARD, metric_key="cycle_days"))
    assert cycle.effect.value == pytest.approx(0)
    team = await ops.GetCardAdoption(pb.GetCardAdoptionRequest(card_id=CARD, unit_id="west"))
    assert (len(team.sellers), team.effect.verdict) == (0, experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY)
    assert team.adoption_change.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY
    with refused("FAILED_PRECONDITION", "NOT_PUBLISHED"):
        await ops.GetCardAdoption(pb.GetCardAdoptionRequest(card_id=OTHER_CARD))
    with refused("INVALID_ARGUMENT", "METRIC_UNKNOWN"):
        await ops.GetCardAdoption(pb.GetCardAdoptionRequest(card_id=CARD, metric_key="luck"))
    with refused("NOT_FOUND", "CARD_UNKNOWN"):
        await ops.GetCardAdoption(pb.GetCardAdoptionRequest(card_id=new_id()))


def _correlated(xs: list[float], r: float) -> list[float]:
    """Yuan (a tenth of them a deal) that go with `xs` by exactly that correlation."""
    mean, spread = fmean(xs), pstdev(xs)
    line = [(x - mean) / spread for x in xs]
    noise = [float((7 * at * at) % 11) for at in range(len(xs))]
    slope = fmean(a * b for a, b in zip(line, noise, strict=True))
    rest = [b - fmean(noise) - slope * a for a, b in zip(line, noise, strict=True)]
    size = sqrt(fmean(one * one for one in rest))
    return [100_000 + 20_000 * (r * a + sqrt(1 - r * r) * b / size) for a, b in zip(line, rest, strict=True)]
