"""The pool of connections and how psycopg speaks for us."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from closedloop_chassis.data import documents
from closedloop_chassis.data.wire import Plans, Wire


class Connection(psycopg.AsyncConnection[Any]):
    """A connection with the wire its statements go over."""

    wire: Wire


class _UuidAsText(Loader):
    def load(self, data: Any) -> str:
        return bytes(data).decode()


async def _configure(connection: Connection, plans: Plans) -> None:
    connection.adapters.register_loader("uuid", _UuidAsText)
    set_json_dumps(documents.dumps, connection)
    set_json_loads(documents.loads, connection)
    connection.wire = Wire(connection, plans)


class ServerAway(PoolTimeout):
    """Nobody holds a connection, and yet none can be had: that is no overload."""


class Pool:
    """Autocommit connections; a transaction says BEGIN itself, so that it travels with the first statement."""

    def __init__(
        self, dsn: str, *, minimum: int, maximum: int, wait_seconds: float, idle_seconds: float, name: str
    ) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=minimum,
            max_size=maximum,
            connection_class=Connection,
            timeout=wait_seconds,
            max_idle=idle_seconds,
            configure=partial(_configure, plans=Plans()),
            kwargs={
                "autocommit": True,
                "application_name": name,
                "options": "-c timezone=UTC -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s",
            },
            reconnect_timeout=5.0,
            open=False,
            name=name,
        )
        self._checking: asyncio.Task[None] | None = None
        self._taken = 0

    async def open(self) -> None:
        await self._pool.open(wait=False)

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await self._pool.close(timeout=2.0)

    async def take(self) -> Connection:
        """Raises psycopg_pool.PoolTimeout when none is free in time: that is overload, or ServerAway."""
        try:
            connection = await self._pool.getconn()
        except PoolTimeout as error:
            if self._taken == 0:
                raise ServerAway(str(error)) from error
            raise
        self._taken += 1
        return connection

    async def give(self, connection: Connection) -> None:
        self._taken -= 1
        # One broken connection means the server was away: look at the idle ones before others stumble over them.
        if connection.closed and (self._checking is None or self._checking.done()):
            self._checking = asyncio.create_task(self._pool.check())
        await self._pool.putconn(connection)

    def stats(self) -> dict[str, int]:
        return self._pool.get_stats()
