"""Whatever falls over, everything told arrives, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from closedloop_devstack import faketime
from closedloop_devstack.servers import PostgresServer
from closedloop_devstack.testing.notices import lack

pytestmark = pytest.mark.timeout(180)


def test_broker_killed_and_restarted(pair: Any, eventually: Callable[..., None]) -> None:
    pair.start()
    told = pair.tell(500)
    pair.broker.server.kill()
    told += pair.tell(500)
    time.sleep(2)
    assert pair.source.get("/healthz")[0] == pair.consumer.get("/healthz")[0] == 200
    eventually(lambda: pair.source.metric("closedloop_courier_broker_up") == 0, "metrics show it")
    pair.broker.server.start()
    told += pair.tell(500)
    pair.complete(told, 60)
    assert pair.source.metric("closedloop_courier_broker_up") == 1


@pytest.mark.parametrize("broker", ["rabbit"], indirect=True)
def test_broker_killed_while_it_makes_the_queues(pair: Any, eventually: Callable[..., None]) -> None:
    """It may then keep the name of a queue that never serves anybody; the courier makes it anew."""
    pair.source.start(wait=False)
    pair.consumer.start(wait=False)
    eventually(lambda: all("courier runs" in end.log.read_text() for end in (pair.source, pair.consumer)), "they run")
    time.sleep(0.1)
    pair.broker.server.kill()
    told = pair.tell(100)
    pair.broker.server.start()
    pair.complete(told, 75)


def test_consumer_killed_midway(pair: Any, eventually: Callable[..., None]) -> None:
    pair.consumer.extra["CLOSEDLOOP_COURIER_BATCH_SIZE"] = "5"
    pair.start()
    told = pair.tell(3000)
    eventually(lambda: len(pair.arrived()) > 50, "it is at work")
    pair.consumer.kill()
    assert len(pair.arrived()) < 3000
    pair.consumer.extra.clear()
    pair.consumer.start()
    pair.complete(told, 60)


def test_source_killed_midway(pair: Any, eventually: Callable[..., None]) -> None:
    pair.source.extra["CLOSEDLOOP_COURIER_BATCH_SIZE"] = "50"
    pair.start()
    told = pair.tell(3000)
    eventually(lambda: len(pair.arrived()) > 50, "it is at work")
    pair.source.kill()
    pair.source.start()
    pair.complete(told, 60)


def test_broker_forgets_everything_in_mid_flight(pair: Any, eventually: Callable[..., None]) -> None:
    pair.source.start()
    told = pair.tell(400)
    eventually(lambda: pair.broker.ready("funnel.inbox") >= 400, "the broker has them")
    pair.broker.empty()
    pair.consumer.start()
    told += pair.tell(400)
    pair.complete(told, 60)
    assert pair.source.metric("closedloop_courier_told_again_total") >= 400


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_courier_an_hour_ahead_keeps_nobody_from_telling_again(
    pair: Any, eventually: Callable[..., None], pytestconfig: pytest.Config
) -> None:
    library = faketime.library()
    if library is None:
        lack(pytestconfig, faketime.LACKING)
    pair.source.extra.update(faketime.skewed(3600, library))
    pair.source.start()
    told = pair.tell(50)
    eventually(lambda: pair.broker.ready("funnel.inbox") == 50, "the broker has them")
    pair.broker.empty()
    pair.source.kill()
    pair.source.extra.clear()
    pair.start()
    pair.complete(told, 60)


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_redis_flushed_under_running_couriers(pair: Any) -> None:
    pair.start()
    told: list[str] = []
    for _ in range(10):
        told += pair.tell(200)
        pair.broker.empty()
        time.sleep(0.1)
    pair.complete(told, 60)


def test_a_slow_consumer_is_not_buried_in_repeats(pair: Any, eventually: Callable[..., None]) -> None:
    pair.source.start()
    pair.tell(300)
    eventually(lambda: pair.broker.ready("funnel.inbox") >= 300, "the broker has them")
    # Three times the patience of the source.
    time.sleep(6)
    assert pair.broker.ready("funnel.inbox") == 300
    assert pair.source.metric("closedloop_courier_told_again_total") == 0


def test_database_restarted(pair: Any, postgres: PostgresServer) -> None:
    pair.start()
    told = pair.tell(500)
    restarting = Thread(target=postgres.restart)
    restarting.start()
    time.sleep(3)
    restarting.join()
    told += pair.tell(500)
    pair.complete(told, 60)
    assert pair.source.get("/healthz")[0] == pair.consumer.get("/healthz")[0] == 200


def test_consumers_database_away_for_a_while(
    pair: Any, postgres: PostgresServer, eventually: Callable[..., None]
) -> None:
    pair.start()
    told = pair.tell(10)
    pair.complete(told)
    link = 'closedloop_courier_link_up{link="database, receiving"}'
    postgres.kill()
    # More than the prefetch: the rest must wait in the broker, not in memory.
    for number in range(50):
        pair.broker.put("funnel.inbox", f"not an event {number}".encode())
    eventually(lambda: pair.consumer.metric(link) == 0, "metrics show it")
    time.sleep(5)
    postgres.start()
    told += pair.tell(100)
    pair.complete(told, 60)
    eventually(lambda: pair.consumer.metric("closedloop_courier_unreadable_total") >= 50, "what waited is parked")
