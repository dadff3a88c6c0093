"""Those who ask at once are one look at the database, and none of them notices."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import psycopg
import pytest

from closedloop_chassis import errors
from closedloop_chassis.data import lane, places
from closedloop_chassis.data.transaction import Reader
from closedloop_chassis.process import Process

FACTOR = """
SELECT a.n, 100 / a.n AS part, pg_backend_pid() AS pid, CASE WHEN a.slow > 0 THEN pg_sleep(a.slow) END FROM {asked}
 WHERE a.n IS NOT NULL
"""
ASKED = {"n": "int", "slow": "float8"}

# Who asked together, and for whom somebody was seen to look.
looked: list[list[int]] = []
caller: ContextVar[str] = ContextVar("caller", default="nobody")
seen_as: list[str] = []


async def parts(db: Reader, asked: Sequence[tuple[int, float]]) -> list[int]:
    looked.append([number for number, _ in asked])
    seen_as.append(caller.get())
    if any(number == 13 for number, _ in asked):
        raise errors.NotFound("NO_SUCH_PART", "there is no thirteenth")
    found = {row["n"]: row["part"] for row in await db.all(*places.among(FACTOR, ASKED, asked))}
    return [found[number] for number, _ in asked]


@pytest.fixture(autouse=True)
def forgotten() -> None:
    looked.clear()
    seen_as.clear()


async def part(process: Process, number: int, slow: float = 0.0) -> int:
    return await process.database.reader.together(parts, (number, slow))


async def test_all_who_ask_in_one_turn_are_one_look_and_each_has_its_own_answer(process: Process) -> None:
    assert await asyncio.gather(*(part(process, number) for number in range(1, 12))) == [100 // n for n in range(1, 12)]
    assert looked == [list(range(1, 12))]
    assert await part(process, 50) == 2


async def test_what_is_wrong_with_one_is_his_alone(process: Process) -> None:
    outcomes = await asyncio.gather(*(part(process, number) for number in (4, 0, 5, 13)), return_exceptions=True)
    assert outcomes[0] == 25
    assert outcomes[2] == 20
    assert isinstance(outcomes[1], psycopg.errors.DivisionByZero)
    assert isinstance(outcomes[3], errors.NotFound)
    assert looked[0] == [4, 0, 5, 13]
    assert sorted(looked[1:]) == [[0], [4], [5], [13]]
    # Who asks alone and is wrong, is told so once.
    looked.clear()
    with pytest.raises(psycopg.errors.DivisionByZero):
        await part(process, 0)
    assert looked == [[0]]


async def test_nobody_is_looked_for_in_anothers_name(process: Process) -> None:
    async def asks(number: int) -> int:
        caller.set(f"caller {number}")
        return await part(process, number)

    await asyncio.gather(*(asks(number) for number in range(1, 4)))
    assert seen_as == ["nobody"]


async def test_who_leaves_leaves_the_others_their_answers(process: Process) -> None:
    asks = [asyncio.ensure_future(part(process, number, 0.2)) for number in (1, 2, 3)]
    while not looked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    asks[1].cancel()
    # And who comes meanwhile is not kept for long by those who take theirs.
    late, gone = asyncio.ensure_future(part(process, 10)), asyncio.ensure_future(part(process, 20))
    await asyncio.sleep(lane.PATIENCE_SECONDS / 10)
    gone.cancel()
    async with asyncio.timeout(30):
        assert await late == 10
        assert not asks[0].done()
        assert [await asks[0], await asks[2]] == [100, 33]
    assert (asks[1].cancelled(), gone.cancelled()) == (True, True)
    assert looked == [[1, 2, 3], [10]]


async def test_when_all_have_left_postgresql_stops_looking(process: Process) -> None:
    asks = [asyncio.ensure_future(part(process, number, 60.0)) for number in (1, 2)]
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    async with asyncio.timeout(60):
        while await process.database.reader.value(sleeping) == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for ask in asks:
            ask.cancel()
        while await process.database.reader.value(sleeping):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await part(process, 25) == 4


async def test_places_that_are_left_over_are_nobodys(process: Process) -> None:
    for count in (1, 2, 3, 5, 8, 9):
        rows = [(n, 0.0) for n in range(1, count + 1)]
        found = await process.database.reader.all(*places.among(FACTOR, ASKED, rows))
        assert sorted(row["n"] for row in found) == list(range(1, count + 1))
