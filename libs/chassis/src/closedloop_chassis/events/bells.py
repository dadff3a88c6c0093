"""Rings the courier's bell after commits, and hears it ring when the inbox has filled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from closedloop_chassis import bells
from closedloop_chassis.data.transaction import Reader

log = structlog.get_logger(__name__)

# Rung at most so often: who tells a thousand events a second wakes nobody a thousand times.
GAP = 0.01
RECONNECT = 1.0


class Ringer:
    """`ring` costs nothing; the bell is heard a moment later. What fails here is made good by the courier's own looks."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._wanted = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def ring(self) -> None:
        self._wanted.set()

    def start(self) -> None:
        self._running = asyncio.create_task(self._run(), name="ringer")

    async def stop(self) -> None:
        """Rings once more what was still wanted."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            if self._wanted.is_set():
                await self._ring()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._ring()
            await asyncio.sleep(GAP)

    async def _ring(self) -> None:
        try:
            await self._reader.one(bells.RING, {"bell": bells.OUTBOX})
        except (psycopg.Error, PoolTimeout) as error:
            log.debug("bell not rung", error=repr(error))


class Listener:
    """Calls `heard` when the bell rings. A connection of its own, without a thread or a timer while all is quiet."""

    def __init__(self, dsn: str, name: str, bell: str, heard: Callable[[], None]) -> None:
        self._dsn = dsn
        self._name = name
        self._bell = bell
        self._heard = heard
        self.listening = False

    async def run(self) -> None:
        """Until cancelled; connects again for as long as it takes."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.debug("not listening", bell=self._bell, error=repr(error))
            finally:
                self.listening = False
            await asyncio.sleep(RECONNECT)

    async def _listen(self) -> None:
        options: dict[str, Any] = {
            "autocommit": True,
            "application_name": f"{self._name}-listener",
            "keepalives_idle": 10,
        }
        async with await psycopg.AsyncConnection.connect(self._dsn, connect_timeout=3, **options) as connection:
            await connection.execute(bells.LISTEN.format(bell=self._bell).encode())
            self.listening = True
            # What was rung before we listened.
            self._heard()
            lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            loop, socket = asyncio.get_running_loop(), connection.fileno()
            loop.add_reader(socket, self._read, connection, lost)
            try:
                await lost
            finally:
                loop.remove_reader(socket)

    def _read(self, connection: psycopg.AsyncConnection, lost: asyncio.Future[None]) -> None:
        try:
            connection.pgconn.consume_input()
            rung = False
            while connection.pgconn.notifies() is not None:
                rung = True
        except psycopg.Error as error:
            if not lost.done():
                lost.set_exception(error)
            return
        if rung:
            self._heard()
