"""Boards: conversion, stock and dwell of every stage; the forecast by category."""

from __future__ import annotations

from datetime import timedelta

import pytest

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import boards_pb2 as pb
from closedloop.funnel.v1 import boards_pb2_grpc as rpc
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_devstack.platform.home import project
from closedloop_operations.sql import queries

from .conftest import ACME, PROFILE, Company, cny, day, matrix, rid


def client(company: Company, person: str = "ops", role: str = "operations") -> rpc.BoardServiceStub:
    return company.live.stub(rpc.BoardServiceStub, person, role)


async def lose(company: Company, deal: deals.Opportunity) -> None:
    await company.deals("rep1", "rep").CloseOpportunity(
        deals.CloseOpportunityRequest(
            request_id=rid(),
            opportunity_id=deal.id,
            etag=deal.etag,
            outcome=deals.OPPORTUNITY_STATE_LOST,
            reason_code="price",
        )
    )


@pytest.mark.mission("S47", "S43")
async def test_the_board_shows_where_deals_stand_and_stick(company: Company) -> None:
    moving, stuck, lost = [await company.open(account_id=ACME, amount=cny(100)) for _ in range(3)]
    await company.open("rep2", "rep", amount=cny(900))
    await company.live.advance(days=1)
    moving = await company.climb(moving, PROFILE)
    await company.live.advance(days=1)
    await company.climb(moving, matrix())
    await lose(company, lost)
    await company.live.advance(days=4)
    board = await client(company, "m1", "manager").GetFunnelBoard(pb.GetFunnelBoardRequest())
    [row] = board.rows
    profile, need, proposal = row.stages[:3]
    assert (profile.stage_key, profile.entered_count, profile.advanced_count, profile.lost_count) == (
        "profile",
        3,
        1,
        1,
    )
    assert profile.conversion_ratio == pytest.approx(1 / 3)
    # One left after a working day, the other after two.
    assert profile.mean_dwell_days == pytest.approx(1.5)
    assert (profile.open_count, profile.open_amount, profile.overdue_count) == (1, cny(100), 1)
    assert profile.open_share_ratio == pytest.approx(0.5)
    assert (profile.light, profile.rule.rule) == (common_pb2.LIGHT_YELLOW, "overdue_share")
    assert (need.entered_count, need.advanced_count, need.open_count) == (1, 1, 0)
    assert (proposal.open_count, proposal.HasField("conversion_ratio"), proposal.conversion_ratio) == (1, True, 0)
    assert (row.won_count, row.lost_count, row.win_ratio) == (0, 1, 0)
    assert not row.stages[4].HasField("conversion_ratio")
    cohort = await client(company).GetFunnelBoard(
        pb.GetFunnelBoardRequest(view=pb.CONVERSION_VIEW_COHORT, grouping=pb.BOARD_GROUPING_UNIT)
    )
    assert [(r.group_key, r.group_name, r.stages[0].entered_count) for r in cohort.rows] == [
        ("north", "华北", 1),
        ("team1", "一队", 3),
    ]
    mine = await client(company, "rep2", "rep").GetFunnelBoard(pb.GetFunnelBoardRequest())
    assert mine.rows[0].stages[0].open_amount == cny(900)
    assert stuck.stage_key == "profile"
    # The panel of Grafana's board counts the same, of the whole company.
    [panel] = [query for query in queries(project()) if query.name == "Stages and their conversion"]
    asked = panel.filled(company.live.now - timedelta(days=30), company.live.now, {"pipeline": board.scope.pipeline_id})
    first = {line["Stage"]: line for line in await company.live.db.all(asked)}["profile"]
    assert (first["Entered"], first["Advanced"], first["Lost"], first["Open"]) == (4, 1, 1, 2)
    assert (first["Amount"], first["Overdue"], first["Half within"]) == (1000, 2, pytest.approx(1.5))
    with company.live.refused("NOT_FOUND", "PIPELINE_UNKNOWN"):
        await client(company).GetFunnelBoard(pb.GetFunnelBoardRequest(scope={"pipeline_id": "nowhere"}))


@pytest.mark.mission("S44")
async def test_a_stage_that_holds_most_open_deals_is_red(company: Company) -> None:
    for _ in range(10):
        await company.open(amount=cny(1))
    board = await client(company).GetFunnelBoard(
        pb.GetFunnelBoardRequest(grouping=pb.BOARD_GROUPING_ACCOUNT_GRADE, scope={"owner_id": "rep1"})
    )
    stage = board.rows[0].stages[0]
    assert (stage.light, stage.rule.rule, stage.open_share_ratio) == (common_pb2.LIGHT_RED, "stuck_share", 1)


@pytest.mark.mission("U1")
async def test_the_forecast_adds_up_by_category(company: Company) -> None:
    for grouping in ("amount", "more"):
        await company.open(amount=cny(100), expected_close_date=day(2026, 2, 1), name=grouping)
    moved = await company.open(amount=cny(1000), expected_close_date=day(2026, 2, 28), pipeline_id="crm-import")
    await company.climb(moved)
    await company.open(amount=cny(5), expected_close_date=day(2026, 6, 1))
    asked = pb.GetForecastBoardRequest(
        from_date=day(2026, 1, 1), to_date=day(2026, 3, 31), grouping=pb.BOARD_GROUPING_OWNER
    )
    board = await client(company).GetForecastBoard(asked)
    [row] = board.rows
    assert (row.group_name, board.currency_code) == ("张三", "CNY")
    found = {one.category: (one.count, one.amount, one.weighted_amount) for one in row.categories}
    assert found == {
        pipelines_pb2.FORECAST_CATEGORY_PIPELINE: (2, cny(200), cny(20)),
        pipelines_pb2.FORECAST_CATEGORY_BEST_CASE: (1, cny(1000), cny(400)),
    }
    with company.live.refused("INVALID_ARGUMENT", "DATES_REVERSED"):
        await client(company).GetForecastBoard(
            pb.GetForecastBoardRequest(from_date=day(2026, 2, 1), to_date=day(2026, 1, 1))
        )
