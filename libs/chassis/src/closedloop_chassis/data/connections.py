"""The pool of connections and how psycopg speaks for us."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from time import monotonic
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Loader
from psycopg.types.json import set_json_dumps
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from closedloop_chassis.data import documents
from closedloop_chassis.data.wire import Plans, Wire

# So long at most a connection goes from hand to hand; then the pool looks at its age, and closes it where it is not needed.
WARM_SECONDS = 30.0


class Connection(psycopg.AsyncConnection[Any]):
    """A connection with the wire its statements go over."""

    wire: Wire
    # On time.monotonic().
    warm_until: float


class _UuidAsText(Loader):
    def load(self, data: Any) -> str:
        return bytes(data).decode()


class _Json(Loader):
    """As psycopg's own, without a copy of the text."""

    def load(self, data: Any) -> Any:
        return documents.loads(data)


async def _configure(connection: Connection, plans: Plans) -> None:
    connection.adapters.register_loader("uuid", _UuidAsText)
    set_json_dumps(documents.dumps, connection)
    connection.adapters.register_loader("json", _Json)
    connection.adapters.register_loader("jsonb", _Json)
    connection.wire = Wire(connection, plans)


class ServerAway(PoolTimeout):
    """Nobody holds a connection, and yet none can be had: that is no overload."""


class Pool:
    """Autocommit connections; a transaction says BEGIN itself, so that it travels with the first statement.

    Who comes next gets the connection that was given back last: few connections are busy instead of all in turn, and what
    their back ends at PostgreSQL know of tables and plans stays in the processor's cache.
    """

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
        self._asking = 0
        self._warm_seconds = min(WARM_SECONDS, idle_seconds)
        # Given back and not yet shown to the pool; the last one on the right.
        self._warm: deque[Connection] = deque()

    async def open(self) -> None:
        await self._pool.open(wait=False)

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        await self._cool_down()
        await self._pool.close(timeout=2.0)

    async def take(self) -> Connection:
        """Raises psycopg_pool.PoolTimeout when none is free in time: that is overload, or ServerAway."""
        while self._warm:
            connection = self._warm.pop()
            if not connection.closed:
                self._taken += 1
                return connection
            await self._put(connection)
        self._asking += 1
        try:
            connection = await self._pool.getconn()
        except PoolTimeout as error:
            if self._taken == 0:
                raise ServerAway(str(error)) from error
            raise
        finally:
            self._asking -= 1
        self._taken += 1
        connection.warm_until = monotonic() + self._warm_seconds
        return connection

    async def give(self, connection: Connection) -> None:
        self._taken -= 1
        now = monotonic()
        idle = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
        if idle and not self._asking and now < connection.warm_until:
            self._warm.append(connection)
            if self._warm[0].warm_until <= now:
                await self._put(self._warm.popleft())
            return
        # One broken connection means the server was away: look at the idle ones before others stumble over them.
        broken = connection.closed
        await self._put(connection)
        if broken:
            await self._cool_down()
            if self._checking is None or self._checking.done():
                self._checking = asyncio.create_task(self._pool.check())

    async def _cool_down(self) -> None:
        while self._warm:
            await self._put(self._warm.popleft())

    async def _put(self, connection: Connection) -> None:
        connection.wire.rest()
        await self._pool.putconn(connection)

    def stats(self) -> dict[str, int]:
        found = self._pool.get_stats()
        return {**found, "pool_available": found.get("pool_available", 0) + len(self._warm)}
