"""Connections go from hand to hand: few are busy, none is lost, and what nobody needs goes back to the pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg_pool import PoolTimeout

from closedloop_chassis.data.transaction import Database
from closedloop_chassis.service import Service

pytestmark = pytest.mark.timeout(60)

ME = "SELECT pg_backend_pid() AS me, pg_sleep(%(seconds)s::float)"


@pytest.fixture(scope="module")
def url(database: Callable[[Service], str]) -> str:
    return database(
        Service(name="bare", package="closedloop.platform.v1", slices=(), migrations=Path(__file__).parent / "none")
    )


async def opened(url: str, connections: int, wait: float = 20, idle: float = 600) -> Database:
    made = Database(url, minimum=connections, maximum=connections, wait_seconds=wait, idle_seconds=idle, name="hands")
    await made.pool.open()
    return made


async def me(db: Database, seconds: float = 0.0) -> int:
    row = await db.reader.one(ME, {"seconds": seconds})
    assert row is not None
    return int(row["me"])


async def test_who_comes_next_gets_the_connection_that_was_given_back_last(url: str) -> None:
    db = await opened(url, 3)
    everybody = await asyncio.gather(*(me(db, 0.2) for _ in range(3)))
    assert len(set(everybody)) == 3
    last = await me(db)
    assert {await me(db) for _ in range(5)} == {last}
    assert db.pool.stats()["pool_available"] == db.pool.stats()["pool_size"] == 3
    # One that was cut is replaced, and so are the others that broke with it.
    for pid in set(everybody) - {last}:
        await db.reader.one("SELECT pg_terminate_backend(%(pid)s)", {"pid": pid})
    found: set[int] = set()
    for _ in range(100):
        asked = await asyncio.gather(*(me(db, 0.05) for _ in range(3)), return_exceptions=True)
        found = {one for one in asked if isinstance(one, int)}
        if len(found) == 3:
            break
    assert last in found
    assert not found & (set(everybody) - {last})
    await db.pool.close()
    with pytest.raises(PoolTimeout):
        await (await opened(url.replace("127.0.0.1", "127.0.0.9"), 1, wait=0.2)).pool.take()


async def test_whoever_waits_is_served_and_whoever_waits_too_long_is_told(url: str) -> None:
    db = await opened(url, 1)
    assert len(set(await asyncio.gather(*(me(db, 0.02) for _ in range(8))))) == 1
    held = await db.pool.take()
    leaving = asyncio.create_task(me(db))
    waiting = asyncio.create_task(me(db))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await db.pool.give(held)
    assert await waiting == held.info.backend_pid
    await db.pool.close()
    db = await opened(url, 1, wait=0.1)
    await me(db)
    held = await db.pool.take()
    with pytest.raises(PoolTimeout):
        await me(db)
    await db.pool.give(held)
    await me(db)
    await db.pool.close()


async def test_what_nobody_needs_goes_back_to_the_pool(url: str) -> None:
    db = await opened(url, 4, idle=0.05)
    await asyncio.gather(*(me(db, 0.1) for _ in range(4)))
    for _ in range(100):
        await asyncio.sleep(0.02)
        await me(db)
        if db.pool._pool.get_stats()["pool_available"] == 4:
            break
    assert db.pool._pool.get_stats()["pool_available"] >= 3, "the one in use may be warm"
    await db.pool.close()
