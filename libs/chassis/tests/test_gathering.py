"""Group commit: those who end at once are written together, and none of them notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from closedloop_chassis import errors
from closedloop_chassis.data import gathering, lane
from closedloop_chassis.data.transaction import DuplicateRequest, Transaction
from closedloop_chassis.data.wire import Statement
from closedloop_chassis.process import Process

TABLE = "CREATE TABLE thing (id int CONSTRAINT thing_key PRIMARY KEY, name text)"
ADD = "INSERT INTO thing SELECT * FROM unnest(%(ids)s::int[], %(names)s::text[])"
THING_EXISTS = errors.AlreadyExists("THING_EXISTS", "there is one already")

KILL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE query LIKE '%%pg_sleep%%' AND datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
"""

# What was written by one statement.
written: list[list[int]] = []


def adding(things: Sequence[tuple[int, str]]) -> Iterator[Statement]:
    written.append([number for number, _ in things])
    yield ADD, {"ids": [number for number, _ in things], "names": [name for _, name in things]}


@pytest.fixture(autouse=True)
async def table(process: Process) -> None:
    written.clear()
    tx = process.database.transaction()
    tx.do(TABLE)
    await tx.commit()


async def there(process: Process) -> list[int]:
    return [row["id"] for row in await process.database.reader.all("SELECT id FROM thing ORDER BY id")]


def adds(process: Process, number: int, *touches: str) -> Transaction:
    tx = process.database.transaction()
    tx.write(adding, (number, f"thing {number}"), touches=touches, refuse={"thing_key": THING_EXISTS})
    return tx


async def test_all_who_end_at_once_are_one_commit_and_each_has_its_own_answer(process: Process) -> None:
    told: dict[int, list[dict[str, Any]]] = {}

    def hears(number: int) -> Callable[[list[dict[str, Any]]], None]:
        return lambda rows: told.__setitem__(number, rows)

    async def one(number: int) -> None:
        tx = adds(process, number)
        tx.do("SELECT %(n)s::int AS n, pg_current_xact_id()::text AS xact", {"n": number}, then=hears(number))
        tx.remember("caller", f"request-{number}", "M", b"hash", b"answer %d" % number)
        await tx.commit()

    await asyncio.gather(*(one(number) for number in range(20)))
    assert await there(process) == list(range(20))
    assert [rows[0]["n"] for _, rows in sorted(told.items())] == list(range(20))
    assert written == [list(range(20))], "nobody goes before the turn is over in which he came"
    assert len({rows[0]["xact"] for rows in told.values()}) == 1
    for number in range(20):
        remembered = await process.database.recall("caller", f"request-{number}")
        assert remembered is not None
        assert bytes(remembered.response) == b"answer %d" % number


async def test_what_is_refused_of_one_is_done_for_the_others(process: Process) -> None:
    await adds(process, 7).commit()
    outcomes = await asyncio.gather(*(adds(process, number).commit() for number in range(10)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [errors.AlreadyExists]
    assert await there(process) == list(range(10))


async def test_one_request_id_acts_once_among_those_who_go_together(process: Process) -> None:
    async def one(number: int) -> None:
        tx = adds(process, number)
        tx.remember("caller", "the same" if number in (3, 4) else f"request-{number}", "M", b"hash", b"answer")
        await tx.commit()

    outcomes = await asyncio.gather(*(one(number) for number in range(6)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [DuplicateRequest]
    assert await there(process) in ([0, 1, 2, 3, 5], [0, 1, 2, 4, 5])


async def test_two_who_touch_one_row_do_not_go_together(process: Process) -> None:
    rows = ["a", "b", "a", "c", "b"]
    await asyncio.gather(*(adds(process, number, row).commit() for number, row in enumerate(rows)))
    assert written == [[0, 1, 3], [2, 4]], "and those who go are in the order of the rows they touch"


COUNT = "SELECT count(*) AS n FROM thing WHERE id = %(id)s"
REMOVE = "DELETE FROM thing WHERE id = %(id)s"


async def test_each_keeps_the_order_of_what_it_queued(process: Process) -> None:
    """Who ends something and begins it again does so beside others who only begin."""
    await adds(process, 2).commit()
    seen: list[int] = []

    def again(number: int) -> Transaction:
        tx = process.database.transaction()
        tx.do(REMOVE, {"id": number})
        tx.write(adding, (number, "again"), refuse={"thing_key": THING_EXISTS})
        tx.do(COUNT, {"id": number}, then=lambda rows: seen.append(rows[0]["n"]))
        tx.write(adding, (10 * number, "and another"))
        return tx

    written.clear()
    await asyncio.gather(*(tx.commit() for tx in (adds(process, 1), again(2), adds(process, 3), adds(process, 4))))
    assert written == [[1], [2], [20, 3, 4]]
    assert seen == [1]
    assert await there(process) == [1, 2, 3, 4, 20]


def adding_with_a_slip(things: Sequence[tuple[int, str]]) -> Iterator[Statement]:
    yield ADD, {"ids": [10 // number for number, _ in things], "names": [name for _, name in things]}


async def test_what_cannot_even_be_said_of_one_is_done_for_the_others(process: Process) -> None:
    def slips(number: int) -> Transaction:
        tx = process.database.transaction()
        tx.write(adding_with_a_slip, (number, "thing"))
        return tx

    def unsendable(number: int) -> Transaction:
        tx = adds(process, number)
        tx.do("SELECT %(nowhere)s", {})
        return tx

    work = [slips(10), slips(0), slips(5), adds(process, 20), unsendable(21)]
    outcomes = await asyncio.gather(*(tx.commit() for tx in work), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        ZeroDivisionError,
        type(None),
        type(None),
        psycopg.ProgrammingError,
    ]
    assert await there(process) == [1, 2, 20]


async def test_who_leaves_while_waiting_is_left_behind(process: Process) -> None:
    first = asyncio.ensure_future(adds(process, 0).commit())
    while not written:  # noqa: ASYNC110
        await asyncio.sleep(0)
    waits, stays = (asyncio.ensure_future(adds(process, number).commit()) for number in (1, 2))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.gather(first, stays)
    assert waits.cancelled()
    assert await there(process) == [0, 2]


def slowly(things: Sequence[tuple[int, str]]) -> Iterator[Statement]:
    yield from adding(things)
    yield "SELECT pg_sleep(%(seconds)s)", {"seconds": 0.3}


def adds_slowly(process: Process, number: int) -> Transaction:
    tx = process.database.transaction()
    tx.write(slowly, (number, "slow"))
    return tx


async def test_who_leaves_when_it_is_under_way_is_seen_to_the_end(process: Process) -> None:
    commits = [asyncio.ensure_future(adds_slowly(process, number).commit()) for number in range(3)]
    while not written:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    commits[1].cancel()
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert written == [[0, 1, 2]]
    assert await there(process) == [0, 1, 2]


async def test_who_leaves_in_the_turn_in_which_it_is_told_keeps_nobody_waiting(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_by = gathering.Gathering._written

    async def and_one_leaves(self: Any, group: Any) -> Any:
        told = await written_by(self, group)
        commits[1].cancel()
        return told

    monkeypatch.setattr(gathering.Gathering, "_written", and_one_leaves)
    commits = [asyncio.ensure_future(adds(process, number).commit()) for number in range(3)]
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert await there(process) == [0, 1, 2]


async def test_who_waits_for_a_lock_does_not_keep_the_next_from_going(process: Process) -> None:
    holder = process.database.transaction()
    await holder.one("INSERT INTO thing VALUES (0, 'held') RETURNING id")
    held = [asyncio.ensure_future(adds(process, number).commit()) for number in (0, 1)]
    await asyncio.sleep(lane.PATIENCE_SECONDS / 2)
    async with asyncio.timeout(30):
        await adds(process, 2).commit()
    assert not held[0].done()
    await holder.rollback()
    await asyncio.gather(*held)
    assert await there(process) == [0, 1, 2]


async def test_where_the_connection_goes_nobody_tries_again_what_may_be_done(process: Process) -> None:
    commits = [asyncio.ensure_future(adds_slowly(process, number).commit()) for number in range(3)]
    while not written:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    while not commits[2].done():
        await process.database.reader.value(KILL)
        await asyncio.sleep(0.01)
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert all(isinstance(outcome, psycopg.OperationalError) for outcome in outcomes)
    assert written == [[0, 1, 2]]
