"""The manager's judgement beside the seller's (U2), in the board of whoever asks (U1)."""

from __future__ import annotations

from typing import Any

import pytest

from closedloop.funnel.v1 import boards_pb2, boards_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2 as words

from .conftest import Company, cny, day, rid

COMMIT, OMITTED = words.FORECAST_CATEGORY_COMMIT, words.FORECAST_CATEGORY_OMITTED


async def override(company: Company, person: str, deal: pb.Opportunity, **fields: Any) -> pb.Opportunity:
    return await company.deals(person, "manager").OverrideForecast(
        pb.OverrideForecastRequest(
            request_id=rid(), opportunity_id=deal.id, etag=deal.etag, reason="见过客户总经理", **fields
        )
    )


async def board(company: Company, unit_id: str) -> dict[int, tuple[int, int, int, int]]:
    found = await company.live.stub(boards_pb2_grpc.BoardServiceStub, "boss", "executive").GetForecastBoard(
        boards_pb2.GetForecastBoardRequest(
            scope={"unit_id": unit_id}, from_date=day(2026, 1, 1), to_date=day(2026, 3, 31)
        )
    )
    return {
        one.category: (one.count, one.amount.units, one.overridden_count, one.overridden_amount.units)
        for row in found.rows
        for one in row.categories
    }


@pytest.mark.mission("U1", "U2")
async def test_each_leader_has_a_word_and_the_nearest_to_the_owner_is_told(company: Company) -> None:
    deal = await company.open(amount=cny(100), expected_close_date=day(2026, 2, 1))
    await company.open(amount=cny(7), expected_close_date=day(2026, 2, 1))
    first = await override(company, "m1", deal, category=COMMIT, amount=cny(80))
    assert (first.forecast_override.category, first.forecast_override.amount) == (COMMIT, cny(80))
    assert (first.forecast_category, first.amount) == (words.FORECAST_CATEGORY_PIPELINE, cny(100)), (
        "the seller's stands"
    )
    with company.live.refused("ABORTED", "ETAG_MISMATCH"):
        await override(company, "boss", deal, category=OMITTED)
    second = await override(company, "boss", first, category=OMITTED)
    assert second.forecast_override.author_id == "m1", "nearest above the owner"
    told = await company.live.told(events.OpportunityChanged)
    assert told[-1].forecast_category == COMMIT

    # East's leader reads his own word, the company's leader hers.
    pipeline = words.FORECAST_CATEGORY_PIPELINE
    assert await board(company, "east") == {pipeline: (2, 107, 1, 7), COMMIT: (0, 0, 1, 80)}
    assert await board(company, "co") == {pipeline: (2, 107, 1, 7), OMITTED: (0, 0, 1, 100)}
    assert await board(company, "team1") == {pipeline: (2, 107, 2, 107)}

    later = await override(company, "m1", second, expected_close_date=day(2026, 6, 1))
    assert not later.forecast_override.HasField("amount")
    assert await board(company, "east") == {pipeline: (2, 107, 1, 7)}
    lifted = await override(company, "m1", later)
    assert lifted.forecast_override.author_id == "boss"
    history = await company.deals("rep1", "rep").ListForecastOverrides(
        pb.ListForecastOverridesRequest(opportunity_id=deal.id)
    )
    assert [(one.author_id, one.HasField("lifted_time")) for one in history.overrides] == [
        ("m1", True),
        ("boss", False),
        ("m1", True),
    ]
    assert history.overrides[0].unit_id == "east"
    page = await company.deals("m2", "manager").ListForecastOverrides(pb.ListForecastOverridesRequest())
    assert not page.overrides, "north sees nothing of east"
    force = await company.deals("m1", "manager").ListForecastOverrides(
        pb.ListForecastOverridesRequest(in_force_only=True, page_size=1)
    )
    assert [one.author_id for one in force.overrides] == ["boss"]
    with company.live.refused("INVALID_ARGUMENT", "CATEGORY_NOT_SETTABLE"):
        await override(company, "m1", lifted, category=words.FORECAST_CATEGORY_CLOSED)
    with company.live.refused("PERMISSION_DENIED"):
        await override(company, "m2", lifted, category=COMMIT)
