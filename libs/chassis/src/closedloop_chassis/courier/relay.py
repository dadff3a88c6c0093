"""Tells the outbox: claims rows, sends them, tells them again while somebody has not acknowledged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from opentelemetry.trace import SpanKind

from closedloop.common.v1.event_pb2 import Event
from closedloop_chassis.courier import outbox, spans
from closedloop_chassis.courier.bell import Bell
from closedloop_chassis.courier.brokers import EVENT_CONTENT, Broker, Parcel
from closedloop_chassis.courier.database import Pool
from closedloop_chassis.courier.link import Link
from closedloop_chassis.courier.outbox import Told
from closedloop_chassis.telemetry import courier_metrics, metrics


class Relay:
    """One per process; `step` is called again and again."""

    def __init__(self, broker: Broker, pool: Pool, bell: Bell) -> None:
        self._broker = broker
        self._press = broker.press()
        self._pool = pool
        self._bell = bell
        self._pace = broker.pace
        self._to_broker = Link("broker, telling")
        self._to_database = Link("database, telling")
        self._pause = self._pace.idle_seconds
        self._look_back = 0.0
        self._log: Any = structlog.get_logger("courier")

    def step(self) -> float:
        """Tells one batch; answers in how many seconds to look again. Raises nothing that time heals."""
        # Nothing is claimed while the broker is away: a claim undone is two dead rows.
        try:
            self._press.open()
        except Exception as cause:
            return self._broker_away(cause)
        metrics.COURIER_BROKER_UP.set(1)
        try:
            rows, again = self._claim()
        except psycopg.Error as cause:
            return self._to_database.down(cause)
        except Exception as cause:
            return self._broker_away(cause)
        self._to_database.up()
        if not rows:
            self._to_broker.up()
            self._sleep()
            return 0.0
        try:
            self._tell(rows, again)
        except BaseException as cause:
            self._undo(rows)
            if not isinstance(cause, Exception):
                raise
            courier_metrics.NOT_TOLD.inc(len(rows))
            return self._broker_away(cause)
        self._to_broker.up()
        self._pause = self._pace.busy_seconds
        # Not interrupted by the bell: what comes meanwhile travels together.
        return 0.0 if len(rows) == self._pace.batch_size else self._pause

    def hurry(self) -> None:
        """Ends a sleep at once."""
        self._bell.ring()

    def close(self) -> None:
        self._press.close()

    def _sleep(self) -> None:
        longest = self._pace.idle_seconds
        if self._bell.listening:
            longest = min(self._pace.asleep_seconds, self._pace.resend_seconds / 6)
        self._pause = min(self._pause * 2, longest)
        self._bell.wait(self._pause)

    def _claim(self) -> tuple[list[Told], bool]:
        with self._pool.connection() as connection:
            if time.monotonic() >= self._look_back:
                patience = timedelta(seconds=self._pace.resend_seconds)
                late = outbox.overdue_consumers(connection, patience)
                idle = [consumer for consumer in late if self._press.depth(consumer) == 0]
                rows = late and outbox.claim_overdue(connection, patience, idle, self._pace.batch_size)
                if rows:
                    self._log.warning("told again what nobody acknowledged", events=len(rows), consumers=late)
                    return rows, True
                self._look_back = time.monotonic() + self._pace.resend_seconds / 6
            return outbox.claim(connection, self._pace.batch_size), False

    def _tell(self, rows: Sequence[Told], again: bool) -> None:
        types: dict[str, set[str]] = {}
        for row in rows:
            for consumer in row.waiting:
                types.setdefault(consumer, set()).add(row.type)
        for consumer, wanted in types.items():
            self._press.prepare(consumer, sorted(wanted))
        with courier_metrics.BATCH_SECONDS.labels("out").time(), spans.each("tell", SpanKind.PRODUCER, rows):
            self._press.send([self._parcel(row, again) for row in rows])
        metrics.COURIER_RELAYED.inc(len(rows))
        metrics.COURIER_BATCH.labels("out").observe(len(rows))
        if again:
            courier_metrics.TOLD_AGAIN.inc(len(rows))

    def _parcel(self, row: Told, again: bool) -> Parcel:
        event = Event(
            id=str(row.id),
            source=self._broker.service,
            type=row.type,
            subject=row.subject,
            traceparent=row.traceparent,
            sequence=row.sequence,
            data=row.data,
            after=row.after,
        )
        event.time.FromDatetime(row.time)
        routes = self._broker.event_routes(row.type, row.waiting, again)
        return Parcel(event.id, EVENT_CONTENT, event.SerializeToString(), routes)

    def _broker_away(self, cause: BaseException) -> float:
        metrics.COURIER_BROKER_UP.set(0)
        return self._to_broker.down(cause)

    def _undo(self, rows: Sequence[Told]) -> None:
        try:
            with self._pool.connection() as connection:
                outbox.unclaim(connection, rows)
        except Exception as cause:
            # They stay marked as told and are told again when nobody acknowledges them.
            self._to_database.down(cause)
