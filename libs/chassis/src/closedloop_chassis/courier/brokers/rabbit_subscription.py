"""Consumes one queue into a bounded buffer and hands it out in batches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import eventlet
import structlog
from eventlet.event import Event
from eventlet.queue import Empty, LightQueue
from eventlet.semaphore import Semaphore
from kombu import Connection, Consumer, Queue

from closedloop_chassis.courier.brokers import Batch
from closedloop_chassis.courier.brokers.rabbit import RabbitBroker
from closedloop_chassis.courier.link import Link

HEARTBEAT_SECONDS = 20


class QueueUnusable(Exception):
    """The broker answers, this queue does not, or not as it should."""


class RabbitSubscription:
    """Holds at most `Pace.prefetch` messages that are not acknowledged."""

    def __init__(self, broker: RabbitBroker, queue: Queue, link: Link) -> None:
        self._broker = broker
        self._queue = queue
        self._link = link
        self._buffer: Any = LightQueue()
        self._channel: Any = None
        # Acknowledgements and heartbeats come from two greenthreads; frames must not mix on the wire.
        self._writing = Semaphore()
        self._log: Any = structlog.get_logger("courier")
        self._unusable_since: float | None = None
        self._stopping = False
        self.ended = Event()

    def run(self) -> None:
        """Returns after `stop`; reconnects for as long as it takes."""
        while not self._stopping:
            try:
                self._consume()
            except Exception as cause:
                pause = self._link.down(cause)
                if isinstance(cause, QueueUnusable):
                    self._make_anew_in_time()
                else:
                    self._unusable_since = None
                eventlet.sleep(pause)
        self.ended.send()

    def stop(self) -> None:
        self._stopping = True

    def take(self, limit: int, timeout: float) -> Batch | None:
        try:
            messages = [self._buffer.get(timeout=timeout)]
        except Empty:
            return None
        while len(messages) < limit and self._buffer.qsize():
            messages.append(self._buffer.get_nowait())
        return Batch(
            [_bytes(message.body) for message in messages],
            acknowledge=lambda: self._acknowledge(messages),
            give_back=_nothing,
        )

    def _acknowledge(self, messages: Sequence[Any]) -> None:
        current = [message for message in messages if message.channel is self._channel]
        if not current:
            return
        try:
            with self._writing:
                # Batches are taken in order of delivery, so the last tag stands for all of them.
                current[-1].ack(multiple=True)
        except Exception as cause:
            self._link.down(cause)

    def _consume(self) -> None:
        connection = self._broker.connection(heartbeat=HEARTBEAT_SECONDS)
        try:
            with eventlet.Timeout(self._broker.pace.confirm_seconds, TimeoutError("the broker is silent")):
                connection.connect()
                self._channel = channel = connection.channel()
                channel.basic_qos(0, self._broker.pace.prefetch, False)
            consumer = self._subscribe(channel)
            self._unusable_since = None
            self._link.up()
            self._drain(connection)
            self._say_goodbye(connection, consumer)
        finally:
            self._forget(connection)

    def _subscribe(self, channel: Any) -> Consumer:
        try:
            with eventlet.Timeout(self._broker.pace.confirm_seconds, TimeoutError("it is silent")):
                consumer = Consumer(channel, queues=[self._queue], on_message=self._buffer.put, no_ack=False)
                consumer.consume()
                return consumer
        except Exception as cause:
            raise QueueUnusable(f"{self._queue.name}: {type(cause).__name__}: {cause}") from cause

    def _make_anew_in_time(self) -> None:
        """A RabbitMQ killed while it made a quorum queue keeps its name and never serves it again. Such a queue is
        deleted: what it held is still in its sources' outboxes, and is told again."""
        self._unusable_since = self._unusable_since or time.monotonic()
        if time.monotonic() - self._unusable_since < self._broker.pace.abandon_seconds:
            return
        self._unusable_since = None
        connection = self._broker.connection()
        try:
            with eventlet.Timeout(15, QueueUnusable(self._queue.name)):
                connection.connect()
                connection.channel().queue_delete(self._queue.name)
            self._log.error("queue is unusable, made anew", queue=self._queue.name)
        except Exception as cause:
            self._log.error("queue is unusable and cannot be deleted", queue=self._queue.name, cause=str(cause))
        finally:
            with eventlet.Timeout(2, False):
                connection.collect(socket_timeout=1)

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
        self._channel = None
        while self._buffer.qsize():
            self._buffer.get_nowait()
        with eventlet.Timeout(2, False):
            connection.collect(socket_timeout=1)


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


def _nothing() -> None:
    """What is not acknowledged goes back when the channel closes."""
