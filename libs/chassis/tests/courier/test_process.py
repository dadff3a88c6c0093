"""The process: what it loads, how it starts, how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_no_grpc_in_the_process(pair: Any) -> None:
    pair.consumer.extra["EXERCISE_PARTS"] = "exercise_parts"
    pair.consumer.start()
    status, body = pair.consumer.get("/modules", pair.consumer.webhook_port)
    loaded = set(body.decode().split())
    assert status == 200
    assert {"nameko.containers", "eventlet", "closedloop.customers.v1.events_pb2"} <= loaded
    assert not {name for name in loaded if name == "grpc" or name.startswith("grpc.")}


def test_nameko_is_imported_in_one_module() -> None:
    import closedloop_chassis.courier as package

    folder = Path(package.__file__).parent
    users = {
        path.name for path in folder.glob("*.py") if re.search(r"^\s*(import|from) nameko", path.read_text(), re.M)
    }
    assert users == {"nameko_app.py"}


def test_a_courier_with_grpcio_refuses_to_run() -> None:
    lines = (
        "from closedloop_chassis.courier import green, run",
        "green.patch()",
        "import grpc",
        "from closedloop_chassis.settings import Settings",
        "run('funnel', '', Settings())",
    )
    environment = {
        **os.environ,
        "CLOSEDLOOP_DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "CLOSEDLOOP_METRICS_ADDRESS": "127.0.0.1:0",
    }
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=environment, capture_output=True, text=True, timeout=30
    )
    assert ran.returncode != 0
    assert "must not import grpcio" in ran.stderr


def test_sigterm_under_load_finishes_the_batch(pair: Any, eventually: Callable[..., None]) -> None:
    pair.start()
    told = pair.tell(4000)
    eventually(lambda: len(pair.arrived()) > 0, "it is at work")
    begun = time.monotonic()
    assert pair.consumer.terminate() == 0
    assert pair.source.terminate() == 0
    assert time.monotonic() - begun < 10
    pair.start()
    pair.complete(told, 60)


@pytest.mark.timeout(120)
def test_sigterm_while_the_broker_is_down(pair: Any) -> None:
    pair.start()
    pair.broker.server.kill()
    pair.tell(10)
    time.sleep(3)
    for courier in (pair.source, pair.consumer):
        begun = time.monotonic()
        assert courier.terminate() == 0
        assert time.monotonic() - begun < 10


@pytest.mark.timeout(120)
def test_starts_and_ends_without_broker_and_database(new_courier: Callable[..., Any]) -> None:
    for broker in ("amqp://guest:guest@127.0.0.1:9/", "redis://127.0.0.1:9/0"):
        courier = new_courier("funnel", broker, "postgresql://nobody@127.0.0.1:9/none", EXERCISE_PARTS="exercise_parts")
        courier.start()
        time.sleep(2)
        assert courier.get("/healthz")[0] == 200
        assert courier.metric("closedloop_courier_broker_up") == 0
        begun = time.monotonic()
        assert courier.terminate() == 0
        assert time.monotonic() - begun < 10


OVERDUE = """
INSERT INTO clock (id, kind, subject, calendar, budget, started_at, due_at, next_at)
VALUES (gen_random_uuid(), 'funnel.stage_dwell', 'deal', 'plain', '1 hour', now() - interval '2 hours',
        now() - interval '1 hour', now() - interval '1 hour')
"""


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_the_courier_tells_how_late_clocks_are_while_no_api_makes_them_fire(
    broker: Any, new_courier: Callable[..., Any], rows: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    courier = new_courier("funnel", broker.url)
    rows(courier.dsn, OVERDUE + "RETURNING id")
    courier.start()
    late = 'closedloop_clock_oldest_overdue_seconds{kind="funnel.stage_dwell"}'
    eventually(lambda: courier.metric(late) >= 3600, "the clock's lateness is seen")
    assert courier.metric('closedloop_clocks_open{kind="funnel.stage_dwell"}') == 1
