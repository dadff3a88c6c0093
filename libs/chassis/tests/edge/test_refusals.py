"""Every kind of error, as the caller sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import psycopg
import pytest
import sample
from google.rpc.error_details_pb2 import RetryInfo

from closedloop_chassis import client, errors

pytestmark = pytest.mark.timeout(60)


async def refusal(edge: Any, raised: BaseException | None = None, *, rpc: str = "Echo", request: Any = None) -> Any:
    async def fail(request: Any, call: Any) -> Any:
        assert raised is not None
        raise raised

    if raised is not None:
        edge.handlers.echo = fail
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(edge.stub, rpc)(request or sample.pb.EchoRequest(), metadata=edge.operations)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InvalidArgument, "INVALID_ARGUMENT"),
        (errors.NotFound, "NOT_FOUND"),
        (errors.AlreadyExists, "ALREADY_EXISTS"),
        (errors.PermissionDenied, "PERMISSION_DENIED"),
        (errors.FailedPrecondition, "FAILED_PRECONDITION"),
        (errors.OutOfRange, "OUT_OF_RANGE"),
        (errors.Aborted, "ABORTED"),
        (errors.ResourceExhausted, "RESOURCE_EXHAUSTED"),
        (errors.Unavailable, "UNAVAILABLE"),
        (errors.DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (errors.Unimplemented, "UNIMPLEMENTED"),
    ],
)
async def test_domain_errors_carry_code_reason_domain_and_metadata(serve: Any, kind: Any, code: str) -> None:
    async with serve() as edge:
        error = await refusal(edge, kind("SOME_REASON", "do this instead", stage="demo"))
    info = client.info(error)
    assert (error.code().name, error.details()) == (code, "do this instead")
    assert (info.reason, info.domain, dict(info.metadata)) == ("SOME_REASON", "closedloop.sample", {"stage": "demo"})


async def test_violations_and_retry_delays_are_sent(serve: Any) -> None:
    async with serve() as edge:
        error = await refusal(edge, errors.InvalidArgument("BAD", "bad", {"lines[0].amount": "must be positive"}))
        assert client.violations(error) == {"lines[0].amount": "must be positive"}
        error = await refusal(edge, errors.ResourceExhausted("FULL", "full", retry_after=2.5))
        retry = RetryInfo()
        assert any(detail.Unpack(retry) for detail in client.status(error).details)
        assert retry.retry_delay.ToMilliseconds() == 2500


async def test_a_refusal_with_a_thousand_violations_still_arrives(serve: Any) -> None:
    async with serve() as edge:
        many = {f"行[{number}]": "必须是正数" * 50 for number in range(1000)}
        error = await refusal(edge, errors.InvalidArgument("BAD", "错误" * 2000, many, note="注" * 5000))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.info(error).reason == "BAD"
    assert 1 < len(client.violations(error)) < 1000


async def test_an_unforeseen_error_shows_an_id_and_its_text_only_in_the_log(serve: Any, log_lines: Any) -> None:
    async with serve() as edge:
        error = await refusal(edge, RuntimeError("secret of 13812345678"))
    error_id = client.info(error).metadata["error_id"]
    assert error.code() is grpc.StatusCode.INTERNAL
    assert client.info(error).reason == "INTERNAL"
    assert "secret" not in str(client.status(error))
    assert "Traceback" not in str(client.status(error))
    line = next(line for line in log_lines() if line.get("error_id") == error_id)
    assert "RuntimeError: secret of 138***78" in line["exception"]
    assert (line["method"], line["caller"], line["level"]) == (f"{sample.SERVICE}.Echo", "lin", "error")
    assert len(line["trace_id"]) == 32


async def test_what_a_peer_refuses_is_told_without_its_text(serve: Any) -> None:
    for code, seen in (
        (grpc.StatusCode.UNAVAILABLE, ("UNAVAILABLE", "PEER_AWAY")),
        (grpc.StatusCode.DEADLINE_EXCEEDED, ("DEADLINE_EXCEEDED", "PEER_TOO_SLOW")),
        (grpc.StatusCode.PERMISSION_DENIED, ("INTERNAL", "INTERNAL")),
    ):
        raised = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "10.0.0.7:7400 said no", None)
        async with serve() as edge:
            error = await refusal(edge, raised)
        assert (error.code().name, client.info(error).reason) == seen
        assert "10.0.0.7" not in (error.details() or "")


async def test_bad_values_for_the_database_are_the_callers_fault(serve: Any, database_url: str) -> None:
    async def by_uuid(request: Any, call: Any) -> Any:
        await call.db.value("SELECT %(id)s::uuid", {"id": request.text})
        return sample.pb.Sample(id="x")

    async with serve(database_url) as edge:
        edge.handlers.echo = by_uuid
        error = await refusal(edge, request=sample.pb.EchoRequest(text="not-a-uuid"))
    assert (error.code().name, client.info(error).reason) == ("INVALID_ARGUMENT", "VALUE_REFUSED")


async def test_a_connection_cut_by_the_server_is_unavailable_and_the_next_call_works(
    serve: Any, database_url: str, sql: psycopg.Connection[Any]
) -> None:
    async def sleep(request: Any, call: Any) -> Any:
        await call.tx.value("SELECT pg_sleep(%(seconds)s)", {"seconds": 0 if request.id == "quick" else 3})
        return sample.pb.Sample(id=request.id)

    async with serve(database_url) as edge:
        edge.handlers.write_sample = sleep
        slow = sample.pb.WriteSampleRequest(request_id="cut-0001", id="slow")
        call = asyncio.ensure_future(refusal(edge, rpc="WriteSample", request=slow))
        await asyncio.sleep(0.5)
        cut = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'closedloop-sample'"
        )
        assert sql.execute(cut).fetchone()
        error = await call
        assert (error.code().name, client.info(error).reason) == ("UNAVAILABLE", "DATABASE_AWAY")
        await asyncio.sleep(0.3)
        quick = sample.pb.WriteSampleRequest(request_id="cut-0002", id="quick")
        assert (await edge.stub.WriteSample(quick, metadata=edge.operations)).id == "quick"


async def test_without_a_database_the_caller_hears_that_it_is_away(serve: Any) -> None:
    async def ask(_: Any, call: Any) -> Any:
        return sample.pb.Sample(id=str(await call.db.value("SELECT 1")))

    async with serve("postgresql://127.0.0.1:1/away", pool_wait_seconds=0.1) as edge:
        edge.handlers.echo = ask
        error = await refusal(edge)
        assert (error.code().name, client.info(error).reason) == ("UNAVAILABLE", "DATABASE_AWAY")


async def test_a_full_pool_is_refused_with_a_delay(serve: Any, database_url: str) -> None:
    async def hold(request: Any, call: Any) -> Any:
        await call.db.value("SELECT pg_sleep(0.4)")
        return sample.pb.Sample(id="x")

    async with serve(database_url, pool_min=1, pool_max=1, pool_wait_seconds=0.1) as edge:
        edge.handlers.echo = hold
        first = asyncio.ensure_future(edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations))
        await asyncio.sleep(0.1)
        error = await refusal(edge)
        assert (error.code().name, client.info(error).reason) == ("RESOURCE_EXHAUSTED", "NO_CONNECTION_FREE")
        assert any(detail.Is(RetryInfo.DESCRIPTOR) for detail in client.status(error).details)
        assert (await first).id == "x"


async def test_deadlocks_serialization_failures_and_lock_timeouts_are_aborted(serve: Any, database_url: str) -> None:
    async def raise_in_sql(request: Any, call: Any) -> Any:
        await call.db.value(f"DO $$ BEGIN RAISE SQLSTATE '{request.text}'; END $$")

    async with serve(database_url) as edge:
        edge.handlers.echo = raise_in_sql
        seen = {}
        for state in ("40001", "40P01", "55P03", "57014", "53100", "57P01", "25006", "42P01", "23505"):
            error = await refusal(edge, request=sample.pb.EchoRequest(text=state))
            seen[state] = error.code().name
    assert seen == {
        "40001": "ABORTED",
        "40P01": "ABORTED",
        "55P03": "ABORTED",
        "57014": "DEADLINE_EXCEEDED",
        "53100": "RESOURCE_EXHAUSTED",
        "57P01": "UNAVAILABLE",
        "25006": "UNAVAILABLE",
        "42P01": "INTERNAL",
        "23505": "INTERNAL",
    }
