"""What a part works with: settings, the database, the time, and the way into its own service's inbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from google.protobuf.message import Message

from closedloop_chassis import contract, ids
from closedloop_chassis.courier import inbox
from closedloop_chassis.courier.database import AWAY, Connection, Pool
from closedloop_chassis.courier.inbox import Letter
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import courier_metrics, tracing

# How a run of a poller fared, the worst first: "idle" had nothing to do, or was not due.
OUTCOMES = ("error", "ok", "idle")
# What is said of the run in hand.
SAID: ContextVar[list[str] | None] = ContextVar("said", default=None)

CLOCK = "SELECT clock_timestamp(), offset_us FROM development_time"
# How long a reading serves, in seconds; a development clock is moved by hand.
AGE, DEVELOPMENT_AGE = 30.0, 1.0


class Desk:
    """One per process, shared by all parts."""

    def __init__(self, service: str, settings: Settings, pool: Pool) -> None:
        self.service = service
        self.settings = settings
        self.log: Any = structlog.get_logger("courier.part").bind(service=service)
        self._pool = pool
        self._age = DEVELOPMENT_AGE if settings.development else AGE
        # The database's time when it was last read, and that moment and the last attempt on time.monotonic().
        self._read_time, self._read_at = datetime.now(UTC), time.monotonic()
        self._asked_at = float("-inf")
        self._offset = timedelta(0)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A pooled connection in a transaction: commits at the end, rolls back when the block raises."""
        with self._pool.connection() as connection, connection.transaction():
            yield connection

    def fared(self, outcome: str) -> None:
        """Says how a part of the run in hand fared, one of OUTCOMES. A run counts as the worst that was said of it; as "ok"
        where nothing was said, and as "error" where it raised."""
        if (said := SAID.get()) is not None:
            said.append(outcome)

    def now(self) -> datetime:
        """Aware, UTC. In development mode as far ahead as the service's clock was moved, at most a second late."""
        return self._present() + self._offset

    def _present(self) -> datetime:
        """The database's time, carried on by our own durations: what a courier whose clock is wrong writes down, such as
        when to poll next, others must be able to live by."""
        if time.monotonic() - self._asked_at > self._age:
            try:
                with self._pool.connection() as connection:
                    row = connection.execute(CLOCK).fetchone()
                if row:
                    self._read_time, self._read_at = row[0], time.monotonic()
                    self._offset = timedelta(microseconds=row[1] if self.settings.development else 0)
            except AWAY as cause:
                self.log.warning("clock not read", cause=str(cause))
            # Only now: a part that asks while another reads must not get the machine's time.
            self._asked_at = time.monotonic()
        return self._read_time + timedelta(seconds=time.monotonic() - self._read_at)

    def observe(
        self,
        message: Message,
        subject: str,
        id: str | UUID | None = None,
        source: str | None = None,
        connection: Connection | None = None,
    ) -> bool:
        """Writes an event into this service's own inbox; answers False if an event of that id is there already.

        `message` is an event of the contract. `id` is a uuid5 of the outside identity (message number, notice number);
        without one every call counts. `source` names the outside ("wecom"); default "<service>.courier". With
        `connection` the event becomes true together with what else is written through it.
        """
        letter = Letter(
            id=UUID(str(id or ids.new_id())),
            source=source or f"{self.service}.courier",
            type=contract.route(type(message)).type,
            subject=subject,
            # There is no outbox behind it; microseconds keep the order in which one subject was observed.
            sequence=int(self._present().timestamp() * 1_000_000),
            time=self.now(),
            traceparent=tracing.current_traceparent(),
            data=message.SerializeToString(),
        )
        within: AbstractContextManager[Connection] = nullcontext(connection) if connection else self._pool.connection()
        with within as used:
            new = inbox.write(used, [letter], self._present()) == 1
        if new:
            courier_metrics.OBSERVED.inc()
        return new
