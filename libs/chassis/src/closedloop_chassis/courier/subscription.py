"""Consumes one queue into a bounded buffer and hands it out in batches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import eventlet
from eventlet.event import Event
from eventlet.queue import Empty, LightQueue
from eventlet.semaphore import Semaphore
from kombu import Connection, Consumer, Queue

from closedloop_chassis.courier.broker import Broker
from closedloop_chassis.courier.link import Link

HEARTBEAT_SECONDS = 20


@dataclass(frozen=True)
class Batch:
    """Messages in the order the broker delivered them."""

    subscription: Subscription
    messages: Sequence[Any]

    @property
    def bodies(self) -> list[bytes]:
        return [body.encode() if isinstance(body := message.body, str) else bytes(body) for message in self.messages]

    def acknowledge(self) -> None:
        """Never raises: what the broker does not hear it delivers again, and acting twice is harmless."""
        self.subscription.acknowledge(self.messages)


class Subscription:
    """`run` in one greenthread, `take` in another."""

    def __init__(self, broker: Broker, queue: Queue, link: Link) -> None:
        self._broker = broker
        self._queue = queue
        self._link = link
        self._buffer: Any = LightQueue()
        self._channel: Any = None
        # Acknowledgements and heartbeats come from two greenthreads; frames must not mix on the wire.
        self._writing = Semaphore()
        self._stopping = False
        self.ended = Event()

    def run(self) -> None:
        """Returns after `stop`; reconnects for as long as it takes."""
        while not self._stopping:
            try:
                self._consume()
            except Exception as cause:
                pause = self._link.down(cause)
                eventlet.sleep(pause)
        self.ended.send()

    def stop(self) -> None:
        self._stopping = True

    def take(self, limit: int, timeout: float) -> Batch | None:
        """What has arrived, up to `limit`; None if nothing did for `timeout` seconds."""
        try:
            messages = [self._buffer.get(timeout=timeout)]
        except Empty:
            return None
        while len(messages) < limit and self._buffer.qsize():
            messages.append(self._buffer.get_nowait())
        return Batch(self, messages)

    def acknowledge(self, messages: Sequence[Any]) -> None:
        current = [message for message in messages if message.channel is self._channel]
        if not current:
            return
        try:
            with self._writing:
                if self._broker.is_redis:
                    for message in current:
                        message.ack()
                else:
                    # Batches are taken in order of delivery, so the last tag stands for all of them.
                    current[-1].ack(multiple=True)
        except Exception as cause:
            self._link.down(cause)

    def _consume(self) -> None:
        connection = self._broker.connection(heartbeat=HEARTBEAT_SECONDS)
        try:
            connection.connect()
            self._channel = channel = connection.channel()
            channel.basic_qos(0, self._broker.pace.prefetch, False)
            consumer = Consumer(channel, queues=[self._queue], on_message=self._buffer.put, no_ack=False)
            consumer.consume()
            self._link.up()
            self._drain(connection)
            self._say_goodbye(connection, consumer)
        finally:
            self._forget(connection)

    def _drain(self, connection: Connection) -> None:
        beat = time.monotonic()
        while not self._stopping:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.5)
            if time.monotonic() - beat > 1:
                beat = time.monotonic()
                with self._writing:
                    connection.heartbeat_check()

    def _say_goodbye(self, connection: Connection, consumer: Consumer) -> None:
        # Gives back what was delivered and not acknowledged, so that a replica gets it at once.
        with eventlet.Timeout(2, False), self._writing:
            consumer.cancel()
            connection.release()

    def _forget(self, connection: Connection) -> None:
        # The broker delivers these again; keeping them would double the memory at every reconnect.
        channel, self._channel = self._channel, None
        while self._buffer.qsize():
            self._buffer.get_nowait()
        if channel is not None and self._broker.is_redis:
            channel.do_restore = False
        with eventlet.Timeout(2, False):
            connection.collect(socket_timeout=1)
