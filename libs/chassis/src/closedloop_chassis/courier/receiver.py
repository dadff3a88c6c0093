"""Fills the inbox: what the broker delivered, in one transaction, then the acknowledgement, then receipts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

import eventlet
import psycopg
from eventlet.event import Event
from opentelemetry.trace import SpanKind

from closedloop_chassis import ids
from closedloop_chassis.courier import inbox, spans
from closedloop_chassis.courier.brokers import RECEIPT_CONTENT, Batch, Broker, Parcel
from closedloop_chassis.courier.database import Pool
from closedloop_chassis.courier.inbox import Letter
from closedloop_chassis.courier.link import Link
from closedloop_chassis.telemetry import courier_metrics, metrics


class Receiver:
    def __init__(self, broker: Broker, pool: Pool) -> None:
        self._broker = broker
        self._press = broker.press()
        self._pool = pool
        self._to_broker = Link("broker, sending receipts")
        # Sent apart from receiving, which must not wait for a broker that is slow to take them; the oldest may go.
        self._owed: deque[tuple[str, str]] = deque(maxlen=20_000)
        self._owing = Event()

    def receive(self, batch: Batch) -> None:
        """Raises while the database is away; the batch is then unacknowledged and comes again."""
        now = datetime.now(UTC)
        bodies = batch.bodies
        letters = [inbox.read(body, now, self._broker.service) for body in bodies]
        with (
            courier_metrics.BATCH_SECONDS.labels("in").time(),
            spans.each("receive", SpanKind.CONSUMER, letters),
        ):
            self._write(bodies, letters, now)
        batch.acknowledge()
        self._owe_receipts(letters)

    def send_receipts(self) -> float:
        """Waits a moment for receipts to be due and sends them; answers when to call again. Raises nothing."""
        with eventlet.Timeout(0.5, False):
            self._owing.wait()
        self._owing = Event()
        owed = list(self._owed)
        self._owed.clear()
        try:
            self._press.send(self._parcels(owed))
            self._to_broker.up()
        except Exception as cause:
            # A lost receipt only means that the event is told again, and then receipted again.
            return self._to_broker.down(cause)
        return 0.0

    def close(self) -> None:
        self.send_receipts()
        self._press.close()

    def _write(self, bodies: Sequence[bytes], letters: Sequence[Letter], now: datetime) -> None:
        with self._pool.connection() as connection:
            try:
                written = inbox.write(connection, letters, now)
            except (psycopg.DataError, psycopg.IntegrityError):
                written = inbox.write_singly(connection, bodies, letters, now)
        metrics.COURIER_RECEIVED.inc(written)
        metrics.COURIER_BATCH.labels("in").observe(len(letters))
        courier_metrics.DUPLICATES.inc(len(letters) - written)
        courier_metrics.UNREADABLE.inc(sum(letter.state == inbox.PARKED for letter in letters))

    def _owe_receipts(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            if letter.source:
                self._owed.append((letter.source, str(letter.id)))
        if self._owed and not self._owing.ready():
            self._owing.send()

    def _parcels(self, owed: Sequence[tuple[str, str]]) -> list[Parcel]:
        sources: dict[str, list[str]] = {}
        for source, id in owed:
            sources.setdefault(source, []).append(id)
        return [
            Parcel(
                ids.new_id(),
                RECEIPT_CONTENT,
                json.dumps({"consumer": self._broker.service, "ids": arrived}).encode(),
                self._broker.receipt_routes(source),
            )
            for source, arrived in sources.items()
        ]
