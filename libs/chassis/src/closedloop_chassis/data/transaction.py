"""One unit of work as one transaction, in as few round trips as its reads demand.

Everything runs in libpq's pipeline mode: BEGIN leaves together with the first read, statements that answer nothing
(`do`) are queued, and state, records (events, audit, the answer) and COMMIT travel together. A unit of work that reads
nothing costs one round trip.
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

from closedloop_chassis import errors
from closedloop_chassis.data.connections import Connection, Pool
from closedloop_chassis.data.records import Records

if TYPE_CHECKING:
    from closedloop_chassis.work import Work

Row = TypeVar("Row")
Params = Mapping[str, Any]
Refusals = Mapping[str, errors.DomainError]
Rows = list[dict[str, Any]]

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

    def __init__(self, pool: Pool, told: Callable[[], None] = lambda: None) -> None:
        self._pool = pool
        # Called when events have become true.
        self._on_told = told
        self._tells = False
        self._connection: Connection | None = None
        self._pipeline: AbstractAsyncContextManager[Any] | None = None
        self._queue: list[_Queued] = []
        self._refusals: dict[str, errors.DomainError] = {}
        self._records = Records()
        self._begun = False
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
        self._records.tell(message, subject, time)
        self._tells = True

    def audit(
        self,
        work: Work,
        subject: str,
        action: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        business_action: str,
    ) -> None:
        self._records.audit(work, subject, action, before, after, business_action)

    def remember(self, caller: str, request_id: str, method: str, request_hash: bytes, response: bytes) -> None:
        """Keeps the answer for the next call with the same request_id; commit raises DuplicateRequest if one was faster."""
        self._records.remember(caller, request_id, method, request_hash, response)

    async def send(self) -> None:
        """Lets PostgreSQL begin with all there is so far, while the caller prepares more. No round trip: what is wrong
        with it shows in the next read or in the commit."""
        self._gather_records()
        try:
            connection = await self._begin()
            queue, self._queue = self._queue, []
            for queued in queue:
                await self._send(connection, queued)
        except psycopg.Error as error:
            raise self._translated(error) from error

    async def commit(self) -> None:
        """Sends everything queued and commits. Raises DuplicateRequest, a refusal, or psycopg's error."""
        self._gather_records()
        if self._connection is None and not self._queue:
            self._committed([])
            return
        try:
            connection = await self._enter()
            for queued in self._queue:
                await self._send(connection, queued)
            self._queue.clear()
            if self._begun:
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
        self._committed(answers)

    async def rollback(self) -> None:
        """Gives up; safe to call in any state and more than once."""
        self._queue.clear()
        self._records.clear()
        if self._connection is None:
            return
        if self._pipeline is not None and not self._begun:
            # Leaving the pipeline would commit what was sent so far; a connection that closes undoes it.
            self._pipeline = None
            await self._connection.close()
        with suppress(psycopg.Error):
            await self._leave_pipeline()
        if not self._connection.closed:
            with suppress(psycopg.Error):
                await self._connection.rollback()
        await self._release()

    def _committed(self, answers: list[tuple[Callable[[Rows], None], Rows]]) -> None:
        for then, rows in answers:
            then(rows)
        for callback in self._after_commit:
            callback()
        if self._tells:
            self._on_told()

    def _gather_records(self) -> None:
        records = self._records.statement()
        self._records.clear()
        if records is not None:
            self._queue.append(_Queued(*records, None))

    async def _enter(self) -> Connection:
        if self._connection is None:
            self._connection = await self._pool.take()
            pipeline = self._connection.pipeline()
            await pipeline.__aenter__()
            self._pipeline = pipeline
        return self._connection

    async def _begin(self) -> Connection:
        """Only what reads says BEGIN, so that it can still be given up; what only writes is one pipeline, which
        PostgreSQL commits or undoes as a whole at its end."""
        connection = await self._enter()
        if not self._begun:
            self._begun = True
            await connection.execute("BEGIN")
        return connection

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

    def __init__(
        self, dsn: str, *, minimum: int, maximum: int, wait_seconds: float, idle_seconds: float, name: str
    ) -> None:
        self.pool = Pool(
            dsn, minimum=minimum, maximum=maximum, wait_seconds=wait_seconds, idle_seconds=idle_seconds, name=name
        )
        self.reader = Reader(self.pool)
        # What every transaction that told events calls once it has committed.
        self.told: Callable[[], None] = lambda: None

    def transaction(self) -> Transaction:
        return Transaction(self.pool, lambda: self.told())

    async def recall(self, caller: str, request_id: str) -> Remembered | None:
        """The answer given to an earlier call with this request_id, if there was one."""
        return await self.reader.one(RECALL, {"caller": caller, "request_id": request_id}, into=Remembered)
