"""Strikes consumers that have acknowledged from the outbox."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import structlog

from closedloop_chassis.courier import outbox
from closedloop_chassis.courier.brokers import Batch
from closedloop_chassis.courier.database import Pool
from closedloop_chassis.telemetry import courier_metrics, metrics


class Receipts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._log: Any = structlog.get_logger("courier")

    def strike(self, batch: Batch) -> None:
        """Raises while the database is away; the batch is then unacknowledged and comes again."""
        received = [pair for body in batch.bodies for pair in self._read(body)]
        if received:
            with self._pool.connection() as connection:
                closed = outbox.strike(connection, received)
            metrics.COURIER_RECEIPTS.inc(len(received))
            courier_metrics.CLOSED.inc(closed)
        batch.acknowledge()

    def _read(self, body: bytes) -> list[tuple[UUID, str]]:
        try:
            receipt = json.loads(body)
            consumer = str(receipt["consumer"])
            return [(UUID(id), consumer) for id in receipt["ids"]]
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            # Whatever it acknowledged is told again and receipted again.
            self._log.warning("unreadable receipt dropped", cause=str(cause))
            return []
