"""Somebody in between on a queue: takes messages away, and gives them back late, twice, in another order, or never.

From outside, as a second consumer of the courier's own queue: about every other message comes by here. What a courier
is promised by no broker, it is not given.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import amqp  # type: ignore[import-untyped]
import redis

TWICE = 0.3
PASSED_ON = "x-passed-on"
# Between two looks; also what a message costs that comes by a second time.
LOOK_SECONDS = 0.02


@dataclass
class Tally:
    """What was done to messages of one queue; `ended` says why it was over before its time."""

    delayed: int = 0
    doubled: int = 0
    lost: int = 0
    ended: str = ""

    def __str__(self) -> str:
        counts = f"{self.delayed} delayed, {self.doubled} doubled, {self.lost} lost"
        return f"{counts}; {self.ended}" if self.ended else counts


@dataclass
class Between:
    """Messages on their way, by the moment they go back. `late` is the longest delay in seconds; 0: they are lost."""

    late: float
    draw: random.Random
    tally: Tally
    _held: list[tuple[float, int, bytes]] = field(default_factory=list)
    _number: int = 0

    def take(self, body: bytes) -> None:
        if not self.late:
            self.tally.lost += 1
            return
        self.tally.delayed += 1
        self._hold(body)
        if self.draw.random() < TWICE:
            self.tally.doubled += 1
            self._hold(body)

    def release(self, give: Callable[[bytes], None], *, all: bool = False) -> None:
        now = time.monotonic()
        while self._held and (all or self._held[0][0] <= now):
            give(heapq.heappop(self._held)[2])

    def _hold(self, body: bytes) -> None:
        self._number += 1
        heapq.heappush(self._held, (time.monotonic() + self.draw.uniform(0, self.late), self._number, body))


def stand_between(url: str, queue: str, seconds: float, late: float, draw: random.Random) -> Tally:
    """Blocks for `seconds`, or until the broker goes away: what we hold then is lost, too."""
    side = _rabbitmq if url.startswith("amqp") else _redis
    tally = Tally()
    try:
        side(url, queue, time.monotonic() + seconds, Between(late, draw, tally))
    except (OSError, amqp.exceptions.AMQPError, redis.RedisError) as cause:
        tally.ended = f"ended by {type(cause).__name__}: {cause}"
    return tally


def empty(url: str, queues: list[str]) -> int:
    """Everything the broker holds for these queues is gone; answers how many messages that was."""
    if not url.startswith("amqp"):
        with redis.Redis.from_url(url, socket_timeout=3) as client:
            held = sum(int(client.llen(f"closedloop.{queue}")) for queue in queues)
            client.flushall()
        return held
    with _connection(url) as connection:
        channel = connection.channel()
        return sum(int(channel.queue_purge(queue) or 0) for queue in queues)


def _connection(url: str) -> Any:
    parts = urlsplit(url)
    return amqp.Connection(
        f"{parts.hostname}:{parts.port}",
        parts.username,
        parts.password,
        virtual_host=parts.path[1:],
        connect_timeout=3,
        read_timeout=5,
        write_timeout=5,
    )


def _rabbitmq(url: str, queue: str, end: float, between: Between) -> None:
    with _connection(url) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 20, False)

        def give(body: bytes) -> None:
            message = amqp.Message(body, delivery_mode=2, application_headers={PASSED_ON: 1})
            channel.basic_publish(message, routing_key=queue)

        def came(message: Any) -> None:
            body = message.body if isinstance(message.body, bytes) else message.body.encode()
            if (message.headers or {}).get(PASSED_ON):
                time.sleep(LOOK_SECONDS)
                give(body)
            else:
                between.take(body)
            message.channel.basic_ack(message.delivery_tag)

        tag = channel.basic_consume(queue, callback=came)
        while time.monotonic() < end:
            with suppress(TimeoutError):
                connection.drain_events(timeout=LOOK_SECONDS)
            between.release(give)
        channel.basic_cancel(tag)
        between.release(give, all=True)


def _redis(url: str, queue: str, end: float, between: Between) -> None:
    name, seen = f"closedloop.{queue}", set[bytes]()
    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=3) as client:

        def give(body: bytes) -> None:
            client.rpush(name, body)

        while time.monotonic() < end:
            popped: Any = client.blpop([name], timeout=LOOK_SECONDS)
            if popped:
                mark = hashlib.sha256(popped[1]).digest()
                if mark in seen:
                    time.sleep(LOOK_SECONDS)
                    give(popped[1])
                else:
                    seen.add(mark)
                    between.take(popped[1])
            between.release(give)
        between.release(give, all=True)
