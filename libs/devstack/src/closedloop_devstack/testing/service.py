"""One service, live within a test: real gRPC, real PostgreSQL, real tokens; its reactor is turned by hand.

A service's tests have a conftest with

    @pytest.fixture
    def service() -> Service:
        return SERVICE

and get `live`. Time stands still unless the test moves it; events arrive when the test lets them be heard.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from pydantic import SecretStr

from closedloop.options.v1 import options_pb2
from closedloop.targets.v1.events_pb2 import OrgUnitChanged, PersonChanged
from closedloop_chassis import client, contract, ids
from closedloop_chassis.clocks import sweep
from closedloop_chassis.edge.server import EdgeServer
from closedloop_chassis.events.reactor import Reactor
from closedloop_chassis.org import copy
from closedloop_chassis.process import Process
from closedloop_chassis.service import Service
from closedloop_chassis.settings import Settings
from closedloop_chassis.work import Work
from closedloop_devstack.keys import KeyRing

Told = TypeVar("Told", bound=Message)
Stub = TypeVar("Stub")

# A Monday morning with a whole working week ahead.
START = datetime(2026, 1, 5, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))

HEAR = """
INSERT INTO inbox (id, source, type, subject, sequence, time, traceparent, data, slot)
VALUES (%(id)s, %(source)s, %(type)s, %(subject)s, %(sequence)s, %(time)s, '', %(data)s, abs(hashtext(%(subject)s)) %% 8)
ON CONFLICT (id) DO NOTHING
"""
TOLD = "SELECT data FROM outbox WHERE type = %(type)s ORDER BY sequence"
TO_OURSELVES = """
SELECT id, type, subject, time, data, sequence FROM outbox
 WHERE %(service)s = ANY(waiting) AND sequence > %(after)s ORDER BY sequence
"""
FAILURES = "SELECT type, error FROM inbox WHERE error IS NOT NULL"


class Live:
    """A running service and what a test does with it."""

    def __init__(self, process: Process, server: EdgeServer, keys: KeyRing) -> None:
        self.process = process
        self.db = process.database.reader
        self.reactor = Reactor(process)
        self._server = server
        self._keys = keys
        self._channels: list[grpc.aio.Channel] = []
        self._sequence = 0
        self._looped = 0

    @property
    def now(self) -> datetime:
        return self.process.time.now()

    @asynccontextmanager
    async def beside(self, redis_url: str) -> AsyncIterator[Live]:
        """Another replica of the service, on the same database, with that Redis, at the same standing time."""
        settings = self.process.settings.model_copy(update={"redis_url": SecretStr(redis_url)})
        process = Process(self.process.service, settings)
        process.time.stop_at(self.now)
        await process.start()
        server = EdgeServer(process)
        await server.start()
        await process.ready.wait()
        process.time.stop_at(self.now)
        other = Live(process, server, self._keys)
        try:
            yield other
        finally:
            await other.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    def token(self, person: str, *roles: str) -> str:
        return self._keys.token(person, roles)

    def stub(self, make: Callable[[grpc.aio.Channel], Stub], person: str = "", *roles: str) -> Stub:
        """A client of the service as that person; without a person it carries no token."""
        token = self.token(person, *roles) if person else ""
        interceptors: list[Any] = [_Bearer(token), _StreamBearer(token)] if token else []
        channel = grpc.aio.insecure_channel(self.address, interceptors=interceptors)
        self._channels.append(channel)
        return make(channel)

    async def organise(
        self,
        units: list[tuple[str, str, str, str, str]],
        people: list[tuple[str, str, str, list[str]]],
        **territories: dict[str, list[str]],
    ) -> None:
        """Units (id, parent, kind, name, manager) and people (id, unit, name, roles), as if heard from targets.

        `territories` gives regions, industries, product_lines by person or unit id."""
        tx = self.process.database.transaction()
        for id_, parent, kind, name, manager in units:
            unit = OrgUnitChanged(unit_id=id_, parent_id=parent, kind=kind, name=name, manager_id=manager, active=True)
            _cover(unit, territories.get(id_, {}))
            copy.put_unit(tx, _next(unit))
        for id_, unit_id, name, roles in people:
            person = PersonChanged(person_id=id_, unit_id=unit_id, name=name, email=f"{id_}@example.com", active=True)
            person.roles.extend(options_pb2.Role.Value(f"ROLE_{role.upper()}") for role in roles)
            _cover(person, territories.get(id_, {}))
            copy.put_person(tx, _next(person))
        await tx.commit()
        await self.process.look()

    async def hear(
        self, message: Message, subject: str = "s", *, source: str = "", event_id: str | None = None
    ) -> None:
        """An event arrives, of the service it belongs to if no `source` is named, and is applied. Raises AssertionError
        with its error when it cannot be."""
        source = source or contract.route(type(message)).owner
        self._sequence += 1
        await self._put(event_id or ids.new_id(), source, message, subject, self.now, self._sequence)
        await self.settle()

    async def told(self, message: type[Told]) -> list[Told]:
        """All events of this type told so far, oldest first."""
        rows = await self.db.all(TOLD, {"type": contract.route(message).type})
        return [message.FromString(row["data"]) for row in rows]

    async def settle(self) -> None:
        """Applies everything that waits: events this service tells itself, and clocks that are due."""
        while True:
            looped = await self._loop_back()
            applied = await self.reactor.drain_inbox()
            failures = await self.db.all(FAILURES)
            assert not failures, f"events failed: {failures}"
            if not looped and not applied and not await self.reactor.sweep_clocks():
                break
        await self.process.look()

    async def move_to(self, moment: datetime) -> None:
        """Moves the service's time; clocks and timers that fall due on the way fire at their moment, in order."""
        while True:
            due = await sweep.next_due(self.db)
            if due is None or due > moment:
                break
            self._set_time(max(due, self.now))
            await self.settle()
        self._set_time(moment)
        await self.settle()

    async def advance(self, **span: float) -> None:
        """`advance(hours=2)`: move_to from the present."""
        await self.move_to(self.now + timedelta(**span))

    @contextmanager
    def refused(self, code: str, reason: str = "") -> Iterator[pytest.ExceptionInfo[grpc.aio.AioRpcError]]:
        """The block must end in this gRPC code and `ErrorInfo.reason`; what was said can be read afterwards."""
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            yield raised
        error = raised.value
        assert error.code().name == code, f"{error.code().name}: {error.details()}"
        if reason:
            assert reason_of(error) == reason, f"{reason_of(error)}: {error.details()}"

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)
        await self._server.stop(0)
        await self.process.stop()

    async def _put(
        self, event_id: str, source: str, message: Message, subject: str, time: datetime, sequence: int
    ) -> None:
        event = {"id": event_id, "source": source, "type": contract.route(type(message)).type, "subject": subject}
        tx = self.process.database.transaction()
        tx.do(HEAR, {**event, "sequence": sequence, "time": time, "data": message.SerializeToString()})
        await tx.commit()

    async def _loop_back(self) -> int:
        rows = await self.db.all(TO_OURSELVES, {"service": self.process.service.name, "after": self._looped})
        for row in rows:
            tx = self.process.database.transaction()
            tx.do(HEAR, {**row, "source": self.process.service.name})
            await tx.commit()
            self._looped = row["sequence"]
        return len(rows)

    def _set_time(self, moment: datetime) -> None:
        self.process.time.stop_at(moment)


class _Token:
    def __init__(self, token: str) -> None:
        self._authorization = ("authorization", f"Bearer {token}")

    def _with_token(self, details: Any) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), self._authorization)
        return details._replace(metadata=metadata, wait_for_ready=True)


# A channel takes an interceptor for one kind of call: one that is of two kinds is used for the first alone.
class _Bearer(_Token, grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._with_token(details), request)


class _StreamBearer(_Token, grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._with_token(details), request)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """`ErrorInfo.reason` of a refusal."""
    return str(client.info(error).reason)


def work(process: Process, actor: str = "tester") -> Work:
    """A unit of work of its own, as an RPC or an event would have."""
    return Work(process, process.time.now(), actor, "test", process.database.transaction())


_versions = iter(range(1, 10**9))


def _next(message: Any) -> Any:
    message.version = next(_versions)
    return message


def _cover(message: OrgUnitChanged | PersonChanged, territory: dict[str, list[str]]) -> None:
    for name, values in territory.items():
        getattr(message.territory, name).extend(values)


@pytest.fixture
async def live(service: Service, database: Callable[[Service], str], tmp_path: Path) -> AsyncIterator[Live]:
    """The service of the conftest's `service` fixture on a fresh database, at START."""
    keys = KeyRing(tmp_path)
    settings = Settings(
        database_url=SecretStr(database(service)),
        redis_url=SecretStr(os.environ.get("CLOSEDLOOP_TEST_REDIS_URL", "redis://127.0.0.1:1/0")),
        grpc_address="127.0.0.1:0",
        jwks=str(keys.jwks),
        development=True,
        reactor="off",
        rate_per_caller=0,
        pool_min=1,
        # What is refused for want of a connection is tested where it is meant; elsewhere a busy machine is no failure.
        pool_wait_seconds=20.0,
    )
    process = Process(service, settings)
    process.time.stop_at(START.astimezone(UTC))
    await process.start()
    server = EdgeServer(process)
    await server.start()
    await process.ready.wait()
    process.time.stop_at(START.astimezone(UTC))
    alive = Live(process, server, keys)
    yield alive
    with suppress(Exception):
        await alive.close()


__all__ = ["Live", "live", "reason_of", "work"]
