"""Statements over one connection when things go wrong: nothing is half done, and the connection stays good or goes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop

from closedloop_chassis import errors
from closedloop_chassis.data import wire
from closedloop_chassis.data.transaction import Database, Transaction
from closedloop_chassis.data.wire import StalePlan
from closedloop_chassis.service import Service

pytestmark = pytest.mark.timeout(60)

ADD = "INSERT INTO thing VALUES (%(id)s::int, %(name)s::text)"
SLEEP = "SELECT pg_sleep(%(seconds)s::float)"
CUT = "SELECT pg_terminate_backend(%(pid)s)"
ME = "SELECT pg_backend_pid()"
SLEEPING = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')"
GONE = "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %(pid)s)"
LARGE = "x" * 30_000_000


@pytest.fixture(
    scope="module", params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"]
)
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Services run on uvloop, tests and tools on asyncio's; the two differ in how they take a socket that is gone."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


@pytest.fixture(scope="module")
def url(database: Callable[[Service], str]) -> str:
    bare = Service(name="bare", package="closedloop.platform.v1", slices=(), migrations=Path(__file__).parent / "none")
    url = database(bare)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE thing (id int CONSTRAINT thing_key PRIMARY KEY, name text)")
    return url


@pytest.fixture
def sql(url: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE thing")
        yield connection


async def opened(url: str, connections: int) -> Database:
    database = Database(url, minimum=connections, maximum=connections, wait_seconds=5, idle_seconds=600, name="wire")
    await database.pool.open()
    return database


@pytest.fixture
async def db(url: str, sql: Any) -> AsyncIterator[Database]:
    """With one connection: whatever happens to it is felt by the next who comes."""
    database = await opened(url, 1)
    yield database
    await database.pool.close()


def names(sql: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in sql.execute("SELECT name FROM thing ORDER BY id").fetchall()]


async def until(sql: psycopg.Connection[Any], condition: str, params: Mapping[str, Any] | None = None) -> None:
    for _ in range(3000):
        if sql.execute(f"SELECT {condition}", params).fetchone() == (True,):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(condition)


def adding(db: Database, *ids: int) -> Transaction:
    tx = db.transaction()
    for number in ids:
        tx.do(ADD, {"id": number, "name": str(number)})
    return tx


async def left(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_not_prepared_because_something_failed_before_it_is_prepared_later(db: Database) -> None:
    for _ in range(2):
        tx = db.transaction()
        tx.do("SELECT 1/0")
        tx.do("SELECT 'after'")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await tx.commit()
    assert await db.reader.value("SELECT 'after'") == "after"
    with pytest.raises(psycopg.errors.SyntaxError):
        await db.reader.value("SELECT FROM WHERE")
    assert await db.reader.value("SELECT 'after'") == "after"


async def test_what_was_not_prepared_because_somebody_left_is_prepared_later(db: Database, sql: Any) -> None:
    tx = db.transaction()
    tx.do(SLEEP, {"seconds": 30})
    reading = asyncio.create_task(tx.one("SELECT 'after'"))
    await until(sql, SLEEPING)
    await left(reading)
    await tx.rollback()
    assert await db.reader.value("SELECT 'after'") == "after"


async def test_of_two_that_wait_for_each_other_one_is_told(url: str, sql: Any) -> None:
    db = await opened(url, 2)
    await adding(db, 1, 2).commit()
    lock = "SELECT FROM thing WHERE id = %(id)s::int FOR UPDATE"

    async def both(first: int, second: int) -> None:
        tx = db.transaction()
        try:
            await tx.one(lock, {"id": first})
            await met.wait()
            tx.do(ADD, {"id": 10 + first, "name": "won"})
            await tx.one(lock, {"id": second})
            await tx.commit()
        except BaseException:
            await tx.rollback()
            raise

    met = asyncio.Barrier(2)
    outcomes = await asyncio.gather(both(1, 2), both(2, 1), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [psycopg.errors.DeadlockDetected]
    assert names(sql) == ["1", "2", "won"]
    await db.pool.close()


async def test_a_caller_who_leaves_before_anything_was_sent_leaves_nothing(db: Database, sql: Any) -> None:
    holding = db.transaction()
    await holding.one("SELECT 1")
    committing = asyncio.create_task(adding(db, 1).commit())
    await asyncio.sleep(0.05)
    await left(committing)
    await holding.rollback()
    assert names(sql) == []
    await adding(db, 2).commit()
    assert names(sql) == ["2"]


async def test_a_caller_who_leaves_a_read_undoes_what_was_queued_before_it(db: Database, sql: Any) -> None:
    tx = adding(db, 1)
    await tx.one("SELECT 1")
    reading = asyncio.create_task(tx.one(SLEEP, {"seconds": 30}))
    await until(sql, SLEEPING)
    await left(reading)
    # Who takes no notice of having left cannot commit either.
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await tx.commit()
    assert names(sql) == []
    await adding(db, 2).commit()
    assert names(sql) == ["2"]


@pytest.mark.parametrize("begun", [True, False])
async def test_a_commit_under_way_is_seen_to_its_end_and_then_the_caller_leaves(
    begun: bool, db: Database, sql: Any
) -> None:
    seen: list[str] = []
    tx = adding(db, 1)
    tx.after_commit(lambda: seen.append("committed"))
    if begun:
        await tx.one("SELECT 1")
    tx.do(SLEEP + ", 1 AS n", {"seconds": 0.3}, then=lambda rows: seen.append(str(rows[0]["n"])))
    committing = asyncio.create_task(tx.commit())
    await until(sql, SLEEPING)
    committing.cancel()
    await asyncio.sleep(0.01)
    await left(committing)
    assert names(sql) == ["1"]
    assert seen == ["1", "committed"]
    assert await db.reader.value("SELECT 1") == 1


async def test_a_caller_who_left_does_not_begin_again_when_the_commit_fails(db: Database, sql: Any) -> None:
    tx = adding(db, 1)
    tx.do(SLEEP, {"seconds": 0.3})
    tx.do(ADD, {"id": 1, "name": "again"}, refuse={"thing_key": errors.AlreadyExists("THING_EXISTS", "there is one")})
    committing = asyncio.create_task(tx.commit())
    await until(sql, SLEEPING)
    await left(committing)
    assert names(sql) == []
    await adding(db, 1).commit()


async def test_a_caller_who_leaves_twice_does_not_take_the_connection_along(db: Database, sql: Any) -> None:
    for _ in range(3):
        reading = asyncio.create_task(db.reader.one(SLEEP, {"seconds": 30}))
        await until(sql, SLEEPING)
        reading.cancel()
        await asyncio.sleep(0)
        await left(reading)
        tx = db.transaction()
        reading = asyncio.create_task(tx.one(SLEEP, {"seconds": 30}))
        await until(sql, SLEEPING)
        await left(reading)
        undoing = asyncio.create_task(tx.rollback())
        await asyncio.sleep(0)
        undoing.cancel()
        await asyncio.gather(undoing, return_exceptions=True)
        # What no cancellation has reached any more.
        sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        await until(sql, f"NOT {SLEEPING}")
    assert await db.reader.value("SELECT 1") == 1


async def test_a_connection_that_postgresql_closes_is_an_error_once_and_replaced(db: Database, sql: Any) -> None:
    # While a statement runs.
    reading = asyncio.create_task(db.reader.one(SLEEP, {"seconds": 30}))
    await until(sql, SLEEPING)
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    with pytest.raises(psycopg.OperationalError):
        await reading
    # Within a transaction.
    tx = adding(db, 1)
    pid = await tx.value(ME)
    sql.execute(CUT, {"pid": pid})
    await until(sql, GONE, {"pid": pid})
    with pytest.raises(psycopg.OperationalError):
        await tx.commit()
    assert names(sql) == []
    assert await db.reader.value("SELECT 1") == 1


async def test_a_connection_that_is_closed_while_it_lies_idle_is_nobodys_trouble(db: Database, sql: Any) -> None:
    pid = await db.reader.value(ME)
    sql.execute(CUT, {"pid": pid})
    await until(sql, GONE, {"pid": pid})
    # What the server said of it has to reach us first.
    (held,) = db.pool._warm
    for _ in range(1000):
        if held.closed:
            break
        await asyncio.sleep(0.02)
    assert await db.reader.value(ME) != pid


async def test_a_connection_that_goes_while_much_is_being_sent_is_an_error_and_no_endless_wait(db: Database) -> None:
    for _ in range(2):
        tx = db.transaction()
        tx.do("SELECT pg_terminate_backend(pg_backend_pid())")
        tx.do("SELECT length(%(text)s::text)", {"text": LARGE})
        with pytest.raises(psycopg.OperationalError):
            await tx.commit()
        assert await db.reader.value("SELECT 1") == 1


async def test_a_connection_that_the_network_resets_is_an_error_within_seconds(url: str, sql: Any) -> None:
    address = psycopg.conninfo.conninfo_to_dict(url)
    relayed: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(str(address["host"]), int(str(address["port"])))
        relayed.extend([writer, back])
        await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    relaying = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = relaying.sockets[0].getsockname()[1]
    db = await opened(psycopg.conninfo.make_conninfo(url, host="127.0.0.1", port=port), 1)
    await adding(db, 1).commit()
    reading = asyncio.create_task(db.reader.one(SLEEP, {"seconds": 20}))
    await until(sql, SLEEPING)
    for end in relayed:
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.transport.abort()
    async with asyncio.timeout(10):
        with pytest.raises(psycopg.OperationalError):
            await reading
        assert await db.reader.value("SELECT 1") == 1
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    await db.pool.close()
    relaying.close()


async def test_much_goes_out_while_much_comes_back(db: Database) -> None:
    tx = db.transaction()
    lengths: list[int] = []
    for _ in range(3):
        tx.do("SELECT %(text)s::text AS text", {"text": LARGE}, then=lambda rows: lengths.append(len(rows[0]["text"])))
    assert await tx.value("SELECT 'last'") == "last"
    await tx.commit()
    assert lengths == [len(LARGE)] * 3


async def test_what_fails_only_at_the_commit_is_told_as_it_is(db: Database, sql: psycopg.Connection[Any]) -> None:
    sql.execute("DROP TABLE IF EXISTS part")
    sql.execute("CREATE TABLE part (of int CONSTRAINT part_of REFERENCES thing DEFERRABLE INITIALLY DEFERRED)")
    for begun in (False, True):
        tx = db.transaction()
        if begun:
            await tx.value("SELECT 1")
        tx.do("INSERT INTO part VALUES (1)")
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="part_of"):
            await tx.commit()
    assert await db.reader.value("SELECT count(*) FROM part") == 0
    sql.execute("DROP TABLE part")


async def test_a_server_that_goes_before_it_has_committed_is_away(db: Database, sql: psycopg.Connection[Any]) -> None:
    """Every statement is answered; the commit at the end of the pipeline is not."""
    sql.execute(
        """
        CREATE OR REPLACE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
        DROP TABLE IF EXISTS leaving;
        CREATE TABLE leaving (id int);
        CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON leaving DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION leave();
        """
    )
    tx = db.transaction()
    tx.do("INSERT INTO leaving VALUES (1)")
    with pytest.raises(psycopg.OperationalError):
        await tx.commit()
    assert await db.reader.value("SELECT count(*) FROM leaving") == 0
    sql.execute("DROP TABLE leaving; DROP FUNCTION leave")


async def test_a_table_that_changes_under_prepared_statements_is_met_once_per_process(url: str, sql: Any) -> None:
    db = await opened(url, 3)
    sql.execute("DROP TABLE IF EXISTS changing; CREATE TABLE changing AS SELECT 1 AS one")
    everything = "SELECT * FROM changing"
    several = [db.transaction() for _ in range(3)]
    for tx in several:
        assert await tx.one(everything) == {"one": 1}
    for tx in several:
        await tx.commit()
    sql.execute("ALTER TABLE changing ADD COLUMN two int NOT NULL DEFAULT 2")
    # A read alone begins again by itself, a transaction from without: nobody but its owner can do it over.
    several = [db.transaction() for _ in range(3)]
    with pytest.raises(StalePlan):
        await several[0].one(everything)
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await several[0].one("SELECT 1")
    await several[0].rollback()
    several[0] = db.transaction()
    for tx in several:
        assert await tx.one(everything) == {"one": 1, "two": 2}
    for tx in several:
        await tx.commit()
    sql.execute("ALTER TABLE changing DROP COLUMN one")
    for _ in range(4):
        assert await db.reader.one(everything) == {"two": 2}
    await db.pool.close()


async def test_prepared_statements_that_somebody_threw_away_are_prepared_again(db: Database) -> None:
    for _ in range(2):
        assert await db.reader.value("SELECT 'kept'") == "kept"
        await db.reader.value("DEALLOCATE ALL")
    assert await db.reader.value("SELECT 'kept'") == "kept"
    await db.reader.value("DEALLOCATE ALL")
    tx = db.transaction()
    with pytest.raises(StalePlan):
        await tx.one("SELECT 'kept'")
    await tx.rollback()
    assert await db.transaction().one("SELECT 'kept' AS text") == {"text": "kept"}


async def test_what_was_not_used_for_longest_is_no_longer_prepared(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wire, "MOST_PREPARED", 5)
    for _ in range(2):
        for number in range(12):
            assert await db.reader.value(f"SELECT {number}") == number
            assert await db.reader.value("SELECT 'often'") == "often"
    kept = {row["statement"] for row in await db.reader.all("SELECT statement FROM pg_prepared_statements ORDER BY 1")}
    # Itself, and the one that goes with the next round trip.
    assert len(kept) == 6
    assert {"SELECT 'often'", "SELECT 11"} <= kept
    # More of them in one transaction than are kept, some failing.
    tx = db.transaction()
    for number in range(12):
        tx.do(f"SELECT {number} AS again")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await tx.one("SELECT 1/0")
    await tx.rollback()
    assert not caplog.messages
    assert [await db.reader.value(f"SELECT {number} AS again") for number in range(12)] == list(range(12))


async def test_a_replaced_connection_knows_nothing_of_the_statements_of_the_one_before(db: Database, sql: Any) -> None:
    for _ in range(3):
        assert await db.reader.value("SELECT 'same'") == "same"
        sql.execute(CUT, {"pid": await db.reader.value(ME)})
        with pytest.raises(psycopg.OperationalError):
            while True:
                await db.reader.value("SELECT 'same'")


async def test_what_is_sent_in_parts_is_answered_in_order_and_committed_as_one(db: Database, sql: Any) -> None:
    answers: list[int] = []
    tx = db.transaction()
    for number in range(6):
        tx.do(
            f"{ADD} RETURNING id",
            {"id": number, "name": str(number)},
            then=lambda rows: answers.append(rows[0]["id"]),
        )
        if number % 2:
            await tx.send()
        if number == 3:
            assert await tx.value("SELECT count(*) FROM thing") == 4
    await tx.send()
    assert (names(sql), answers) == ([], [])
    await tx.commit()
    assert answers == list(range(6))
    assert names(sql) == [str(number) for number in range(6)]


async def test_what_is_wrong_with_a_part_shows_in_the_next_read_or_the_commit(db: Database, sql: Any) -> None:
    refusal = {"thing_key": errors.AlreadyExists("THING_EXISTS", "there is one")}
    for read in (True, False):
        tx = adding(db, 1)
        tx.do(ADD, {"id": 1, "name": "twice"}, refuse=refusal)
        await tx.send()
        await asyncio.sleep(0.05)
        tx.do(ADD, {"id": 2, "name": "2"})
        await tx.send()
        with pytest.raises(errors.AlreadyExists):
            await (tx.one("SELECT 1") if read else tx.commit())
        await tx.rollback()
        assert names(sql) == []
    tx = adding(db, 1)
    await tx.send()
    tx.do(ADD, {"id": 2})
    with pytest.raises(psycopg.ProgrammingError):
        await tx.commit()
    assert names(sql) == []
    tx = adding(db, 1)
    await tx.send()
    await tx.rollback()
    assert names(sql) == []


async def test_who_leaves_between_two_parts_leaves_nothing(db: Database, sql: Any) -> None:
    tx = adding(db, 1)
    tx.do(SLEEP, {"seconds": 30})
    await tx.send()
    await until(sql, SLEEPING)
    await tx.rollback()
    assert names(sql) == []
    assert await db.reader.value("SELECT 1") == 1


async def test_a_connection_does_one_round_trip_at_a_time(db: Database, sql: Any) -> None:
    tx = db.transaction()
    first = asyncio.create_task(tx.one(SLEEP, {"seconds": 0.2}))
    await until(sql, SLEEPING)
    with pytest.raises(psycopg.OperationalError, match="one round trip"):
        await tx.one("SELECT 1")
    await first
    await tx.rollback()
    assert await db.reader.value("SELECT 1") == 1
