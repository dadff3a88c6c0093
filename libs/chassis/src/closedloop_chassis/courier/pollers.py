"""Runs pollers, each on one replica at a time."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from closedloop_chassis.courier.database import Connection, connect_options
from closedloop_chassis.courier.desk import OUTCOMES, SAID, Desk
from closedloop_chassis.courier.parts import Poller
from closedloop_chassis.telemetry import courier_metrics, metrics, tracing

# Our corner of the database's advisory locks, which the reactor shares.
TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext('poller'), hashtext(%s))"

# How long a replica may be gone before another one takes over its pollers.
TAKE_OVER_SECONDS = 10.0


class Leadership:
    """Session locks on a connection of our own: held as long as process and connection live, gone with either."""

    def __init__(self, dsn: str, service: str) -> None:
        self._dsn = dsn
        self._options = connect_options(service)
        self._connection: Connection | None = None
        self._held: set[str] = set()
        self._turn = threading.Lock()

    def has(self, name: str) -> bool:
        """Whether this process may run `name` now. Raises psycopg.OperationalError while the database is away."""
        with self._turn:
            try:
                connection = self._connect()
                if name in self._held:
                    connection.execute("SELECT")
                elif (row := connection.execute(TRY_LOCK, (name,)).fetchone()) and row[0]:
                    self._held.add(name)
            except psycopg.Error:
                self.close()
                raise
            return name in self._held

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._held.clear()
        if connection is not None:
            connection.close()

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._held.clear()
            self._connection = psycopg.connect(self._dsn, **self._options)
        return self._connection


class Polling:
    """One poller; `step` is called again and again."""

    def __init__(self, poller: Poller, desk: Desk, leadership: Leadership) -> None:
        self._poller = poller
        self._desk = desk
        self._leadership = leadership
        self._log: Any = desk.log.bind(poller=poller.name)
        self._leads = courier_metrics.POLL_LEADS.labels(poller.name)

    def step(self) -> float:
        """Runs the poller if this replica leads; answers in how many seconds it is due again. Raises nothing."""
        every = self._poller.every.total_seconds()
        started = time.monotonic()
        try:
            leads = self._leadership.has(self._poller.name)
        except Exception as cause:
            self._leads.set(0)
            self._log.warning("poller waits for the database", cause=str(cause))
            return min(every, 2.0)
        self._leads.set(leads)
        if not leads:
            return min(every, TAKE_OVER_SECONDS)
        said: list[str] = []
        SAID.set(said)
        try:
            with tracing.work(f"poll {self._poller.name}"):
                self._poller.run(self._desk)
            outcome = min(said, key=OUTCOMES.index, default="ok")
        except Exception:
            outcome = "error"
            self._log.exception("poller failed, it runs again when it is next due")
        spent = time.monotonic() - started
        metrics.POLL_SECONDS.labels(self._poller.name, outcome).observe(spent)
        return max(every - spent, 0.0)
