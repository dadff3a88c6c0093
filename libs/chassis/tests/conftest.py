"""A service of the chassis alone, on a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from closedloop_chassis.process import Process
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings
from closedloop_chassis.work import Work

BARE = Service(name="bare", package="", slices=(), migrations=Path(__file__).parent / "none")


@pytest.fixture(scope="session")
def scratch_url() -> Iterator[str]:
    import tempfile

    from closedloop_devstack.servers.postgres import PostgresServer

    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        server.start()
        yield server.url
        server.stop()


@pytest.fixture
def dsn(scratch_url: str) -> str:
    import uuid

    import psycopg
    from closedloop_chassis.data import migrations

    name = f"t{uuid.uuid4().hex[:8]}"
    with psycopg.connect(scratch_url, autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name}")
    url = scratch_url.rsplit("/", 1)[0] + "/" + name
    migrations.upgrade(url, BARE)
    return url


@pytest.fixture
async def process(dsn: str) -> AsyncIterator[Process]:
    process = Process(BARE, Settings(database_url=dsn, development=True))
    await process.start()
    await process.ready.wait()
    yield process
    await process.stop()


def work(process: Process, actor: str = "tester") -> Work:
    return Work(process, process.time.now(), actor, "test", process.database.transaction())
