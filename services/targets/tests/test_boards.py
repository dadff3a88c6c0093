"""What everybody looks at in the morning; and the calendar and catalogue behind it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from closedloop.common.v1 import common_pb2
from closedloop.targets.v1 import boards_pb2 as pb
from closedloop.targets.v1 import (
    boards_pb2_grpc,
    cascade_pb2,
    metrics_pb2,
    metrics_pb2_grpc,
    periods_pb2,
    periods_pb2_grpc,
    plans_pb2,
)
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .staff import request_id
from .test_actuals import fact, import_facts, won
from .test_cascade import split
from .test_plans import new_plan, plans, publish, set_, target
from .test_products import import_, product

SHANGHAI = ZoneInfo("Asia/Shanghai")


def boards(live: Live, person: str = "ops", *roles: str) -> boards_pb2_grpc.BoardServiceStub:
    return live.stub(boards_pb2_grpc.BoardServiceStub, person, *(roles or ("operations",)))


async def people(live: Live, **more: Any) -> dict[str, pb.PersonProgress]:
    who = more.pop("who", ("ops", "operations"))
    request = pb.ListPersonProgressRequest(**{"view": pb.BOARD_VIEW_LIVE, **more})
    return {one.person_id: one for one in (await boards(live, *who).ListPersonProgress(request)).people}


async def ranking(live: Live, **more: Any) -> list[tuple[int, str]]:
    request = pb.ListTeamRankingRequest(**{"view": pb.BOARD_VIEW_LIVE, **more})
    return [(one.rank, one.unit_id) for one in (await boards(live).ListTeamRanking(request)).ranks]


async def in_force(live: Live, yuan: float = 400_000) -> plans_pb2.Plan:
    """400,000 for the quarter: 100,000 for each of four reps."""
    plan = await new_plan(live)
    top = await set_(live, plan, target(yuan, unit="co"))
    await split(live, top, cascade_pb2.CascadeRules())
    await publish(live, plan)
    await live.settle()
    return plan


@pytest.mark.mission("S10")
async def test_each_persons_done_against_target_moves_when_a_deal_is_won(company: Live) -> None:
    await in_force(company)
    assert (await people(company))["rep1"].progress.completion_ratio == 0
    await company.hear(won("o1", 25_000, day=date(2026, 1, 5)), "o1", source="funnel")
    board = await people(company)
    mine = board["rep1"].progress
    assert (mine.done.money.units, mine.target.money.units, mine.completion_ratio) == (25_000, 100_000, 0.25)
    assert mine.period.code == "2026-Q1"
    assert list(board)[-1] == "rep1"
    assert board["rep1"].name == "张三"
    assert board["rep1"].target_id
    assert not board["rep1"].progress.HasField("forecast")


@pytest.mark.mission("S13")
async def test_a_week_that_two_quarters_share_is_one_week(company: Live) -> None:
    """Week 14 has two days of the first quarter and five of the second: missed in both parts it was missed once."""
    for quarter in ("2026-Q1", "2026-Q2"):
        plan = await new_plan(company, period=quarter)
        top = await set_(company, plan, target(400_000, unit="co", period=quarter))
        await split(company, top, cascade_pb2.CascadeRules())
        await publish(company, plan)
    await company.settle()
    await company.move_to(datetime(2026, 4, 6, 9, tzinfo=SHANGHAI))
    # All of the quarter by week 13, nothing in week 14.
    summary = await import_facts(company, fact("q1", 100_000, "rep1", date(2026, 3, 25)))
    assert not summary.errors
    [standing] = (await people(company, period="2026-W14", person_id="rep1")).values()
    assert standing.progress.done.money.units == 0
    assert standing.progress.weeks_under == 1


@pytest.mark.mission("S10")
async def test_months_weeks_and_the_year_add_up_from_cells(company: Live) -> None:
    await in_force(company)
    by_period = {}
    for code in ("2026-M01", "2026-M02", "2026-M03", "2026-W03", "2026-F02", "2026"):
        by_period[code] = (await people(company, period=code, person_id="rep1"))["rep1"].progress.target.money.units
    assert by_period["2026"] == 100_000
    assert 0 <= 100_000 - sum(by_period[f"2026-M0{month}"] for month in (1, 2, 3)) < 3
    assert 0 < by_period["2026-W03"] < by_period["2026-F02"] < by_period["2026-M01"]

    async def fen(code: str) -> int:
        asked = (await people(company, period=code, person_id="rep1"))["rep1"].progress.target.money
        return asked.units * 100 + asked.nanos // 10_000_000

    weeks = {number: await fen(f"2026-W{number:02}") for number in (2, 3, 4)}
    # A span that is no period of the calendar is made of its weeks, cut by their days, or of its months.
    assert await fen("2026-01-05/2026-01-18") == weeks[2] + weeks[3]
    assert await fen("2026-01-07/2026-01-18") == round(weeks[2] * 5 / 7) + weeks[3]
    assert await fen("2026-01-21") == weeks[4] // 7
    assert await fen("2026-01-01/2026-02-28") == await fen("2026-M01") + await fen("2026-M02")


@pytest.mark.mission("S10", "S16")
async def test_a_part_by_product_beside_the_whole_is_in_the_whole(company: Live) -> None:
    await import_(company, product("a", "a"))
    plan = await new_plan(company)
    scope = plans_pb2.TargetScope(product_id="a")
    await set_(company, plan, target(30_000, person="rep1", scope=scope))
    await set_(company, plan, target(20_000, person="rep2", scope=scope))
    await set_(company, plan, target(100_000, person="rep1"))
    published = await publish(company, plan)
    board = await people(company)
    assert board["rep1"].progress.target.money.units == 100_000
    # Where there is no whole the part is what there is.
    assert board["rep2"].progress.target.money.units == 20_000
    assert published.totals[0].amount.money.units == 120_000


@pytest.mark.mission("S13")
async def test_two_weeks_under_the_weekly_target_are_red(company: Live) -> None:
    await in_force(company)
    await company.move_to(datetime(2026, 1, 12, 9, tzinfo=SHANGHAI))
    await import_facts(company, fact("big", 30_000, "rep2", date(2026, 1, 8)))
    first = await people(company)
    assert {name: one.progress.weeks_under for name, one in first.items()} == {
        "rep1": 2,
        "rep2": 0,
        "rep3": 2,
        "rep4": 2,
    }
    await company.move_to(datetime(2026, 1, 26, 9, tzinfo=SHANGHAI))
    later = await people(company)
    assert later["rep2"].progress.weeks_under == 2
    assert later["rep2"].progress.deviation_ratio > 0
    assert later["rep2"].progress.light == common_pb2.LIGHT_RED
    red = await people(company, light=common_pb2.LIGHT_RED)
    assert len(red) == 4


@pytest.mark.mission("S11")
async def test_teams_are_ranked_by_completion(company: Live) -> None:
    await in_force(company)
    await import_facts(
        company,
        fact("1", 50_000, "rep1", date(2026, 1, 5)),
        fact("2", 40_000, "rep3", date(2026, 1, 5)),
        fact("3", 25_000, "rep4", date(2026, 1, 5)),
    )
    assert await ranking(company) == [(1, "east-2"), (2, "east-1"), (2, "north-1")]
    assert await ranking(company, kind="region") == [(1, "east"), (2, "north")]
    assert await ranking(company, unit_id="east") == [(1, "east-2"), (2, "east-1")]
    request = pb.ListTeamRankingRequest(view=pb.BOARD_VIEW_LIVE)
    [best, *_] = (await boards(company, "rep1", "rep").ListTeamRanking(request)).ranks
    assert (best.manager_id, best.head_count, best.progress.done.money.units) == ("l-east-2", 1, 40_000)


@pytest.mark.mission("S10", "S11")
async def test_boards_are_taken_every_morning_and_the_ranking_every_week(company: Live) -> None:
    await in_force(company)
    snapshot = {"view": pb.BOARD_VIEW_SNAPSHOT}
    with company.refused("NOT_FOUND", "SNAPSHOT_NOT_FOUND"):
        await people(company, **snapshot)
    assert await people(company, view=pb.BOARD_VIEW_UNSPECIFIED)
    await import_facts(company, fact("1", 10_000, "rep1", date(2026, 1, 5)))
    await company.move_to(datetime(2026, 1, 6, 7, tzinfo=SHANGHAI))
    await import_facts(company, fact("2", 10_000, "rep1", date(2026, 1, 6)))
    assert (await people(company, **snapshot))["rep1"].progress.done.money.units == 10_000
    assert (await people(company))["rep1"].progress.done.money.units == 20_000
    await company.move_to(datetime(2026, 1, 13, 9, tzinfo=SHANGHAI))
    request = pb.ListTeamRankingRequest(view=pb.BOARD_VIEW_SNAPSHOT)
    taken = await boards(company).ListTeamRanking(request)
    assert taken.as_of_time.ToDatetime(tzinfo=ZoneInfo("UTC")) == datetime(2026, 1, 12, 6, tzinfo=SHANGHAI)
    assert (taken.ranks[0].rank, taken.ranks[0].unit_id) == (1, "east-1")
    await import_facts(company, fact("3", 90_000, "rep3", date(2026, 1, 13)))
    await company.move_to(datetime(2026, 1, 20, 9, tzinfo=SHANGHAI))
    after = {one.unit_id: one for one in (await boards(company).ListTeamRanking(request)).ranks}
    assert (after["east-2"].rank, after["east-2"].previous_rank) == (1, 2)
    day = protos.date_proto(date(2026, 1, 8))
    past = await people(company, date=day, **snapshot)
    assert past["rep1"].progress.done.money.units == 20_000

    # The same boards for SQL, in a schema of their own.
    taken_lines = await company.db.all("SELECT * FROM report.person_progress WHERE date = '2026-01-08' ORDER BY place")
    mine = next(line for line in taken_lines if line["person"] == "张三")
    assert (mine["done"], mine["target"], mine["completion"], mine["currency"]) == (20_000, 100_000, 0.2, "CNY")
    assert [line["completion"] for line in taken_lines] == sorted(line["completion"] for line in taken_lines)
    assert {line["light"] for line in taken_lines} <= {"none", "blue", "yellow", "red"}
    ranked = await company.db.all(
        "SELECT * FROM report.team_ranking WHERE date = '2026-01-19' AND kind = 'team' ORDER BY rank"
    )
    [risen] = [line for line in ranked if line["unit_id"] == "east-2"]
    assert (risen["rank"], risen["rank_before"], risen["done"]) == (1, 2, 90_000)


async def test_whom_the_boards_show(company: Live) -> None:
    await in_force(company)
    assert set(await people(company, who=("rep1", "rep"))) == {"rep1", "rep2"}
    assert set(await people(company, who=("m-east", "manager"))) == {"rep1", "rep2", "rep3"}
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await people(company, who=("rep1", "rep"), unit_id="north")
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await people(company, who=("rep1", "rep"), person_id="rep4")
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_METRIC"):
        await people(company, metric="charm")
    with company.refused("FAILED_PRECONDITION", "RATE_NOT_FOUND"):
        await people(company, currency_code="USD")


async def test_pages_of_the_board_follow_each_other(company: Live) -> None:
    await in_force(company)
    await import_facts(company, fact("1", 10_000, "rep1"), fact("2", 20_000, "rep2"))
    seen: list[str] = []
    request = pb.ListPersonProgressRequest(view=pb.BOARD_VIEW_LIVE, page_size=1)
    while True:
        answer = await boards(company).ListPersonProgress(request)
        seen += [one.person_id for one in answer.people]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert seen == ["rep3", "rep4", "rep1", "rep2"]


async def test_a_recalled_plan_leaves_the_board_without_targets(company: Live) -> None:
    plan = await in_force(company)
    await import_facts(company, fact("1", 10_000, "rep1"))
    stub = plans(company)
    held = await stub.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id))
    await stub.RecallPlanVersion(
        plans_pb2.RecallPlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, version=1, etag=held.etag, reason="too early"
        )
    )
    board = await people(company)
    assert list(board) == ["rep1"]
    assert not board["rep1"].progress.HasField("target")
    assert not board["rep1"].progress.HasField("completion_ratio")


async def test_the_fiscal_calendar(company: Live) -> None:
    stub = company.stub(periods_pb2_grpc.PeriodServiceStub, "rep1", "rep")
    request = periods_pb2.ListPeriodsRequest(within="2026-Q1", grain=periods_pb2.PERIOD_GRAIN_WEEK, page_size=10)
    first = await stub.ListPeriods(request)
    request.page_token = first.next_page_token
    second = await stub.ListPeriods(request)
    codes = [one.code for one in (*first.periods, *second.periods)]
    assert (len(codes), codes[0], codes[-1]) == (14, "2026-W01", "2026-W14")
    assert [one.working_days for one in first.periods[:3]] == [1, 5, 5]
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_PERIOD"):
        await stub.ListPeriods(periods_pb2.ListPeriodsRequest(within="2026-Q7", grain=2))
    with company.refused("FAILED_PRECONDITION", "CALENDAR_YEAR_UNKNOWN"):
        await stub.ListPeriods(periods_pb2.ListPeriodsRequest(within="2099", grain=2))


@pytest.mark.mission("S17", "S79")
async def test_the_catalogue_has_two_tracks_twelve_process_metrics_and_their_lineage(company: Live) -> None:
    stub = company.stub(metrics_pb2_grpc.MetricServiceStub, "rep1", "rep")
    process = await stub.ListMetrics(metrics_pb2.ListMetricsRequest(track=metrics_pb2.TRACK_PROCESS, page_size=100))
    assert len(process.metrics) == 12
    # Who owns customers answers for them (S82).
    assert [one.code for one in process.metrics if one.lineage.system == "customers"] == [
        *("first_response", "customer_care")
    ]
    assert sum(one.weight_ratio for one in process.metrics) == pytest.approx(1)
    by_code = {one.code: one for one in process.metrics}
    assert (by_code["visit_completion"].benchmark.value, by_code["visit_completion"].healthy.value) == ("0.82", "0.95")
    [won_value] = (await stub.ListMetrics(metrics_pb2.ListMetricsRequest(codes=["won_value"]))).metrics
    assert (won_value.unit, won_value.lineage.system, won_value.rule.rulebook) == ("CNY", "funnel", "targets.metrics")
    assert "closedloop.funnel.opportunity.won.v1" in won_value.lineage.fed_by
