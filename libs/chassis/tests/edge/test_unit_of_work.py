"""One call, one transaction; one request id, one effect."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import psycopg
import pytest
import sample

from closedloop_chassis import client, errors

pytestmark = pytest.mark.timeout(60)


def rows(sql: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in sql.execute("SELECT id FROM sample ORDER BY id").fetchall()]


def request(request_id: str, sample_id: str, **fields: Any) -> Any:
    return sample.pb.WriteSampleRequest(request_id=request_id, id=sample_id, **fields)


async def refusal(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_repeated_request_acts_once_and_gets_the_first_answer(serve: Any, database_url: str, sql: Any) -> None:
    count = 0

    async def counting(request: Any, call: Any) -> Any:
        nonlocal count
        count += 1
        answer = await sample.write_sample(request, call)
        answer.text = f"answer {count}"
        return answer

    async with serve(database_url) as edge:
        edge.handlers.write_sample = counting
        write = edge.stub.WriteSample
        first = await write(request("repeat-1", "a"), metadata=edge.operations)
        again = await write(request("repeat-1", "a"), metadata=edge.operations)
        assert first == again
        assert first.text == "answer 1"
        assert rows(sql) == ["a"]


async def test_the_same_request_many_times_at_once_acts_once(serve: Any, database_url: str, sql: Any) -> None:
    async def numbered(request: Any, call: Any) -> Any:
        answer = await sample.write_sample(request, call)
        await asyncio.sleep(0.05)
        answer.text = str(id(call))
        return answer

    async with serve(database_url, pool_max=8) as edge:
        edge.handlers.write_sample = numbered
        calls = [edge.stub.WriteSample(request("at-once-1", "b"), metadata=edge.operations) for _ in range(6)]
        answers = await asyncio.gather(*calls)
        assert len({answer.text for answer in answers}) == 1
        assert rows(sql) == ["b"]


async def test_a_repeat_gets_its_answer_even_where_the_state_would_now_refuse_it(
    serve: Any, database_url: str, sql: Any
) -> None:
    async def only_once(request: Any, call: Any) -> Any:
        if await call.tx.value("SELECT count(*) FROM sample WHERE id = %(id)s", {"id": request.id}):
            raise errors.FailedPrecondition("ALREADY_CLOSED", "closed")
        return await sample.write_sample(request, call)

    async with serve(database_url) as edge:
        edge.handlers.write_sample = only_once
        write = edge.stub.WriteSample
        first = await write(request("closed-01", "c"), metadata=edge.operations)
        assert await write(request("closed-01", "c"), metadata=edge.operations) == first
        error = await refusal(write(request("closed-02", "c"), metadata=edge.operations))
        assert client.info(error).reason == "ALREADY_CLOSED"


async def test_an_id_used_for_something_else_is_refused_and_ids_belong_to_their_caller(
    serve: Any, database_url: str, sql: Any
) -> None:
    async with serve(database_url) as edge:
        write = edge.stub.WriteSample
        await write(request("reused-1", "d"), metadata=edge.operations)
        error = await refusal(write(request("reused-1", "other"), metadata=edge.operations))
        assert (error.code().name, client.info(error).reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
        assert set(client.violations(error)) == {"request_id"}
        other = edge.metadata("operations", subject="wang")
        await write(request("reused-1", "e"), metadata=other)
        assert rows(sql) == ["d", "e"]


async def test_a_rehearsal_leaves_the_id_free(serve: Any, database_url: str, sql: Any) -> None:
    async with serve(database_url) as edge:
        write = edge.stub.WriteSample
        await write(request("rehearse", "f", validate_only=True), metadata=edge.operations)
        assert rows(sql) == []
        await write(request("rehearse", "f"), metadata=edge.operations)
        assert rows(sql) == ["f"]


async def test_a_failed_call_leaves_nothing_and_may_be_repeated(serve: Any, database_url: str, sql: Any) -> None:
    async def fail(request: Any, call: Any) -> Any:
        await sample.write_sample(request, call)
        await call.tx.value("SELECT 1")
        raise RuntimeError("after the write")

    async with serve(database_url) as edge:
        edge.handlers.write_sample = fail
        error = await refusal(edge.stub.WriteSample(request("failed-1", "g"), metadata=edge.operations))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert rows(sql) == []
        edge.handlers.write_sample = sample.write_sample
        await edge.stub.WriteSample(request("failed-1", "g"), metadata=edge.operations)
        assert rows(sql) == ["g"]


async def test_a_caller_who_leaves_rolls_back_and_the_connection_is_good_again(
    serve: Any, database_url: str, sql: Any
) -> None:
    written = asyncio.Event()

    async def stall(request: Any, call: Any) -> Any:
        await sample.write_sample(request, call)
        await call.tx.value("SELECT 1")
        written.set()
        await call.tx.value("SELECT pg_sleep(10)")

    async with serve(database_url, pool_max=1) as edge:
        edge.handlers.write_sample = stall
        call = edge.stub.WriteSample(request("leaving-1", "h"), metadata=edge.operations)
        await asyncio.wait_for(written.wait(), 5)
        await asyncio.sleep(0.1)
        call.cancel()
        edge.handlers.write_sample = sample.write_sample
        # The only connection comes back, within the time a call waits for one.
        await edge.stub.WriteSample(request("leaving-2", "i"), metadata=edge.operations)
        assert rows(sql) == ["i"]
        busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closedloop-sample' AND state <> 'idle'"
        assert sql.execute(busy).fetchone() == (0,)


async def test_a_read_has_no_transaction(serve: Any, database_url: str) -> None:
    async def write_in_read(request: Any, call: Any) -> Any:
        call.tx.do("INSERT INTO sample VALUES ('x', 'y')")

    async def read(request: Any, call: Any) -> Any:
        return sample.pb.Sample(id=str(await call.db.value("SELECT 7")))

    async with serve(database_url) as edge:
        edge.handlers.echo = write_in_read
        error = await refusal(edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations))
        assert error.code() is grpc.StatusCode.INTERNAL
        edge.handlers.echo = read
        assert (await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)).id == "7"


async def test_a_commit_under_way_is_seen_to_its_end_though_the_caller_leaves(
    serve: Any, database_url: str, sql: psycopg.Connection[Any]
) -> None:
    handled = asyncio.Event()

    async def slowly(request: Any, call: Any) -> Any:
        answer = await sample.write_sample(request, call)
        call.tx.do("SELECT pg_sleep(0.5)")
        handled.set()
        return answer

    async with serve(database_url, pool_max=1) as edge:
        edge.handlers.write_sample = slowly
        call = edge.stub.WriteSample(request("commit-1", "j"), metadata=edge.operations)
        await asyncio.wait_for(handled.wait(), 5)
        await asyncio.sleep(0.1)
        call.cancel()
        edge.handlers.write_sample = sample.write_sample
        # Who asks again gets the answer, from the connection that the first call has given back.
        assert (await edge.stub.WriteSample(request("commit-1", "j"), metadata=edge.operations)).id == "j"
        assert rows(sql) == ["j"]


async def test_who_lost_a_deadlock_begins_again_without_its_caller_hearing_of_it(
    serve: Any, database_url: str, sql: Any
) -> None:
    losses = 2

    async def colliding(request: Any, call: Any) -> Any:
        nonlocal losses
        answer = await sample.write_sample(request, call)
        if losses:
            losses -= 1
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return answer

    async with serve(database_url) as edge:
        edge.handlers.write_sample = colliding
        await edge.stub.WriteSample(request("collide-1", "a"), metadata=edge.operations)
        assert rows(sql) == ["a"]
        losses = 3
        error = await refusal(edge.stub.WriteSample(request("collide-2", "b"), metadata=edge.operations))
        assert error.code() is grpc.StatusCode.ABORTED
        assert rows(sql) == ["a"]
