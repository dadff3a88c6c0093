"""Sends many messages at once and returns when the broker has them all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import eventlet
from kombu import Connection, Producer

from closedloop_chassis.courier.broker import EVENTS, RECEIPTS, Broker, Parcel, inbox_name, inbox_queue


class Unconfirmed(Exception):
    """The broker refused messages, or stayed silent."""


class Press(Protocol):
    """One connection for one greenthread. Every method raises when the broker is away; the next call reconnects."""

    def open(self) -> None: ...

    def send(self, parcels: Sequence[Parcel]) -> None: ...

    def prepare(self, consumer: str, types: Sequence[str]) -> None:
        """Makes sure that the consumer's inbox queue exists and gets these types, also if it was never started."""

    def depth(self, consumer: str) -> int:
        """Messages ready in the consumer's inbox queue."""

    def close(self) -> None: ...


def press(broker: Broker) -> Press:
    return RedisPress(broker) if broker.is_redis else RabbitPress(broker)


class RabbitPress:
    """Publisher confirms, one wait per batch: waiting per message costs a disk flush each."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connection: Connection | None = None
        self._channel: Any = None
        self._prepared: set[tuple[str, str]] = set()
        self._last = 0
        self._open: set[int] = set()
        self._refused = False

    def open(self) -> None:
        if self._connection is not None and self._connection.connected:
            return
        self.close()
        connection = self._broker.connection()
        try:
            connection.connect()
            self._channel = channel = connection.channel()
            channel.confirm_select()
            channel.events["basic_ack"].add(self._confirmed)
            channel.events["basic_nack"].add(self._nacked)
            for exchange in (EVENTS, RECEIPTS):
                exchange(channel).declare()
        except BaseException:
            connection.collect(socket_timeout=1)
            raise
        self._connection, self._last = connection, 0
        self._open.clear()
        self._prepared.clear()

    def send(self, parcels: Sequence[Parcel]) -> None:
        self.open()
        try:
            self._send(parcels)
        except BaseException:
            self._drop()
            raise

    def _send(self, parcels: Sequence[Parcel]) -> None:
        self._refused = False
        for parcel in parcels:
            message = self._channel.prepare_message(
                parcel.body,
                content_type=parcel.content_type,
                content_encoding="binary",
                properties={"message_id": parcel.id, "delivery_mode": 2},
            )
            for exchange, routing_key in parcel.routes:
                self._last += 1
                self._open.add(self._last)
                self._channel.basic_publish(message, exchange=exchange, routing_key=routing_key)
        deadline = time.monotonic() + self._broker.pace.confirm_seconds
        while self._open and not self._refused:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unconfirmed(f"{len(self._open)} of {len(parcels)} messages not confirmed")
            assert self._connection is not None
            self._connection.drain_events(timeout=left)
        if self._refused:
            raise Unconfirmed("the broker refused messages")

    def prepare(self, consumer: str, types: Sequence[str]) -> None:
        new = [type for type in types if (consumer, type) not in self._prepared]
        if not new:
            return
        self.open()
        try:
            inbox_queue(consumer, new)(self._channel).declare()
        except BaseException:
            self._drop()
            raise
        self._prepared.update((consumer, type) for type in new)

    def depth(self, consumer: str) -> int:
        self.open()
        try:
            # Not passive: asking for a missing queue would close the channel.
            return int(inbox_queue(consumer, ())(self._channel).queue_declare(nowait=False)[1])
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        if self._connection is not None:
            with eventlet.Timeout(1, False):
                self._connection.release()
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with eventlet.Timeout(2, False):
                connection.collect(socket_timeout=1)

    def _confirmed(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._open = {other for other in self._open if other > tag}
        else:
            self._open.discard(tag)

    def _nacked(self, tag: int, multiple: bool) -> None:
        self._refused = True


class RedisPress:
    """One pipeline per batch: Redis answers when all messages are in its lists."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def open(self) -> None:
        if self._connection is None:
            connection = self._broker.connection()
            try:
                connection.connect()
                self._producer = Producer(connection.channel(), auto_declare=False)
            except BaseException:
                connection.collect(socket_timeout=1)
                raise
            self._connection = connection

    def send(self, parcels: Sequence[Parcel]) -> None:
        self.open()
        assert self._producer is not None
        try:
            with self._producer.batch(max_size=max(len(parcels) * 4, 1)):
                for parcel in parcels:
                    for exchange, routing_key in parcel.routes:
                        self._producer.publish(
                            parcel.body,
                            exchange=exchange,
                            routing_key=routing_key,
                            content_type=parcel.content_type,
                            content_encoding="binary",
                            message_id=parcel.id,
                        )
        except BaseException:
            self.close()
            raise

    def prepare(self, consumer: str, types: Sequence[str]) -> None:
        """Nothing to do: a Redis list is there as soon as something is pushed."""

    def depth(self, consumer: str) -> int:
        self.open()
        assert self._producer is not None
        try:
            return int(self._producer.channel.queue_declare(inbox_name(consumer)).message_count)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            connection, self._connection, self._producer = self._connection, None, None
            with eventlet.Timeout(2, False):
                connection.collect(socket_timeout=1)
