"""Every figure of the funnel's boards walks down to its rows, and is scored for how far it can be believed (S79, S80, S83)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import boards_pb2, boards_pb2_grpc, performance_pb2, performance_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.figures import daily
from closedloop_devstack.testing import figures

from .conftest import ACME, NORTH, Company, account, cny, day, remember, rid
from .raw_history import moment
from .test_performance import WEEK1, WEEK2, visit

PIPELINE = "plain"


def client(company: Company, person: str = "ops", role: str = "operations") -> Any:
    return figures.metrics(company.live, person, role)


async def traced(company: Company, name: str, *period: date, **more: Any) -> pb.TraceMetricResponse:
    return await figures.traced(company.live, f"funnel.{name}", *period, **more)


async def close(company: Company, deal: deals.Opportunity, outcome: int, **more: Any) -> None:
    await company.deals("rep1", "rep").CloseOpportunity(
        deals.CloseOpportunityRequest(
            request_id=rid(), opportunity_id=deal.id, etag=deal.etag, outcome=outcome, reason_code="price", **more
        )
    )


async def some_deals(company: Company) -> None:
    """Two weeks of one seller's pipeline, and a deal of another's in which nothing is filled in."""
    assert await company.gateless() == PIPELINE
    won, lost, moving = [
        await company.open(name=name, account_id=ACME, amount=cny(amount), pipeline_id=PIPELINE)
        for name, amount in (("赢", 1000.01), ("输", 500), ("走", 300))
    ]
    await company.open("rep2", "rep", name="空", amount=None, pipeline_id=PIPELINE)
    await company.live.advance(days=1)
    won, moving = await company.climb(won), await company.climb(moving)
    await company.live.advance(days=2)
    await close(company, won, deals.OPPORTUNITY_STATE_WON)
    await close(company, lost, deals.OPPORTUNITY_STATE_LOST)


@pytest.mark.mission("S79")
async def test_every_figure_of_a_board_is_the_sum_of_its_rows(company: Company) -> None:
    await some_deals(company)
    period = Interval(
        start_time=protos.timestamp(moment(WEEK1, 0).astimezone(UTC)),
        end_time=protos.timestamp(moment(WEEK2, 0).astimezone(UTC)),
    )
    boards = company.live.stub(boards_pb2_grpc.BoardServiceStub, "ops", "operations")
    board = await boards.GetFunnelBoard(
        boards_pb2.GetFunnelBoardRequest(period=period, scope={"pipeline_id": PIPELINE})
    )
    [row] = board.rows
    week = (WEEK1, date(2026, 1, 11))
    won = await traced(company, "won_value", *week, pipeline_id=PIPELINE)
    assert (won.value, won.unit, won.total_rows) == (1000.01, "CNY", 1)
    assert (row.won_amount, won.rows[0].record_type) == (cny(won.value), "opportunity")
    assert (won.rows[0].fields["number"], won.rows[0].provenance.source) == ("赢", "manual")
    rate = await traced(company, "win_rate", *week, page_size=1, pipeline_id=PIPELINE)
    assert (rate.value, {one.name: one.value for one in rate.inputs}) == (row.win_ratio, {"lost": 0, "won": 1})
    cycle = await traced(company, "cycle_days", *week, pipeline_id=PIPELINE)
    assert cycle.value == pytest.approx(row.cycle_days)
    for stage in row.stages:
        where = {"pipeline_id": PIPELINE, "stage_key": stage.stage_key}
        standing = await traced(company, "open_pipeline", *week, **where)
        assert cny(standing.value) == stage.open_amount
        stay, most = [await traced(company, name, *week, **where) for name in ("stage_dwell", "stage_dwell_p90")]
        assert stay.HasField("value") == stage.HasField("mean_dwell_days")
        assert stay.value == pytest.approx(stage.mean_dwell_days)
        assert most.value == pytest.approx(stage.p90_dwell_days)
        passed = await traced(company, "stage_conversion", *week, **where)
        assert passed.HasField("value") == stage.HasField("conversion_ratio")
        assert passed.value == pytest.approx(stage.conversion_ratio)
    forecast = await boards.GetForecastBoard(
        boards_pb2.GetForecastBoardRequest(from_date=day(2026, 1, 1), to_date=day(2026, 12, 31))
    )
    shown = sum(
        one.weighted_amount.units + one.weighted_amount.nanos / 1e9 for r in forecast.rows for one in r.categories
    )
    expected = await traced(company, "expected_value", date(2026, 1, 1), date(2026, 12, 31))
    assert expected.value == pytest.approx(shown)
    # Who may not see the other's deals sees another number, as on the board.
    assert len(await figures.every_figure(company.live, "team1")) == 17
    theirs = await traced(company, "won_value", *week, who=("rep2", "rep"))
    assert (theirs.value, theirs.total_rows) == (0, 0)
    under = await traced(company, "won_value", *week, who=("m1", "manager"), unit_id="east", person_id="rep1")
    assert under.value == won.value
    assert won.explanation == "1000.01 won"
    live = company.live
    for name, reason, more in (
        ("won_value", "SCOPE_NOT_SUPPORTED", {"scope": pb.MetricScope(channel="web")}),
        ("open_pipeline", "PERIOD_NOT_SUPPORTED", {"end_date": day(2026, 1, 6)}),
        ("won_value", "PERIOD_NOT_SUPPORTED", {"end_date": day(2025, 1, 6)}),
        ("won_value", "AT_NOT_SUPPORTED", {"at": protos.timestamp(live.now)}),
    ):
        request = {"start_date": day(2026, 1, 5), "end_date": day(2026, 1, 11), **more}
        with live.refused("INVALID_ARGUMENT", reason):
            await client(company).TraceMetric(pb.TraceMetricRequest(name=f"funnel.{name}", **request))
    with live.refused("NOT_FOUND", "METRIC_UNKNOWN"):
        await traced(company, "luck", *week)
    # Another scope than the one asked for looks like the answer: it is refused.
    for reason, name, scope in (
        ("UNIT_UNKNOWN", "won_value", {"unit_id": "nosuch"}),
        ("PERSON_UNKNOWN", "won_value", {"person_id": "nosuch"}),
        ("PIPELINE_UNKNOWN", "won_value", {"pipeline_id": "nosuch"}),
        ("STAGE_UNKNOWN", "stage_dwell", {"stage_key": "nosuch"}),
    ):
        with live.refused("NOT_FOUND", reason):
            await traced(company, name, *week, **scope)
    manager = "m1", "manager"
    for scope in ({"unit_id": "co"}, {"unit_id": "north"}, {"person_id": "rep2"}):
        with live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
            await traced(company, "won_value", *week, who=manager, **scope)
    metrics, theirs = client(company), live.stub(boards_pb2_grpc.BoardServiceStub, *manager)
    for unit, status, reason in (
        ("nosuch", "NOT_FOUND", "UNIT_UNKNOWN"),
        ("co", "PERMISSION_DENIED", "OUT_OF_SCOPE"),
    ):
        with live.refused(status, reason):
            await theirs.GetFunnelBoard(boards_pb2.GetFunnelBoardRequest(scope={"unit_id": unit}))
    await theirs.GetFunnelBoard(boards_pb2.GetFunnelBoardRequest(scope={"unit_id": "east"}))
    # Before the first day is scored, too.
    with live.refused("NOT_FOUND", "UNIT_UNKNOWN"):
        await metrics.ListMetricHealth(pb.ListMetricHealthRequest(unit_id="nosuch"))


@pytest.mark.mission("S79")
async def test_process_metrics_are_the_mean_of_their_cases(company: Company) -> None:
    good, thin = (visit("rep1", WEEK1, number, done=True, feedback="好") for number in range(2))
    agreed = {"attitude_after": "positive", "next_step": "送方案", "next_step_date": date(2026, 1, 6)}
    plain = {"next_step_date": None}
    missed = visit("rep1", WEEK1, 9, done=False)
    await remember(company, "activity", [good | agreed, thin | plain | {"effective": False}, missed | plain])
    await company.live.hear(
        targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1)
    )
    await some_deals(company)
    await company.live.move_to(moment(WEEK2, 8))
    week = (WEEK1, date(2026, 1, 11))
    report = await company.live.stub(
        performance_pb2_grpc.PerformanceServiceStub, "boss", "executive"
    ).GetPerformanceReport(
        performance_pb2.GetPerformanceReportRequest(
            owner_id="rep1",
            period=Interval(
                start_time=protos.timestamp(moment(WEEK1, 0).astimezone(UTC)),
                end_time=protos.timestamp(moment(WEEK2, 0).astimezone(UTC)),
            ),
        )
    )
    shown = {one.key: one.value for one in report.metrics}
    assert set(shown) == {"visit_completion", "stage_pace", "feedback_collected"}
    for name, value in shown.items():
        found = await traced(company, name, *week, person_id="rep1")
        assert found.value == pytest.approx(value)
    [told] = [one for one in await company.live.told(events.ProcessMetricsMeasured) if one.person_id == "rep1"]
    heard = {one.key: one.value for one in told.metrics}
    for name in ("visit_quality", "authentic_contacts", "follow_up_on_time", "new_opportunities"):
        found = await traced(company, name, *week, person_id="rep1")
        assert found.value == pytest.approx(heard[name]), name


@pytest.mark.mission("S80", "S83")
async def test_the_data_is_scored_every_day_and_reported_every_month(company: Company) -> None:
    live = company.live
    stub = client(company)
    with live.refused("NOT_FOUND", "NO_DATA"):
        await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1))
    assert not (await stub.ListMetricHealth(pb.ListMetricHealthRequest())).healths
    await daily.begin(live.process)
    # A deal whose customer went to somebody else; one without a customer, a day or an amount; a visit logged three days late.
    await live.hear(account(NORTH, "北方重工", 2, ownership={"owner_id": "rep1", "unit_id": "team1"}))
    await company.open(account_id=NORTH, amount=cny(10), expected_close_date=day(2026, 3, 1))
    await live.hear(account(NORTH, "北方重工", 3, ownership={"owner_id": "rep2", "unit_id": "north"}))
    await company.open(account_id=ACME, amount=cny(10), expected_close_date=day(2026, 3, 1))
    await company.open("rep2", "rep", amount=None)
    late = visit("rep1", date(2026, 1, 2), 0, done=True) | {"content": "谈", "logged_at": moment(WEEK1, 10)}
    prompt = visit("rep1", WEEK1, 0, done=True) | {"content": "谈", "logged_at": moment(WEEK1, 11)}
    await remember(company, "activity", [late, prompt])
    await live.move_to(moment(date(2026, 1, 6), 8))

    listed = {one.name: one for one in (await stub.ListMetricHealth(pb.ListMetricHealthRequest())).healths}
    won = listed["funnel.won_value"]
    assert protos.day(won.date) == WEEK1
    filled = {one.name: (one.value, one.text) for one in won.completeness.evidence}
    assert filled["opportunity.account_id"] == (pytest.approx(2 / 3), "1 of 3 fail")
    assert filled["opportunity.amount"][0] == filled["opportunity.expected_close_date"][0] == pytest.approx(2 / 3)
    assert (won.consistency.score, won.consistency.examined, won.consistency.failed) == (0.5, 2, 1)
    assert not won.HasField("timeliness")
    assert won.overall == pytest.approx((0.4 * won.completeness.score + 0.3 * 0.5) / 0.7)
    assert (won.light, won.rule.rulebook, won.rule.rule) == (common_pb2.LIGHT_RED, "funnel.figures", "red_below")
    assert "consistency 50.0%" in won.rule.explanation
    visits = listed["funnel.visit_completion"]
    assert (visits.timeliness.score, visits.timeliness.failed, visits.HasField("consistency")) == (0.5, 1, False)

    # The other seller's deal alone is short of everything; the manager of the east sees nothing of it.
    own = {
        one.name: one
        for one in (await client(company, "rep2", "rep").ListMetricHealth(pb.ListMetricHealthRequest())).healths
    }
    assert (own["funnel.won_value"].completeness.examined, "funnel.visit_completion" in own) == (5, False)
    [east] = (
        await client(company, "m1", "manager").ListMetricHealth(
            pb.ListMetricHealthRequest(name="funnel.won_value", unit_id="team1")
        )
    ).healths
    assert east.completeness.score > won.completeness.score
    with live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await client(company, "m1", "manager").ListMetricHealth(pb.ListMetricHealthRequest(unit_id="north"))
    red = await stub.ListMetricHealth(pb.ListMetricHealthRequest(light=common_pb2.LIGHT_RED, page_size=1))
    assert (len(red.healths), bool(red.next_page_token)) == (1, True)

    running = await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1))
    assert (running.final, running.HasField("previous_score")) == (False, False)
    found = {(one.kind, one.record_type, one.field): one for one in running.findings}
    nobody = found["missing_reference", "opportunity", "account_id"]
    assert (nobody.count, nobody.examined, nobody.owner_id, nobody.owner_role) == (1, 3, "ops", "operations")
    assert nobody.suggestion.startswith("name the customer")
    assert "MES 升级 (" in nobody.examples[0]
    assert "funnel.won_value" in nobody.metrics
    stranger = found["deviation", "opportunity", "account_owner"]
    assert (stranger.count, stranger.text) == (1, "funnel and customers differ in 1 of 2 opportunities")
    assert found["late", "activity", ""].count == 1
    lights = [one.light for one in running.findings]
    assert lights == sorted(lights, reverse=True)
    assert [one.overall for one in running.metrics] == sorted(one.overall for one in running.metrics)
    with live.refused("INVALID_ARGUMENT", "MONTH_IN_FUTURE"):
        await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=2))

    # What must be filled in, and from where on it is red, is the company's to say.
    body = Struct()
    body.update({"obligatory": ["opportunity.account_id"], "red_below": 0.5, "yellow_below": 0.6})
    body.update({"owners": {"funnel.won_value": {"person_id": "m1"}, "funnel.opportunity": {"person_id": "m1"}}})
    shelf = live.stub(platform_pb2_grpc.RulebookServiceStub, "root", "admin")
    await shelf.PublishRulebook(
        platform_pb2.PublishRulebookRequest(
            request_id=rid(), name="funnel.figures", body=body, reason="only the customer matters here"
        )
    )
    await live.process.look()
    eased = await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1))
    assert eased.score > running.score
    assert {one.field for one in eased.findings} == {"account_id", "account_owner", ""}
    assert {one.owner_id for one in eased.findings if one.field} == {"m1"}
    assert (await stub.GetMetric(pb.GetMetricRequest(name="funnel.won_value"))).owner_id == "m1"
    with live.refused("INVALID_ARGUMENT", "RULEBOOK_INVALID"):
        body.update({"obligatory": ["opportunity.mood"]})
        await shelf.PublishRulebook(
            platform_pb2.PublishRulebookRequest(
                request_id=rid(), name="funnel.figures", body=body, reason="no such field"
            )
        )

    # The month ends: it is kept once, as it ended, and the next is compared with it.
    await live.move_to(datetime(2026, 2, 2, 0, tzinfo=UTC))
    kept = await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1))
    assert (kept.final, kept.score) == (True, eased.score)
    assert {(one.kind, one.field): one.count for one in kept.findings} == {
        (one.kind, one.field): one.count for one in eased.findings
    }
    assert kept.findings[0].examples
    running = await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=2))
    assert running.previous_score == kept.score
    days = await stub.ListMetricHealth(
        pb.ListMetricHealthRequest(
            name="funnel.won_value", start_date=day(2026, 1, 1), end_date=day(2026, 2, 28), page_size=1000
        )
    )
    assert len(days.healths) == 28, "a day once, from the fifth of January to the first of February"
    # A day is forgotten when it lies far enough back, the month's report stays.
    # What was kept is not judged by rules that came later.
    body.update({"obligatory": ["opportunity.account_id"], "kept_days": 31, "weights": {"consistency": 1}})
    await shelf.PublishRulebook(
        platform_pb2.PublishRulebookRequest(
            request_id=rid(), name="funnel.figures", body=body, base_version=1, reason="a month is enough"
        )
    )
    await live.move_to(datetime(2026, 2, 12, 1, tzinfo=UTC))
    [first, *_] = (
        await stub.ListMetricHealth(pb.ListMetricHealthRequest(start_date=day(2026, 1, 1), end_date=day(2026, 2, 28)))
    ).healths
    assert protos.day(first.date) == date(2026, 1, 12)
    assert await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1)) == kept
    rung = (await live.db.value("SELECT count(*) FROM timer WHERE kind = 'platform.figures_day'"),)
    assert rung == (1,)
