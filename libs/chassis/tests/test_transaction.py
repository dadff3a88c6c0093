"""One unit of work: all of it or nothing, in as few round trips as its reads demand."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from closedloop.targets.v1.events_pb2 import PersonChanged
from closedloop_chassis import errors
from closedloop_chassis.data.transaction import DuplicateRequest
from closedloop_chassis.process import Process
from closedloop_devstack.testing.service import work

TABLE = "CREATE TABLE thing (id int CONSTRAINT thing_key PRIMARY KEY, name text)"
ADD = "INSERT INTO thing VALUES (%(id)s, %(name)s)"


@pytest.fixture(autouse=True)
async def table(process: Process) -> None:
    tx = process.database.transaction()
    tx.do(TABLE)
    await tx.commit()


async def names(process: Process) -> list[str]:
    return [row["name"] for row in await process.database.reader.all("SELECT name FROM thing ORDER BY id")]


async def test_queued_statements_are_seen_by_later_reads_and_committed_together(process: Process) -> None:
    tx = process.database.transaction()
    tx.do(ADD, {"id": 1, "name": "first"})
    assert await tx.value("SELECT count(*) FROM thing") == 1
    assert await names(process) == []
    tx.do(ADD, {"id": 2, "name": "second"})
    await tx.commit()
    assert await names(process) == ["first", "second"]


async def test_rollback_leaves_nothing_and_gives_the_connection_back(process: Process) -> None:
    for _ in range(process.settings.pool_max + 4):
        tx = process.database.transaction()
        tx.do(ADD, {"id": 1, "name": "gone"})
        await tx.value("SELECT 1")
        await tx.rollback()
    assert await names(process) == []


async def test_a_violated_constraint_becomes_the_refusal_named_for_it(process: Process) -> None:
    refusal = errors.AlreadyExists("THING_EXISTS", "there is one already")
    for queued in (True, False):
        tx = process.database.transaction()
        tx.do(ADD, {"id": 1, "name": "a"})
        with pytest.raises(errors.AlreadyExists):
            if queued:
                tx.do(ADD, {"id": 1, "name": "b"}, refuse={"thing_key": refusal})
                await tx.commit()
            else:
                await tx.one(ADD + " RETURNING id", {"id": 1, "name": "b"}, refuse={"thing_key": refusal})
        await tx.rollback()
    assert await names(process) == []


async def test_an_error_in_the_middle_undoes_what_came_before_and_after(process: Process) -> None:
    tx = process.database.transaction()
    tx.do(ADD, {"id": 1, "name": "before"})
    tx.do("SELECT 1/0")
    tx.do(ADD, {"id": 2, "name": "after"})
    with pytest.raises(psycopg.errors.DivisionByZero):
        await tx.commit()
    assert await names(process) == []
    assert await process.database.reader.value("SELECT 1") == 1


async def test_the_same_request_id_commits_once_even_at_once(process: Process) -> None:
    async def attempt(number: int) -> str:
        tx = process.database.transaction()
        tx.do(ADD, {"id": number, "name": str(number)})
        tx.remember("caller", "request-1", "M", b"hash", f"answer {number}".encode())
        try:
            await tx.commit()
        except DuplicateRequest:
            remembered = await process.database.recall("caller", "request-1")
            assert remembered is not None
            return remembered.response.decode()
        return f"answer {number}"

    answers = await asyncio.gather(*(attempt(number) for number in range(8)))
    assert len(set(answers)) == 1
    assert len(await names(process)) == 1


async def test_answers_of_queued_statements_arrive_after_the_commit_only(process: Process) -> None:
    seen: list[list[int]] = []
    tx = process.database.transaction()
    tx.do(ADD + " RETURNING id", {"id": 1, "name": "a"}, then=lambda rows: seen.append([row["id"] for row in rows]))
    await tx.value("SELECT 1")
    tx.do(ADD + " RETURNING id", {"id": 2, "name": "b"}, then=lambda rows: seen.append([row["id"] for row in rows]))
    assert seen == []
    await tx.commit()
    assert seen == [[1], [2]]


async def test_audit_keeps_only_what_changed(process: Process) -> None:
    doing = work(process)
    doing.audit("s", "update", {"same": 1, "old": 2}, {"same": 1, "old": 3, "new": [1, "x"]}, business_action="demo")
    await doing.tx.commit()
    row = await process.database.reader.one("SELECT actor_id, cause, business_action, changes FROM audit_entry")
    assert row == {
        "actor_id": "tester",
        "cause": "test",
        "business_action": "demo",
        "changes": {"old": [2, 3], "new": [None, [1, "x"]]},
    }


async def test_a_statement_that_cannot_even_be_sent_undoes_those_that_were(process: Process) -> None:
    tx = process.database.transaction()
    tx.do(ADD, {"id": 1, "name": "sent"})
    tx.do(ADD, {"id": 2})
    with pytest.raises(psycopg.ProgrammingError):
        await tx.commit()
    assert await names(process) == []
    assert await process.database.reader.value("SELECT count(*) FROM thing") == 0


async def test_a_commit_that_is_cancelled_midway_leaves_all_or_nothing(process: Process) -> None:
    for delay in (0.0, 0.001, 0.003, 0.01):
        tx = process.database.transaction()
        tx.do(ADD, {"id": 1, "name": "a"})
        tx.do("SELECT pg_sleep(0.005)")
        tx.do(ADD, {"id": 2, "name": "b"})
        committing = asyncio.create_task(tx.commit())
        await asyncio.sleep(delay)
        committing.cancel()
        await asyncio.gather(committing, return_exceptions=True)
        assert await names(process) in ([], ["a", "b"])
        cleaning = process.database.transaction()
        cleaning.do("DELETE FROM thing")
        await cleaning.commit()


async def test_many_records_go_as_arrays_and_few_as_values(process: Process) -> None:
    for count in (1, 4, 5, 300):
        doing = work(process)
        for n in range(count):
            doing.tell(PersonChanged(person_id=f"p{n}"), f"p{n}")
            doing.audit(f"p{n}", "create", {}, {"n": n})
        doing.tx.remember("caller", f"request-{count}", "M", b"hash", b"answer")
        await doing.tx.commit()
    rows = await process.database.reader.all("SELECT waiting, count(*) AS n FROM outbox GROUP BY waiting")
    assert rows == [{"waiting": ["customers", "funnel", "approvals", "integrations"], "n": 310}]
    assert await process.database.reader.value("SELECT count(*) FROM audit_entry") == 310
    assert await process.database.reader.value("SELECT count(*) FROM idempotency") == 4
