"""Pollers and webhooks."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.fixture
def courier(broker: Any, new_courier: Callable[..., Any]) -> Any:
    made = new_courier("funnel", broker.url, EXERCISE_PARTS="exercise_parts", CLOSEDLOOP_DEVELOPMENT="true")
    return made.start()


def test_a_poller_runs_on_one_replica_at_a_time_and_moves_when_that_dies(
    courier: Any,
    broker: Any,
    new_courier: Callable[..., Any],
    rows: Callable[..., Any],
    eventually: Callable[..., None],
) -> None:
    other = new_courier("funnel", broker.url, dsn=courier.dsn, EXERCISE_PARTS="exercise_parts").start()
    pids = {courier.process.pid: courier, other.process.pid: other}
    eventually(lambda: courier.metric('closedloop_poll_seconds_count{outcome="ok",poller="diary"}') >= 5, "it runs")
    leader = rows(courier.dsn, "SELECT DISTINCT pid FROM diary")
    assert len(leader) == 1
    pids[leader[0][0]].kill()
    taken_over = "SELECT count(DISTINCT pid) FROM diary"
    eventually(lambda: rows(courier.dsn, taken_over)[0][0] == 2, "the other one takes over")
    overlaps = "SELECT count(*) FROM diary a JOIN diary b ON a.begun < b.begun AND b.begun < a.ended"
    assert rows(courier.dsn, overlaps) == [(0,)]


def test_a_poller_that_raises_runs_again(
    courier: Any, rows: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    failures = 'closedloop_poll_seconds_count{outcome="error",poller="stumble"}'
    eventually(lambda: courier.metric(failures) >= 3, "it is tried again and again")
    observed = rows(courier.dsn, "SELECT count(*), min(source), min(type), min(state) FROM inbox")[0]
    assert observed[0] >= 3
    assert observed[1:] == ("funnel.courier", "closedloop.customers.lead.received.v1", 0)


def test_a_webhook_observes_once(courier: Any, rows: Callable[..., Any]) -> None:
    def call() -> tuple[int, bytes]:
        return courier.get("/hooks/mail?number=7", courier.webhook_port, b"spring", **{"X-Signature": "abc"})  # type: ignore[no-any-return]

    assert call() == (201, b"mail abc POST")
    assert call() == (200, b"mail abc POST")
    assert rows(courier.dsn, "SELECT source, subject, state FROM inbox WHERE source = 'web'") == [("web", "7", 0)]


def test_bad_calls_get_plain_refusals(courier: Any) -> None:
    port = courier.webhook_port
    status, body = courier.get("/refuse", port, b"{}")
    assert status == 500
    assert set(json.loads(body)) == {"reason", "id"}
    assert b"secret" not in body
    assert json.loads(body)["id"] in courier.log.read_text()
    status, body = courier.get("/refuse?how=domain", port, b"{}")
    assert status == 401
    assert json.loads(body)["reason"] == "SIGNATURE_WRONG"
    assert courier.get("/hooks/mail?number=8", port, b"x" * (1024 * 1024 + 1))[0] in (413, 0)
    assert courier.get("/nowhere", port, b"")[0] == 404
    assert courier.get("/refuse", port)[0] == 405
    assert courier.metric('closedloop_webhooks_total{path="/hooks/<provider>",status="413"}') == 1


def test_a_chunked_body_over_the_limit_is_refused(courier: Any) -> None:
    with socket.create_connection(("127.0.0.1", courier.webhook_port), timeout=10) as client:
        client.sendall(b"POST /hooks/mail?number=9 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"y" * 0x10000 + b"\r\n"
        answer = b""
        try:
            for _ in range(20):
                client.sendall(chunk)
            client.sendall(b"0\r\n\r\n")
            answer = client.recv(100)
        except OSError:
            pass
    assert answer.startswith((b"HTTP/1.1 413", b""))
    assert courier.metric('closedloop_webhooks_total{path="/hooks/<provider>",status="413"}') == 1


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"5\r\nab"])
def test_chunks_that_are_none_are_the_callers_fault(courier: Any, chunks: bytes) -> None:
    head = b"POST /hooks/mail?number=9 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", courier.webhook_port), timeout=10) as client:
        client.sendall(head + chunks)
        client.shutdown(socket.SHUT_WR)
        assert b" 500 " not in client.recv(100)[:20]
    # A poller of the exercise fails all the time, on purpose.
    lines = [line for line in courier.log.read_text().splitlines() if "poller failed" not in line]
    assert not [line for line in lines if "Traceback" in line]


def test_clients_that_hang_up_do_no_harm(courier: Any) -> None:
    for text in (b"POST /hooks/mail HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf", b"garbage\r\n\r\n", b""):
        client = socket.create_connection(("127.0.0.1", courier.webhook_port), timeout=5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.sendall(text)
        time.sleep(0.1)
        client.close()
    time.sleep(0.3)
    assert courier.get("/modules", courier.webhook_port)[0] == 200


def test_the_desk_honours_the_development_clock(courier: Any, eventually: Callable[..., None]) -> None:
    with psycopg.connect(courier.dsn) as connection:
        connection.execute("UPDATE development_time SET offset_us = %s", (30 * 86400 * 1_000_000,))

    def ahead() -> timedelta:
        said = courier.get("/now", courier.webhook_port)[1].decode()
        return datetime.fromisoformat(said) - datetime.now(UTC)  # type: ignore[no-any-return]

    eventually(lambda: ahead() > timedelta(days=29), "within a second or two", 5)
