"""The live ranking comes out of Redis, is never older than PostgreSQL, and is made anew when Redis forgot or is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import pytest
from redis.asyncio import Redis

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop.targets.v1 import plans_pb2
from closedloop_chassis import protos
from closedloop_chassis.cache import Cache
from closedloop_devstack.servers import RedisServer
from closedloop_devstack.testing.service import Live

from .staff import request_id
from .test_actuals import fact, import_facts, won
from .test_boards import boards, in_force, ranking
from .test_plans import plans

JANUARY = date(2026, 1, 5)


@pytest.fixture
async def redis(redis_server: RedisServer, company: Live) -> AsyncIterator[Redis]:
    """A Redis of the service's own; on a busy machine it may take its time."""
    url = redis_server.database(7)
    patient = Cache(url, prefix="closedloop:targets")
    patient._redis = Redis.from_url(url, socket_timeout=10.0, socket_connect_timeout=10.0)
    company.process.cache = patient
    client = Redis.from_url(url)
    await client.flushdb()
    yield client
    await patient.close()
    await client.aclose()


async def kept(redis: Redis) -> list[bytes]:
    return [key async for key in redis.scan_iter("closedloop:targets:ranking:*")]


@pytest.mark.mission("S11")
async def test_the_live_ranking_is_rebuilt_when_redis_was_lost(redis: Redis, company: Live) -> None:
    plan = await in_force(company)
    await import_facts(company, fact("1", 40_000, "rep3", JANUARY), fact("2", 50_000, "rep1", JANUARY))
    first = await ranking(company)
    assert first == [(1, "east-2"), (2, "east-1"), (3, "north-1")]
    [key] = await kept(redis)
    # Out of Redis: what stands there is what people see, by any of several servers.
    said = pb.ListTeamRankingResponse.FromString(await redis.get(key) or b"")
    said.ranks[0].name = "out of Redis"
    await redis.set(key, said.SerializeToString())
    request = pb.ListTeamRankingRequest(view=pb.BOARD_VIEW_LIVE)
    assert (await boards(company).ListTeamRanking(request)).ranks[0].name == "out of Redis"
    assert await ranking(company, unit_id="east") == [(1, "east-2"), (2, "east-1")]
    # Lost: the same ranking, out of PostgreSQL, and there again.
    await redis.flushdb()
    assert (await boards(company).ListTeamRanking(request)).ranks[0].name == "华东二组"
    assert await ranking(company) == first
    assert await kept(redis) == [key]
    # Whatever changes it is seen at once, whichever way it came in.
    await company.hear(won("o1", 90_000, "rep4", day=JANUARY), "o1", source="funnel")
    assert await ranking(company) == [(1, "north-1"), (2, "east-2"), (3, "east-1")]
    held = await plans(company).GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id))
    recall = plans_pb2.RecallPlanVersionRequest(
        request_id=request_id(), plan_id=plan.id, version=1, etag=held.etag, reason="too early"
    )
    await plans(company).RecallPlanVersion(recall)
    assert not any(one.progress.HasField("target") for one in (await boards(company).ListTeamRanking(request)).ranks)


async def test_pages_of_a_part_of_the_ranking_are_ranked_among_themselves(company: Live) -> None:
    await in_force(company)
    await import_facts(company, fact("1", 90_000, "rep4", JANUARY), fact("2", 50_000, "rep3", JANUARY))
    request = pb.ListTeamRankingRequest(view=pb.BOARD_VIEW_LIVE, unit_id="east", page_size=1)
    first = await boards(company).ListTeamRanking(request)
    request.page_token = first.next_page_token
    second = await boards(company).ListTeamRanking(request)
    assert [(one.rank, one.unit_id) for one in (*first.ranks, *second.ranks)] == [(1, "east-2"), (2, "east-1")]
    assert protos.instant(first.as_of_time) == company.now
