"""Hears the api ring when it has put something into the outbox. Sleeps in the hub: no look, no timer, while all is quiet."""

from __future__ import annotations

from typing import Any

import eventlet
import psycopg
import structlog
from eventlet.event import Event
from eventlet.hubs import trampoline

from closedloop_chassis import bells
from closedloop_chassis.courier.database import Connection, connect_options

RECONNECT_SECONDS = 1.0


class Bell:
    """`run` in a greenthread of its own; `wait` in the one that wants to be woken."""

    def __init__(self, dsn: str, service: str, name: str) -> None:
        self._dsn = dsn
        self._options = connect_options(service)
        self._listen = bells.LISTEN.format(bell=name).encode()
        self._rung = Event()
        self._log: Any = structlog.get_logger("courier")
        # Whether somebody who rings now would be heard.
        self.listening = False

    def wait(self, seconds: float) -> None:
        """Returns when the bell has rung since the last time, or after `seconds`."""
        with eventlet.Timeout(seconds, False):
            self._rung.wait()
        self._rung = Event()

    def ring(self) -> None:
        if not self._rung.ready():
            self._rung.send()

    def run(self) -> None:
        """Endless; connects again for as long as it takes."""
        while True:
            try:
                with psycopg.connect(self._dsn, **self._options) as connection:
                    connection.execute(self._listen)
                    self.listening = True
                    # What was rung before we listened.
                    self.ring()
                    self._hear(connection)
            except (psycopg.Error, OSError) as cause:
                self._log.debug("bell not heard", cause=str(cause))
            finally:
                self.listening = False
            eventlet.sleep(RECONNECT_SECONDS)

    def _hear(self, connection: Connection) -> None:
        while True:
            trampoline(connection.fileno(), read=True)
            connection.pgconn.consume_input()
            while connection.pgconn.notifies() is not None:
                self.ring()
