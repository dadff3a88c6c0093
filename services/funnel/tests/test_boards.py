"""Boards: conversion, stock and dwell of every stage; the forecast by category."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

import pytest
from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import boards_pb2 as pb
from closedloop.funnel.v1 import boards_pb2_grpc as rpc
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import protos
from closedloop_chassis.data.rows import row
from closedloop_chassis.ids import new_id
from closedloop_devstack.platform.home import project
from closedloop_funnel.opportunities.record import Move, Opportunity
from closedloop_operations.sql import queries

from .conftest import ACME, PROFILE, Company, cny, day, matrix, remember, rid

STAGES = ("profile", "need", "proposal")


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
    moved = await company.open(
        amount=cny(1000), expected_close_date=day(2026, 2, 28), pipeline_id=await company.gateless()
    )
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


@dataclass
class Drawn:
    """Deals drawn by chance: how they moved, who owns them, and in which the other one takes part."""

    owners: dict[str, str]
    shared: set[str]
    moves: list[Move]

    @staticmethod
    def by(chance: random.Random, begins: datetime, count: int = 60) -> Drawn:
        drawn = Drawn({}, set(), [])
        for _ in range(count):
            deal_id, at, stages = new_id(), begins + timedelta(hours=chance.uniform(0, 1400)), ["", *STAGES]
            drawn.owners[deal_id] = chance.choice(["rep1", "rep2"])
            if chance.random() < 0.2:
                drawn.shared.add(deal_id)
            for sequence in range(1, chance.randint(2, 6)):
                left = stages[min(sequence - 1, 3)]
                ends = sequence > 1 and chance.random() < 0.2
                to = chance.choice(["won", "lost"]) if ends else stages[min(sequence, 3)]
                direction = to if ends else "opened" if sequence == 1 else "forward" if left != to else "backward"
                days = chance.uniform(0, 20) if sequence > 1 and chance.random() < 0.9 else None
                drawn.moves.append(_move(deal_id, sequence, left, to, at, direction, days))
                if ends:
                    break
                at += timedelta(hours=chance.uniform(1, 400))
        return drawn

    def deals(self, begins: datetime) -> list[Opportunity]:
        last = {move.opportunity_id: move for move in self.moves}
        return [
            Opportunity(
                id=deal_id,
                name="升级",
                owner_id=owner,
                unit_id="team1" if owner == "rep1" else "north",
                participant_ids=["rep1" if owner == "rep2" else "rep2"] if deal_id in self.shared else [],
                source="drawn",
                pipeline_id="b2b",
                pipeline_version=0,
                stage_key=last[deal_id].to_stage_key,
                state=last[deal_id].direction if last[deal_id].direction in ("won", "lost") else "open",
                probability=0.5,
                category="pipeline",
                move_count=last[deal_id].sequence,
                stage_entered_at=last[deal_id].at,
                created_at=begins,
                updated_at=last[deal_id].at,
            )
            for deal_id, owner in self.owners.items()
        ]

    def health(
        self, stage: str, begins: datetime, ends: datetime, *, cohort: bool, owner: str = "", shared: bool = False
    ) -> list[Any]:
        """Entered, advanced, lost, mean, median and 90th percentile of days: counted visit by visit."""
        seen = {deal for deal, of in self.owners.items() if owner in ("", of) or (shared and deal in self.shared)}
        own = [move for move in self.moves if move.opportunity_id in seen]
        following = {(move.opportunity_id, move.sequence - 1): move for move in own}
        within = [move for move in own if begins <= move.at < ends]
        entered = [move for move in within if move.to_stage_key == stage]
        left = [move for move in within if move.from_stage_key == stage]
        if cohort:
            left = [after for move in entered if (after := following.get((move.opportunity_id, move.sequence)))]
        days = sorted(move.dwell_days for move in left if move.dwell_days is not None)
        counts = [len(entered), *(sum(one.direction in way for one in left) for way in (("forward", "won"), ("lost",)))]
        return [*counts, *((fmean(days), _quantile(days, 0.5), _quantile(days, 0.9)) if days else (0, 0, 0))]


def _move(deal_id: str, sequence: int, left: str, to: str, at: datetime, direction: str, days: float | None) -> Move:
    return Move(
        opportunity_id=deal_id,
        sequence=sequence,
        from_stage_key=left,
        to_stage_key=to,
        at=at,
        author_id="rep1",
        direction=direction,
        dwell_days=days,
        pipeline_id="b2b",
        pipeline_version=0,
    )


def _quantile(days: list[float], share: float) -> float:
    """Between neighbours in proportion, as the field's spreadsheets have it."""
    at = share * (len(days) - 1)
    low = int(at)
    return days[low] + (days[min(low + 1, len(days) - 1)] - days[low]) * (at - low)


@pytest.mark.mission("S47")
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_figure_is_what_counting_visit_by_visit_gives_however_it_is_narrowed(
    company: Company, seed: int
) -> None:
    begins = company.live.now - timedelta(days=60)
    drawn = Drawn.by(random.Random(seed), begins)
    await remember(company, "opportunity", [row(deal) for deal in drawn.deals(begins)])
    await remember(company, "stage_move", [row(move) for move in drawn.moves])
    start, end = begins + timedelta(days=30), begins + timedelta(days=60)
    period = Interval(start_time=protos.timestamp(start), end_time=protos.timestamp(end))
    for cohort in (False, True):
        view = pb.CONVERSION_VIEW_COHORT if cohort else pb.CONVERSION_VIEW_FLOW
        for owner, scope, person in (("", {}, "ops"), ("", {"unit_id": "co"}, "ops"), ("rep2", {}, "rep2")):
            asked = pb.GetFunnelBoardRequest(period=period, view=view, scope=scope)
            role = "operations" if person == "ops" else "rep"
            [shown] = (await client(company, person, role).GetFunnelBoard(asked)).rows
            for stage in shown.stages[:3]:
                now = drawn.health(stage.stage_key, start, end, cohort=cohort, owner=owner, shared=True)
                told = [stage.entered_count, stage.advanced_count, stage.lost_count, stage.mean_dwell_days]
                assert [*told, stage.median_dwell_days, stage.p90_dwell_days] == pytest.approx(now), stage.stage_key
                earlier = drawn.health(stage.stage_key, begins, start, cohort=cohort, owner=owner, shared=True)
                assert stage.previous_mean_dwell_days == pytest.approx(earlier[3])
        asked = pb.GetFunnelBoardRequest(period=period, view=view, grouping=pb.BOARD_GROUPING_OWNER)
        for shown in (await client(company).GetFunnelBoard(asked)).rows:
            now = drawn.health("need", start, end, cohort=cohort, owner=shown.group_key)
            assert shown.stages[1].entered_count == now[0]
            assert shown.stages[1].p90_dwell_days == pytest.approx(now[5])
