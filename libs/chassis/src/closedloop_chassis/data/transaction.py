"""One unit of work as one transaction, in as few round trips as its reads demand.

Everything runs in libpq's pipeline mode: BEGIN leaves together with the first statement, statements that answer
nothing (`do`) are queued, and state, events, audit, idempotency and COMMIT travel as one message. A unit of work that
reads nothing costs one round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

import psycopg
from google.protobuf.message import Message
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from closedloop_chassis import contract, errors
from closedloop_chassis.data.connections import Connection, Pool
from closedloop_chassis.ids import new_id
from closedloop_chassis.telemetry.tracing import current_traceparent

if TYPE_CHECKING:
    from closedloop_chassis.work import Work

Row = TypeVar("Row")
Params = Mapping[str, Any]
Refusals = Mapping[str, errors.DomainError]
Rows = list[dict[str, Any]]

TELL = """
INSERT INTO outbox (id, type, subject, time, traceparent, data, waiting)
SELECT id, type, subject, time, %(traceparent)s, data, string_to_array(waiting, ',')
  FROM unnest(%(ids)s::uuid[], %(types)s::text[], %(subjects)s::text[], %(times)s::timestamptz[], %(data)s::bytea[],
              %(waiting)s::text[]) AS told (id, type, subject, time, data, waiting)
"""

AUDIT = """
INSERT INTO audit_entry (id, time, actor_id, on_behalf_of, cause, business_action, subject, action, changes, trace_id)
SELECT *
  FROM unnest(%(id)s::uuid[], %(time)s::timestamptz[], %(actor_id)s::text[], %(on_behalf_of)s::text[], %(cause)s::text[],
              %(business_action)s::text[], %(subject)s::text[], %(action)s::text[], %(changes)s::jsonb[],
              %(trace_id)s::text[])
"""

REMEMBER = """
INSERT INTO idempotency (caller, request_id, method, request_hash, response)
VALUES (%(caller)s, %(request_id)s, %(method)s, %(request_hash)s, %(response)s)
"""

RECALL = (
    "SELECT method, request_hash, response FROM idempotency WHERE caller = %(caller)s AND request_id = %(request_id)s"
)


class DuplicateRequest(Exception):
    """Another call with this request_id has committed before us."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answer an earlier call with the same request_id got."""

    method: str
    request_hash: bytes
    response: bytes


@dataclass(slots=True)
class _Queued:
    sql: str
    params: Params
    then: Callable[[Rows], None] | None


_factories: dict[type[Any], Any] = {}


def _factory(into: type[Any] | None) -> Any:
    if into is None:
        return dict_row
    if into not in _factories:
        _factories[into] = class_row(into)
    return _factories[into]


class Transaction:
    """State, events, audit and answer of one unit of work; all of it or nothing. A connection is taken when first needed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: Connection | None = None
        self._pipeline: AbstractAsyncContextManager[Any] | None = None
        self._queue: list[_Queued] = []
        self._refusals: dict[str, errors.DomainError] = {}
        self._told: list[tuple[str, str, str, datetime, bytes, str]] = []
        self._audited: list[dict[str, Any]] = []
        self._answers: list[tuple[Callable[[Rows], None], psycopg.AsyncCursor[dict[str, Any]]]] = []
        self._after_commit: list[Callable[[], None]] = []

    @overload
    async def one(
        self, sql: str, params: Params = ..., *, into: type[Row], refuse: Refusals | None = ...
    ) -> Row | None: ...
    @overload
    async def one(
        self, sql: str, params: Params = ..., *, into: None = ..., refuse: Refusals | None = ...
    ) -> dict[str, Any] | None: ...
    async def one(
        self, sql: str, params: Params | None = None, *, into: Any = None, refuse: Refusals | None = None
    ) -> Any:
        """The first row, or None. One round trip."""
        cursor = await self._read(sql, params, into, refuse)
        return await self._fetch(cursor.fetchone())

    @overload
    async def all(
        self, sql: str, params: Params = ..., *, into: type[Row], refuse: Refusals | None = ...
    ) -> list[Row]: ...
    @overload
    async def all(
        self, sql: str, params: Params = ..., *, into: None = ..., refuse: Refusals | None = ...
    ) -> list[dict[str, Any]]: ...
    async def all(
        self, sql: str, params: Params | None = None, *, into: Any = None, refuse: Refusals | None = None
    ) -> Any:
        """All rows. One round trip."""
        cursor = await self._read(sql, params, into, refuse)
        return await self._fetch(cursor.fetchall())

    async def value(self, sql: str, params: Params | None = None, *, refuse: Refusals | None = None) -> Any:
        """The first column of the first row, or None. One round trip."""
        row = await self.one(sql, params or {}, refuse=refuse)
        return None if row is None else next(iter(row.values()))

    def do(
        self,
        sql: str,
        params: Params | None = None,
        *,
        refuse: Refusals | None = None,
        then: Callable[[Rows], None] | None = None,
    ) -> None:
        """Queues a statement: sent, in order, before the next read or with the commit. `then` gets its RETURNING rows
        once everything has committed."""
        self._queue.append(_Queued(sql, params or {}, then))
        if refuse:
            self._refusals.update(refuse)

    def after_commit(self, callback: Callable[[], None]) -> None:
        self._after_commit.append(callback)

    def tell(self, message: Message, subject: str, time: datetime) -> None:
        route = contract.route(type(message))
        if route.consumers:
            data = message.SerializeToString()
            self._told.append((new_id(), route.type, subject, time, data, ",".join(route.consumers)))

    def audit(
        self,
        work: Work,
        subject: str,
        action: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        business_action: str,
    ) -> None:
        changes = {
            name: [_plain(before.get(name)), _plain(after.get(name))]
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        }
        self._audited.append(
            {
                "id": new_id(),
                "time": work.now,
                "actor_id": work.actor,
                "on_behalf_of": work.on_behalf_of,
                "cause": work.cause,
                "business_action": business_action,
                "subject": subject,
                "action": action,
                "changes": Jsonb(changes),
            }
        )

    def remember(self, caller: str, request_id: str, method: str, request_hash: bytes, response: bytes) -> None:
        """Keeps the answer for the next call with the same request_id; commit raises DuplicateRequest if one was faster."""
        self._queue.append(
            _Queued(
                REMEMBER,
                {
                    "caller": caller,
                    "request_id": request_id,
                    "method": method,
                    "request_hash": request_hash,
                    "response": response,
                },
                None,
            )
        )

    async def commit(self) -> None:
        """Sends everything queued with COMMIT. Raises DuplicateRequest, a refusal, or psycopg's error."""
        self.settle_records()
        if self._connection is None and not self._queue:
            return
        try:
            connection = await self._begin()
            for queued in self._queue:
                await self._send(connection, queued)
            self._queue.clear()
            await connection.execute("COMMIT")
            await self._leave_pipeline()
            answers = [(then, await cursor.fetchall()) for then, cursor in self._answers]
        except psycopg.Error as error:
            await self.rollback()
            raise self._translated(error) from error
        except BaseException:
            await self.rollback()
            raise
        await self._release()
        for then, rows in answers:
            then(rows)
        for callback in self._after_commit:
            callback()

    async def rollback(self) -> None:
        """Gives up; safe to call in any state and more than once."""
        self._queue.clear()
        self._told.clear()
        self._audited.clear()
        if self._connection is None:
            return
        with suppress(psycopg.Error):
            await self._leave_pipeline()
        if not self._connection.closed:
            with suppress(psycopg.Error):
                await self._connection.rollback()
        await self._release()

    def settle_records(self) -> None:
        """Queues what was told and audited so far under the trace that is current now."""
        traceparent = current_traceparent() if self._told or self._audited else ""
        if self._told:
            ids, types, subjects, times, data, waiting = zip(*self._told, strict=True)
            told = {"ids": list(ids), "types": list(types), "subjects": list(subjects), "times": list(times)}
            told |= {"data": list(data), "waiting": list(waiting)}
            self._queue.append(_Queued(TELL, {**told, "traceparent": traceparent}, None))
            self._told.clear()
        if self._audited:
            trace_id = traceparent[3:35]
            columns: dict[str, Any] = {name: [entry[name] for entry in self._audited] for name in self._audited[0]}
            self._queue.append(_Queued(AUDIT, {**columns, "trace_id": [trace_id] * len(self._audited)}, None))
            self._audited.clear()

    async def _begin(self) -> Connection:
        if self._connection is None:
            self._connection = await self._pool.take()
            pipeline = self._connection.pipeline()
            await pipeline.__aenter__()
            self._pipeline = pipeline
            await self._connection.execute("BEGIN")
        return self._connection

    async def _send(self, connection: Connection, queued: _Queued) -> None:
        cursor = await connection.execute(queued.sql, queued.params)
        if queued.then is not None:
            self._answers.append((queued.then, cursor))

    async def _leave_pipeline(self) -> None:
        if self._pipeline is not None:
            pipeline, self._pipeline = self._pipeline, None
            await pipeline.__aexit__(None, None, None)

    async def _release(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await self._pool.give(connection)

    async def _read(
        self, sql: str, params: Params | None, into: type[Any] | None, refuse: Refusals | None
    ) -> psycopg.AsyncCursor[Any]:
        if refuse:
            self._refusals.update(refuse)
        try:
            connection = await self._begin()
            queue, self._queue = self._queue, []
            for queued in queue:
                await self._send(connection, queued)
            cursor = connection.cursor(row_factory=_factory(into))
            return await cursor.execute(sql, params or {})
        except psycopg.Error as error:
            raise self._translated(error) from error

    async def _fetch(self, fetching: Any) -> Any:
        try:
            return await fetching
        except psycopg.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: psycopg.Error) -> Exception:
        constraint = error.diag.constraint_name
        if constraint == "idempotency_pkey":
            return DuplicateRequest()
        return self._refusals.get(constraint or "", error)


def _plain(value: Any) -> Any:
    """As JSON keeps it: numbers, booleans, texts, lists and objects; the rest by its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


class Reader:
    """Reads outside any transaction: one connection and one round trip each."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @overload
    async def one(self, sql: str, params: Params = ..., *, into: type[Row]) -> Row | None: ...
    @overload
    async def one(self, sql: str, params: Params = ..., *, into: None = ...) -> dict[str, Any] | None: ...
    async def one(self, sql: str, params: Params | None = None, *, into: Any = None) -> Any:
        return await self._run(sql, params, into, first=True)

    @overload
    async def all(self, sql: str, params: Params = ..., *, into: type[Row]) -> list[Row]: ...
    @overload
    async def all(self, sql: str, params: Params = ..., *, into: None = ...) -> list[dict[str, Any]]: ...
    async def all(self, sql: str, params: Params | None = None, *, into: Any = None) -> Any:
        return await self._run(sql, params, into, first=False)

    async def value(self, sql: str, params: Params | None = None) -> Any:
        row = await self.one(sql, params or {})
        return None if row is None else next(iter(row.values()))

    async def _run(self, sql: str, params: Params | None, into: type[Any] | None, *, first: bool) -> Any:
        connection = await self._pool.take()
        try:
            cursor = connection.cursor(row_factory=_factory(into))
            await cursor.execute(sql, params or {})
            return await cursor.fetchone() if first else await cursor.fetchall()
        finally:
            await self._pool.give(connection)


class Database:
    """A service's own PostgreSQL database."""

    def __init__(self, dsn: str, *, minimum: int, maximum: int, wait_seconds: float, name: str) -> None:
        self.pool = Pool(dsn, minimum=minimum, maximum=maximum, wait_seconds=wait_seconds, name=name)
        self.reader = Reader(self.pool)

    def transaction(self) -> Transaction:
        return Transaction(self.pool)

    async def recall(self, caller: str, request_id: str) -> Remembered | None:
        """The answer given to an earlier call with this request_id, if there was one."""
        return await self.reader.one(RECALL, {"caller": caller, "request_id": request_id}, into=Remembered)
