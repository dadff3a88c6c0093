"""Sends many messages at once and returns when the broker has them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import eventlet
from kombu import Connection

from closedloop_chassis.courier.brokers import Parcel
from closedloop_chassis.courier.brokers.rabbit import EVENTS, RECEIPTS, RabbitBroker, inbox_queue


class Unconfirmed(Exception):
    """The broker refused messages, or stayed silent."""


class RabbitPress:
    """Publisher confirms, one wait per batch: waiting per message costs a disk flush each."""

    def __init__(self, broker: RabbitBroker) -> None:
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
        with self._dropping_on_failure():
            self._connection = connection = self._broker.connection()
            connection.connect()
            self._channel = channel = connection.channel()
            channel.confirm_select()
            channel.events["basic_ack"].add(self._confirmed)
            channel.events["basic_nack"].add(self._nacked)
            for exchange in (EVENTS, RECEIPTS):
                exchange(channel).declare()
            self._last = 0
            self._open.clear()
            self._prepared.clear()

    def send(self, parcels: Sequence[Parcel]) -> None:
        self.open()
        with self._dropping_on_failure():
            self._refused = False
            for parcel in parcels:
                self._publish(parcel)
            while self._open and not self._refused:
                assert self._connection is not None
                self._connection.drain_events(timeout=self._broker.pace.confirm_seconds)
            if self._refused:
                raise Unconfirmed("the broker refused messages")

    def _publish(self, parcel: Parcel) -> None:
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

    def prepare(self, consumer: str, types: Sequence[str]) -> None:
        new = [type for type in types if (consumer, type) not in self._prepared]
        if new:
            self.open()
            with self._dropping_on_failure():
                inbox_queue(consumer, new)(self._channel).declare()
            self._prepared.update((consumer, type) for type in new)

    def depth(self, consumer: str) -> int:
        self.open()
        with self._dropping_on_failure():
            # Not passive: asking for a missing queue would close the channel.
            return int(inbox_queue(consumer, ())(self._channel).queue_declare(nowait=False)[1])

    @contextmanager
    def _dropping_on_failure(self) -> Iterator[None]:
        # A broker that recovers may take a command and never answer; the protocol knows no deadline.
        try:
            with eventlet.Timeout(self._broker.pace.confirm_seconds, Unconfirmed("the broker is silent")):
                yield
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
