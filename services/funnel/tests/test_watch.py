"""The funnel live: through Redis to every replica, resumed without a gap, and right when Redis is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from closedloop.funnel.v1 import activities_pb2_grpc
from closedloop.funnel.v1 import watch_pb2 as pb
from closedloop.funnel.v1 import watch_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.cache import Cache
from closedloop_devstack.servers import RedisServer
from closedloop_devstack.testing.service import Live, work
from closedloop_funnel.watch.feed import feed
from closedloop_funnel.watch.rules import WatchRules

from .conftest import ACME, PROFILE, Company, cny
from .test_activities import call

# Generous: a busy machine is late, never wrong.
PATIENCE = 30


def watch(live: Live, person: str = "rep1", role: str = "rep", **fields: Any) -> Any:
    return live.stub(rpc.WatchServiceStub, person, role).WatchFunnel(pb.WatchFunnelRequest(**fields))


async def change(stream: Any) -> pb.WatchFunnelResponse:
    """The next that is no heartbeat."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message: pb.WatchFunnelResponse = await stream.read()
            if message.kind != pb.FUNNEL_CHANGE_KIND_HEARTBEAT:
                return message


async def begun(stream: Any) -> str:
    async with asyncio.timeout(PATIENCE):
        first: pb.WatchFunnelResponse = await stream.read()
    assert first.kind == pb.FUNNEL_CHANGE_KIND_HEARTBEAT
    return first.resume_token


def quick(live: Live) -> None:
    """Looks by itself soon, so that the test need not wait; heartbeats often."""
    shelf: Any = live.process.rulebooks
    given = shelf.in_force
    rules = WatchRules(look_seconds=60, away_seconds=0.05, heartbeat_seconds=0.2)
    shelf.in_force = lambda model, at: rules if model is WatchRules else given(model, at)


async def test_changes_reach_every_replica_and_resume_without_gap_also_when_redis_is_lost(
    company: Company, tmp_path: Path
) -> None:
    ours = company.live
    with RedisServer(tmp_path / "redis") as redis:
        vars(ours.process)["cache"] = Cache(redis.url, prefix="closedloop:funnel", patience=10)
        async with ours.beside(redis.url) as theirs:
            vars(theirs.process)["cache"] = Cache(redis.url, prefix="closedloop:funnel", patience=10)
            quick(ours)
            quick(theirs)
            near, far, boss = watch(ours), watch(theirs), watch(theirs, "m2", "manager")
            start = await begun(near)
            await begun(far)
            elsewhere = await begun(boss)
            deal = await company.open(account_id=ACME)
            for stream in (near, far):
                seen = await change(stream)
                assert (seen.kind, seen.record_id, seen.etag) == (
                    pb.FUNNEL_CHANGE_KIND_OPPORTUNITY_CREATED,
                    deal.id,
                    deal.etag,
                )
            assert (seen.amount, seen.summary, seen.account_id) == (cny(200_000), "MES 升级", ACME)
            moved = await company.climb(deal, PROFILE)
            seen = await change(far)
            assert (seen.kind, seen.etag) == (pb.FUNNEL_CHANGE_KIND_OPPORTUNITY_ADVANCED, moved.etag)
            assert (seen.from_stage_key, seen.stage_key) == (deal.stage_key, moved.stage_key)

            redis.kill()
            logs = ours.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep")
            logged = await logs.LogActivity(call(company, opportunity_id=deal.id))
            late = await change(far)
            assert (late.kind, late.record_id) == (pb.FUNNEL_CHANGE_KIND_ACTIVITY_LOGGED, logged.id)
            assert logged.content not in late.summary

            # The stream broke: all of it again from the first token, nothing twice from the middle.
            again = watch(theirs, resume_token=start)
            assert [(await change(again)).record_id for _ in range(3)] == [deal.id, deal.id, logged.id]
            middle = watch(theirs, resume_token=seen.resume_token)
            assert (await change(middle)).record_id == logged.id
            only = watch(ours, resume_token=start, kinds=[pb.FUNNEL_CHANGE_KIND_ACTIVITY_LOGGED])
            assert (await change(only)).record_id == logged.id
            # Another region hears nothing of it but heartbeats, and they go on.
            async with asyncio.timeout(PATIENCE):
                beats = [(await boss.read()).kind for _ in range(3)]
            assert set(beats) == {pb.FUNNEL_CHANGE_KIND_HEARTBEAT}
            assert elsewhere
            for stream in (near, far, boss, again, middle, only):
                stream.cancel()
            async with asyncio.timeout(PATIENCE):
                while feed(theirs.process)._running is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def test_a_change_of_a_transaction_that_commits_late_is_not_passed_over(company: Company) -> None:
    live = company.live
    quick(live)
    deal = await company.open(account_id=ACME)
    stream = watch(live)
    token = await begun(stream)
    late = work(live.process).tx
    sql = "UPDATE opportunity SET name = '慢', version = version + 1 WHERE id = %(id)s RETURNING id"
    assert await late.value(sql, {"id": deal.id})
    fast = await company.open(account_id=ACME, name="快")
    await late.commit()
    assert [(await change(stream)).summary for _ in range(2)] == ["慢", "快"]
    resumed = watch(live, resume_token=token, opportunity_id=fast.id)
    assert (await change(resumed)).summary == "快"


async def test_tokens_are_refused_when_unknown_or_too_old(company: Company) -> None:
    live, refused = company.live, company.live.refused
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    token = await begun(watch(live))
    await company.open(account_id=ACME)
    with refused("INVALID_ARGUMENT", "RESUME_TOKEN_INVALID"):
        await watch(live, resume_token="bm90aGluZw==").read()
    with refused("OUT_OF_RANGE", "RESUME_TOKEN_EXPIRED"):
        await watch(live, resume_token="WzkwMDcxOTkyNTQ3NDA5OTEsIDFd").read()
    assert (await change(watch(live, resume_token=token))).summary == "MES 升级"
    await live.advance(days=4)
    with refused("OUT_OF_RANGE", "RESUME_TOKEN_EXPIRED"):
        await watch(live, resume_token=token).read()
