"""Sync connections for greenthreads: a pool that notices a restarted server by itself."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from closedloop_chassis.settings import Settings

# What means "the server is away for the moment", as against a statement that is wrong.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError)

Connection = psycopg.Connection[TupleRow]
Pool = ConnectionPool[Connection]


def connect_options(service: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "connect_timeout": 3,
        "application_name": f"closedloop-{service}-courier",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }


def pool(settings: Settings, service: str) -> Pool:
    """Opens in the background: a courier starts without its database and waits for it."""
    return ConnectionPool(
        settings.dsn,
        kwargs=connect_options(service),
        min_size=1,
        max_size=settings.pool_max,
        max_idle=settings.pool_idle_seconds,
        timeout=max(settings.pool_wait_seconds, 3.0),
        check=ConnectionPool.check_connection,
        # Gives up early because every later request starts a fresh attempt without the accumulated back-off.
        reconnect_timeout=2.0,
        open=True,
    )
