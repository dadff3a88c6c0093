"""Couriers as processes, over a real RabbitMQ and over a real Redis."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import kombu
import psycopg
import pytest
import redis
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from closedloop.customers.v1.events_pb2 import LeadReceived
from closedloop_chassis import ids
from closedloop_chassis.contract import route
from closedloop_chassis.service import Service
from closedloop_devstack.ports import free_port
from closedloop_devstack.servers import PostgresServer, RabbitServer, RedisServer, databases

HERE = Path(__file__).parent
LEAD = route(LeadReceived).type

TELL = """
INSERT INTO outbox (id, type, subject, time, traceparent, data, waiting)
SELECT id, %(type)s, subject, clock_timestamp(), %(traceparent)s, data, %(waiting)s
FROM unnest(%(ids)s::uuid[], %(subjects)s::text[], %(data)s::bytea[]) AS told (id, subject, data)
RETURNING id::text
"""


@dataclass
class Broker:
    """One of the two brokers, with what a test does to it."""

    kind: str
    server: RabbitServer | RedisServer
    url: str

    def put(self, queue: str, body: bytes) -> None:
        """Any bytes at all, as any program could send them."""
        if self.kind == "redis":
            self._redis().rpush(f"closedloop.{queue}", body)
            return
        with kombu.Connection(self.url) as connection:
            properties = {"content_type": "x/y", "content_encoding": "binary"}
            connection.Producer().publish(body, exchange="", routing_key=queue, **properties)

    def ready(self, queue: str) -> int:
        """Messages waiting in the queue, which is made if need be."""
        if self.kind == "redis":
            return int(self._redis().llen(f"closedloop.{queue}"))
        with kombu.Connection(self.url) as connection:
            arguments = {"x-queue-type": "quorum"}
            declared = connection.channel().queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
            return int(declared.message_count)

    def take(self, queue: str) -> list[bytes]:
        """All that waits in the queue, in order; gone from it after."""
        if self.kind == "redis":
            return list(self._redis().lpop(f"closedloop.{queue}", 10_000) or [])
        taken: list[bytes] = []
        with kombu.Connection(self.url) as connection:
            channel = connection.channel()
            while message := channel.basic_get(queue, no_ack=True):
                taken.append(message.body if isinstance(message.body, bytes) else message.body.encode())
        return taken

    def empty(self) -> None:
        """The broker forgets everything."""
        if self.kind == "redis":
            self._redis().flushall()
            return
        with kombu.Connection(self.url) as connection:
            for service in ("customers", "funnel", "targets"):
                for queue in ("inbox", "receipts"):
                    connection.channel().queue_delete(f"{service}.{queue}")

    def _redis(self) -> Any:
        return redis.Redis.from_url(self.url, socket_timeout=5)


@dataclass
class CourierProcess:
    service: str
    dsn: str
    broker: str
    log: Path
    extra: dict[str, str] = field(default_factory=dict)
    metrics_port: int = field(default_factory=free_port)
    webhook_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> CourierProcess:
        environment = {
            **os.environ,
            "EXERCISE_SERVICE": self.service,
            "CLOSEDLOOP_DATABASE_URL": self.dsn,
            "CLOSEDLOOP_AMQP_URL": self.broker,
            "CLOSEDLOOP_METRICS_ADDRESS": f"127.0.0.1:{self.metrics_port}",
            "CLOSEDLOOP_WEBHOOK_ADDRESS": f"127.0.0.1:{self.webhook_port}",
            "CLOSEDLOOP_COURIER_RESEND_SECONDS": "2",
            "CLOSEDLOOP_COURIER_ABANDON_SECONDS": "6",
            **self.extra,
        }
        with self.log.open("ab") as log:
            command = [sys.executable, str(HERE / "exercise.py"), "courier"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        if wait:
            eventually(lambda: self.get("/healthz")[0] == 200, f"{self.service} courier is up: {self.log}", 60)
        return self

    def get(self, path: str, port: int = 0, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.metrics_port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()
        except OSError:
            return 0, b""

    def metric(self, line: str) -> float:
        """The value of one sample, e.g. `closedloop_courier_told_again_total`; 0 where it is missing."""
        for text in self.get("/metrics")[1].decode().splitlines():
            if text.startswith(line + " "):
                return float(text.rpartition(" ")[2])
        return 0.0

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self, within: float = 12) -> int:
        """SIGTERM; answers the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)


@dataclass
class Pair:
    """customers tells, funnel listens."""

    broker: Broker
    source: CourierProcess
    consumer: CourierProcess

    def start(self) -> Pair:
        self.source.start(wait=False)
        self.consumer.start()
        self.source.start() if self.source.process is None else eventually(
            lambda: self.source.get("/healthz")[0] == 200, "the source is up", 20
        )
        return self

    def tell(self, count: int, waiting: Sequence[str] = ("funnel",), traceparent: str = "") -> list[str]:
        """Commits events into the outbox of customers as its api would; answers their ids."""
        leads = [f"lead-{number % 7}" for number in range(count)]
        values = {
            "type": LEAD,
            "traceparent": traceparent,
            "waiting": list(waiting),
            "ids": [ids.new_id() for _ in leads],
            "subjects": leads,
            "data": [LeadReceived(lead_id=lead).SerializeToString() for lead in leads],
        }
        with psycopg.connect(self.source.dsn) as connection:
            return [row[0] for row in connection.execute(TELL, values)]

    def arrived(self) -> list[str]:
        return [row[0] for row in rows(self.consumer.dsn, "SELECT id::text FROM inbox WHERE state = 0")]

    def outstanding(self) -> int:
        return int(rows(self.source.dsn, "SELECT count(*) FROM outbox")[0][0])

    def complete(self, told: Sequence[str], seconds: float = 60) -> None:
        """Everything told is in the inbox, once, and struck from the outbox."""
        eventually(lambda: len(self.arrived()) >= len(told), "everything told arrives", seconds)
        assert sorted(self.arrived()) == sorted(told)
        eventually(lambda: self.outstanding() == 0, "every receipt comes back", seconds)


def rows(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, connect_timeout=3) as connection:
        return connection.execute(statement).fetchall()


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., None]:
    return eventually


@pytest.fixture(name="rows")
def _rows() -> Callable[[str, str], list[Any]]:
    return rows


@pytest.fixture(params=["redis", "rabbit"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        broker = Broker("redis", redis, redis.database(1))
    else:
        rabbit: RabbitServer = request.getfixturevalue("rabbit")
        broker = Broker("rabbit", rabbit, rabbit.url)
    broker.server.start()
    broker.empty()
    yield broker
    broker.server.start()
    broker.empty()


@pytest.fixture
def new_courier(templates: Any, postgres: PostgresServer, tmp_path: Path) -> Iterator[Callable[..., CourierProcess]]:
    """`new_courier("funnel", broker_url)`: with a database of its own, ended after the test."""
    made: list[CourierProcess] = []
    # Dropped after the test: a PostgreSQL that was killed syncs every file of every database when it comes back.
    fresh: list[str] = []

    def make(service: str, broker_url: str, dsn: str = "", **extra: str) -> CourierProcess:
        if not dsn:
            dsn = templates.copy(Service(name=service, package="", slices=(), migrations=HERE / "none"))
            fresh.append(dsn.rpartition("/")[2])
        made.append(CourierProcess(service, dsn, broker_url, tmp_path / f"{service}-{len(made)}.log", extra))
        return made[-1]

    yield make
    for courier in made:
        if courier.process is not None and courier.process.poll() is None:
            courier.kill()
    for name in fresh:
        databases.drop(postgres.url, name)
    for courier in made:
        print(courier.log, courier.log.read_text() if courier.log.exists() else "", sep="\n")  # noqa: T201


class Collector:
    """Takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                outer.spans += [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


@pytest.fixture
def pair(broker: Broker, new_courier: Callable[..., CourierProcess]) -> Pair:
    return Pair(broker, new_courier("customers", broker.url), new_courier("funnel", broker.url))
