"""One PostgreSQL, one Redis, one RabbitMQ per test session, started when first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from closedloop_devstack.servers import PostgresServer, RabbitServer, RedisServer
from closedloop_devstack.servers.rabbit import HOW_TO_GET, scripts
from closedloop_devstack.testing.notices import lack

# A server that is killed loses nothing it has written; fsync guards against a machine that falls, which no test lets fall.
# Hundreds of databases are made and dropped here, each with a checkpoint. Platforms keep fsync on.
BRISK = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "checkpoint_timeout": "30min",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@pytest.fixture(scope="session")
def postgres(session_folder: Path) -> Iterator[PostgresServer]:
    with PostgresServer(session_folder / "postgres", settings=BRISK) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(session_folder: Path) -> Iterator[RedisServer]:
    with RedisServer(session_folder / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def rabbit(session_folder: Path, pytestconfig: pytest.Config) -> Iterator[RabbitServer]:
    """Tests that need an empty broker take `rabbit.virtual_host(name)`."""
    require_rabbitmq(pytestconfig)
    with RabbitServer(session_folder / "rabbit") as server:
        yield server


def require_rabbitmq(config: pytest.Config) -> None:
    if scripts() is None:
        lack(config, HOW_TO_GET)
