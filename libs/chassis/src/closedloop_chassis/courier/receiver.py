"""Fills the inbox: what the broker delivered, in one transaction, then the acknowledgement, then receipts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
from opentelemetry.trace import SpanKind

from closedloop_chassis import ids
from closedloop_chassis.courier import inbox, spans
from closedloop_chassis.courier.broker import RECEIPT_CONTENT, Broker, Parcel
from closedloop_chassis.courier.database import Pool
from closedloop_chassis.courier.inbox import Letter
from closedloop_chassis.courier.link import Link
from closedloop_chassis.courier.press import Press
from closedloop_chassis.courier.subscription import Batch
from closedloop_chassis.telemetry import courier_metrics, metrics


class Receiver:
    def __init__(self, broker: Broker, press: Press, pool: Pool) -> None:
        self._broker = broker
        self._press = press
        self._pool = pool
        self._to_broker = Link("broker, sending receipts")

    def receive(self, batch: Batch) -> None:
        """Raises while the database is away; the batch is then unacknowledged and comes again."""
        now = datetime.now(UTC)
        bodies = batch.bodies
        letters = [inbox.read(body, now) for body in bodies]
        with (
            courier_metrics.BATCH_SECONDS.labels("in").time(),
            spans.each("receive", SpanKind.CONSUMER, letters),
        ):
            self._write(bodies, letters, now)
        batch.acknowledge()
        self._send_receipts(letters)

    def close(self) -> None:
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

    def _send_receipts(self, letters: Sequence[Letter]) -> None:
        sources: dict[str, list[str]] = {}
        for letter in letters:
            if letter.source:
                sources.setdefault(letter.source, []).append(str(letter.id))
        receipts = [
            Parcel(
                ids.new_id(),
                RECEIPT_CONTENT,
                json.dumps({"consumer": self._broker.service, "ids": arrived}).encode(),
                self._broker.receipt_routes(source),
            )
            for source, arrived in sources.items()
        ]
        try:
            if receipts:
                self._press.send(receipts)
                self._to_broker.up()
        except Exception as cause:
            # A lost receipt only means that the event is told again, and then receipted again.
            self._to_broker.down(cause)
