"""A whole company's services in this process, on databases of their own: what a pack is applied to.

Events are carried from outbox to inbox as a courier would carry them, and acknowledged; everything else is the real thing.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from closedloop_chassis.edge.server import EdgeServer
from closedloop_chassis.events.reactor import Reactor
from closedloop_chassis.process import Process
from closedloop_chassis.settings import Settings
from closedloop_devstack.keys import KeyRing
from closedloop_devstack.platform.layout import SERVICES
from closedloop_devstack.servers import RedisServer

TELL = "SELECT id, type, subject, time, data, sequence, waiting FROM outbox ORDER BY sequence LIMIT 500"
HEAR = """
INSERT INTO inbox (id, source, type, subject, sequence, time, traceparent, data, slot)
VALUES (%(id)s, %(source)s, %(type)s, %(subject)s, %(sequence)s, %(time)s, '', %(data)s, abs(hashtext(%(subject)s)) %% 8)
ON CONFLICT (id) DO NOTHING
"""
ACKNOWLEDGED = "DELETE FROM outbox WHERE sequence = ANY(%(sequences)s)"
PAUSE_SECONDS = 0.05


class Company:
    """Runs from `start` to `stop`, in a thread with a loop of its own."""

    def __init__(self, databases: dict[str, str], redis: str, folder: Path) -> None:
        self._databases = databases
        self._redis = redis
        self._keys = KeyRing(folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._processes: dict[str, Process] = {}
        self._servers: dict[str, EdgeServer] = {}
        self._reactors: list[Reactor] = []
        self._carrying: asyncio.Task[None] | None = None

    def environment(self, person: str = "operator", *roles: str) -> dict[str, str]:
        """Of that person's command line; of an operator's when nobody is named."""
        peers = {name: f"127.0.0.1:{server.port}" for name, server in self._servers.items()}
        token = self._keys.token(person, roles or ("operations", "admin"))
        return {"CLOSEDLOOP_PEERS": json.dumps(peers), "CLOSEDLOOP_TOKEN": token}

    def start(self) -> Company:
        self._thread.start()
        self._run(self._start())
        return self

    def stop(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _start(self) -> None:
        for name in SERVICES:
            settings = Settings(
                database_url=SecretStr(self._databases[name]),
                redis_url=SecretStr(self._redis),
                grpc_address="127.0.0.1:0",
                jwks=str(self._keys.jwks),
                rate_per_caller=0,
                pool_min=1,
                pool_wait_seconds=20.0,
            )
            process = Process(import_module(f"closedloop_{name}.service").SERVICE, settings)
            await process.start()
            server = EdgeServer(process)
            await server.start()
            await process.ready.wait()
            await server.ready()
            reactor = Reactor(process)
            reactor.start()
            self._processes[name], self._servers[name] = process, server
            self._reactors.append(reactor)
        self._carrying = asyncio.create_task(self._carry())

    async def _stop(self) -> None:
        if self._carrying is not None:
            self._carrying.cancel()
            await asyncio.wait([self._carrying])
        for reactor in self._reactors:
            await reactor.stop()
        for server in self._servers.values():
            await server.stop(0)
        for process in self._processes.values():
            await process.stop()

    async def _carry(self) -> None:
        while True:
            for source, process in self._processes.items():
                told = await process.database.reader.all(TELL)
                for listener in {one for row in told for one in row["waiting"]}:
                    tx = self._processes[listener].database.transaction()
                    for row in told:
                        if listener in row["waiting"]:
                            tx.do(HEAR, {**row, "source": source})
                    await tx.commit()
                    self._processes[listener].inbox_filled.set()
                if told:
                    tx = process.database.transaction()
                    tx.do(ACKNOWLEDGED, {"sequences": [row["sequence"] for row in told]})
                    await tx.commit()
            await asyncio.sleep(PAUSE_SECONDS)


@pytest.fixture(scope="module")
def companies(
    database: Callable[[str], str], redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Company]]:
    """A factory of companies where nothing is set up yet; all are stopped after the module."""
    made: list[Company] = []

    def make() -> Company:
        databases = {name: database(name) for name in SERVICES}
        # A Redis database each, too: what one keeps is nothing the other knows.
        redis = redis_server.database(len(made) + 1)
        made.append(Company(databases, redis, tmp_path_factory.mktemp("keys")))
        return made[-1].start()

    yield make
    for company in made:
        company.stop()
