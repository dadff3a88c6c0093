"""The limits: what grpc.aio, and grpc.aio with one INSERT through our driver and pool, can do at best.

    python -m closedloop_proofs.bench.limits ADDRESS [DSN]

`Echo` answers what it was sent; `Answer` answers the bytes that `Keep` was given; `Insert` writes one row with a key of
its own and answers what it was sent. Nothing else: no token, no check, no second row.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from typing import Any

import grpc
import grpc.aio
import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool

SERVICE = "closedloop.proofs.Limit"
TABLE = """
CREATE TABLE IF NOT EXISTS limit_row (
    id       uuid PRIMARY KEY,
    owner_id text NOT NULL,
    time     timestamptz NOT NULL DEFAULT clock_timestamp(),
    body     bytea NOT NULL
)
"""
INSERT = "INSERT INTO limit_row (id, owner_id, body) VALUES (%s, %s, %s)"
# As many as a service of ours has.
CONNECTIONS = 16


def database(server_url: str) -> str:
    """The limits' own database on that server."""
    from closedloop_devstack.servers import databases

    return databases.ensure(server_url, "limit")


async def serve(address: str, dsn: str) -> None:
    kept = b""

    async def echo(payload: bytes, context: Any) -> bytes:
        return payload

    async def keep(payload: bytes, context: Any) -> bytes:
        nonlocal kept
        kept = payload
        return b""

    async def answer(payload: bytes, context: Any) -> bytes:
        return kept

    behaviours: dict[str, Any] = {"Echo": echo, "Keep": keep, "Answer": answer}
    pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None = None
    if dsn:
        pool = AsyncConnectionPool(
            dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, kwargs={"autocommit": True}, open=False
        )
        await pool.open(wait=True)
        async with pool.connection() as connection:
            await connection.execute(TABLE)
        behaviours["Insert"] = _insert(pool)
    handlers = {name: grpc.unary_unary_rpc_method_handler(behave) for name, behave in behaviours.items()}
    server = grpc.aio.server(
        handlers=[grpc.method_handlers_generic_handler(SERVICE, handlers)],
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 32 << 20)],
    )
    server.add_insecure_port(address)
    await server.start()
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
    await leaving.wait()
    await server.stop(0)
    if pool is not None:
        await pool.close()


def _insert(pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]]) -> Any:
    async def insert(payload: bytes, context: Any) -> bytes:
        async with pool.connection() as connection:
            await connection.execute(INSERT, (uuid.uuid4(), "somebody", payload))
        return payload

    return insert


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
