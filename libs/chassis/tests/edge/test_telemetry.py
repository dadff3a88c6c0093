"""What a process says about itself, as those who listen receive it."""

from __future__ import annotations

import asyncio
import http.server
import logging
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import psycopg
import pytest
import sample
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import SecretStr

from closedloop_chassis import contract, errors
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import endpoint, logs, metrics, tracing
from closedloop_chassis.telemetry.masking import masked, masked_text

pytestmark = pytest.mark.timeout(60)

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


class Collector(http.server.BaseHTTPRequestHandler):
    spans: list[Any]

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Any]:
    """An OTLP collector; `collected(ratio)` starts tracing to it, `collected.spans()` stops and answers what came."""

    class Fresh(Collector):
        spans: list[Any] = []

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    class Collected:
        def start(self, ratio: float) -> None:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            settings = Settings(database_url=SecretStr("postgresql://"), otlp_endpoint=url, trace_ratio=ratio)
            tracing.start(settings, "sample", "api")

        def spans(self) -> list[Any]:
            tracing.stop()
            return Fresh.spans

    yield Collected()
    tracing.stop()
    server.shutdown()
    server.server_close()


async def test_a_sampled_call_is_a_span_under_its_caller(serve: Any, collector: Any) -> None:
    async def work(request: Any, call: Any) -> Any:
        with tracing.span("look something up", {"rows": 3}):
            await asyncio.sleep(0)
        return sample.pb.Sample(id="x")

    async with serve() as edge:
        collector.start(0.0)
        edge.handlers.echo = work
        await edge.stub.Echo(sample.pb.EchoRequest(), metadata=(*edge.operations, ("traceparent", SAMPLED)))
        await asyncio.sleep(0.05)
        spans = {span.name: span for span in collector.spans()}
    outer, inner = spans[f"{sample.SERVICE}/Echo"], spans["look something up"]
    assert outer.trace_id.hex() == inner.trace_id.hex() == TRACE
    assert outer.parent_span_id.hex() == "b7ad6b7169203331"
    assert inner.parent_span_id == outer.span_id
    attributes = {item.key: item.value.string_value for item in outer.attributes}
    assert attributes["enduser.id"] == "lin"


async def test_only_the_servers_own_failures_mark_the_span(serve: Any, collector: Any) -> None:
    async with serve() as edge:
        collector.start(0.0)
        for raised in (errors.NotFound("NONE", "none"), RuntimeError("bug")):

            async def fail(request: Any, call: Any, raised: Exception = raised) -> Any:
                raise raised

            edge.handlers.echo = fail
            with pytest.raises(grpc.aio.AioRpcError):
                await edge.stub.Echo(sample.pb.EchoRequest(), metadata=(*edge.operations, ("traceparent", SAMPLED)))
        await asyncio.sleep(0.05)
        assert [span.status.code for span in collector.spans()] == [0, 2]


async def test_unsampled_calls_leave_no_span_but_pass_their_context_on(serve: Any, collector: Any) -> None:
    seen: list[str] = []

    async def look(request: Any, call: Any) -> Any:
        with tracing.span("not to be seen"):
            seen.append(tracing.current_traceparent())
        assert tracing.current_traceparent() == seen[-1]
        return sample.pb.Sample(id="x")

    async with serve() as edge:
        collector.start(0.0)
        edge.handlers.echo = look
        for headers in ((("traceparent", UNSAMPLED),), (), (("traceparent", "00-garbage"),)):
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=(*edge.operations, *headers))
        assert collector.spans() == []
    assert seen[0] == UNSAMPLED
    assert [context[-3:] for context in seen] == ["-00"] * 3
    assert len({context[3:35] for context in seen}) == 3


async def test_the_ratio_decides_about_traces_that_begin_here(serve: Any, collector: Any) -> None:
    async with serve() as edge:
        collector.start(0.5)
        for _ in range(60):
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=edge.operations)
        await asyncio.sleep(0.05)
        assert 10 < len(collector.spans()) < 50


def test_work_that_began_elsewhere_is_joined_and_errors_mark_it(collector: Any) -> None:
    collector.start(0.0)

    def fail() -> None:
        with tracing.work("react sample", SAMPLED):
            assert tracing.current_traceparent()[3:35] == TRACE
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    with tracing.work("react sample", UNSAMPLED):
        assert tracing.current_traceparent() == UNSAMPLED
    assert tracing.current_traceparent()[3:35] != TRACE
    spans = collector.spans()
    assert [(span.trace_id.hex(), span.status.code) for span in spans] == [(TRACE, 2)]


def test_a_collector_that_is_away_holds_nobody(log_lines: Any) -> None:
    settings = Settings(database_url=SecretStr("x"), otlp_endpoint="http://127.0.0.1:9", trace_ratio=1.0)
    tracing.start(settings, "sample", "api")
    with tracing.work("lost"):
        pass
    began = time.monotonic()
    tracing.stop(1.0)
    assert time.monotonic() - began < 1.5


def test_the_grpc_exporter_is_never_imported() -> None:
    modules = "logs", "tracing", "metrics", "endpoint"
    program = f"import sys; from closedloop_chassis.telemetry import {', '.join(modules)}; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "False"


def test_log_lines_are_json_with_service_and_masked(log_lines: Any) -> None:
    logs.logger("sample").info(
        "called", phone="+86 138 1234 5678", to=["lin.wei@example.com"], when="2026-01-05T09:00:00Z"
    )
    logging.getLogger("psycopg.pool").warning("cannot reach %s", "postgresql://user:secret@10.0.0.1/db")
    ours, library = log_lines()
    assert (ours["event"], ours["service"], ours["process"], ours["level"]) == ("called", "sample", "api", "info")
    assert (ours["phone"], ours["to"], ours["when"]) == ("+86 138***78", ["l***@example.com"], "2026-01-05T09:00:00Z")
    assert (library["logger"], library["level"]) == ("psycopg.pool", "warning")
    assert library["event"] == "cannot reach postgresql://***@10.0.0.1/db"


def test_addresses_that_http_clients_tell_are_not_logged(log_lines: Any) -> None:
    """In some of them stands a key: `…/send?key=…` of a chat robot, `app_secret=…` of an ERP."""
    logging.getLogger("httpx").info('HTTP Request: GET %s "HTTP/1.1 200 OK"', "https://x.example/send?key=sesame")
    logging.getLogger("httpx").warning("no way to https://x.example/send?a=1&app_secret=sesame&b=2")
    [line] = log_lines()
    assert line["event"] == "no way to https://x.example/send?a=1&app_secret=***&b=2"


def test_a_prober_who_hangs_up_leaves_no_traceback(log_lines: Any, capsys: Any) -> None:
    """The standard library prints them to standard error, unmasked and in no format of ours."""
    closing = endpoint.serve("127.0.0.1:0", ready=lambda: True)
    try:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", closing.port), timeout=5) as prober:
                prober.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                prober.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"\r\n" * 2)
        give_up = time.monotonic() + 20
        while not (lines := log_lines()) and time.monotonic() < give_up:
            time.sleep(0.05)
    finally:
        closing.close()
    assert {line["event"] for line in lines} == {"metrics connection broke off"}
    assert "Traceback" not in capsys.readouterr().err


def test_a_caller_who_left_is_no_error_and_no_traceback(log_lines: Any) -> None:
    try:
        raise RuntimeError("Failed execute_batch")
    except RuntimeError:
        logging.getLogger("grpc._cython.cygrpc").exception(
            "ExecuteBatchError raised in core by servicer method [%s]", "x"
        )
        logging.getLogger("grpc._cython.cygrpc").exception("something else")
    # Threads of the tests before may still have a word to say.
    left, other = [line for line in log_lines() if line["logger"] == "grpc._cython.cygrpc"]
    assert (left["event"], left["level"], "exception" in left) == ("the caller left before the answer", "info", False)
    assert "Failed execute_batch" in other["exception"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("电话13812345678请回", "电话138***78请回"),
        ("138-1234-5678", "138***78"),
        ("021-12345678", "021***78"),
        ("call +44 20 7946 0958 now", "call +44***58 now"),
        ("mail 王<wang.fang@corp.example.cn>", "mail 王<w***@corp.example.cn>"),
        ("Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJsaW4ifQ.c2ln", "Bearer ***"),
        ("redis://:pass@host:6379/0", "redis://***@host:6379/0"),
        ("GET /robot/send?access_token=abc&x=1", "GET /robot/send?access_token=***&x=1"),
        ("018f4e3a-1381-7234-8567-813812345678", "018f4e3a-1381-7234-8567-813812345678"),
        ("order 20260105138123456789", "order 20260105138123456789"),
        ("amount 13812345.678", "amount 13812345.678"),
        (
            'duplicate key "name"\nDETAIL:  Key (name)=(张三) already exists.\nCONTEXT:  COPY contact, line 1: "李四"',
            'duplicate key "name"\nDETAIL: ***\nCONTEXT: ***',
        ),
    ],
)
def test_what_is_hidden_in_a_text_and_what_is_not(text: str, shown: str) -> None:
    assert masked_text(text) == shown


def test_personal_fields_of_a_message_are_hidden_at_any_depth() -> None:
    message = sample.pb.Sample(id="1", name="王芳", text="ok", inner=[sample.pb.Sample(id="2", name="李雷")])
    assert masked(message) == {"id": "1", "name": "***", "text": "ok", "inner": [{"id": "2", "name": "***"}]}


def scraped(port: int, path: str = "/metrics", accept: str = "application/openmetrics-text") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_calls_are_counted_by_code_with_the_trace_as_exemplar(serve: Any, collector: Any) -> None:
    ready = [False]
    probes = endpoint.serve("127.0.0.1:0", lambda: ready[0])
    try:
        async with serve() as edge:
            collector.start(0.0)
            await edge.stub.Echo(sample.pb.EchoRequest(), metadata=(*edge.operations, ("traceparent", SAMPLED)))
            with pytest.raises(grpc.aio.AioRpcError):
                await edge.stub.Echo(sample.pb.EchoRequest())
        _, text = await asyncio.to_thread(scraped, probes.port)
        lines = [line for line in text.splitlines() if f'method="{sample.SERVICE}.Echo"' in line]
        assert any('code="OK"' in line and f'# {{trace_id="{TRACE}"}}' in line for line in lines)
        assert any(
            line.startswith("closedloop_rpc_seconds_count") and 'code="UNAUTHENTICATED"' in line for line in lines
        )
        assert 'closedloop_rpc_active{kind="unary"} 0.0' in text
        assert (await asyncio.to_thread(scraped, probes.port, "/healthz"))[0] == 503
        ready[0] = True
        assert (await asyncio.to_thread(scraped, probes.port, "/healthz"))[0] == 200
        assert (await asyncio.to_thread(scraped, probes.port, "/livez"))[0] == 200
        assert (await asyncio.to_thread(scraped, probes.port, "/else"))[0] == 404
    finally:
        probes.close()


def test_every_latency_promise_lies_on_a_bound_of_the_histogram() -> None:
    from closedloop_chassis import packages

    promises = {
        method.latency_p99
        for service in ("approvals", "customers", "funnel", "integrations", "platform", "targets")
        for name in packages.services(f"closedloop.{service}.v1")
        for method in contract.methods(name)
    }
    assert promises
    assert promises <= set(metrics.LATENCY_BUCKETS)


async def test_the_pool_is_seen_from_outside(serve: Any, database_url: str, sql: psycopg.Connection[Any]) -> None:
    probes = endpoint.serve("127.0.0.1:0", lambda: True)
    try:
        async with serve(database_url, pool_min=2) as edge:
            metrics.watch_pool(edge.process.database.pool.stats)
            for _ in range(50):
                _, text = await asyncio.to_thread(scraped, probes.port)
                if 'closedloop_pool_connections{state="all"} 2.0' in text:
                    break
                await asyncio.sleep(0.1)
            assert 'closedloop_pool_connections{state="all"} 2.0' in text
            assert "closedloop_pool_waiting 0.0" in text
    finally:
        probes.close()
        metrics.watch_pool(dict)
