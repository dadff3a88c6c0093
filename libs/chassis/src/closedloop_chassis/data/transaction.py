"""One unit of work as one transaction, in as few round trips as its reads demand.

Everything runs in libpq's pipeline mode: BEGIN leaves together with the first read, statements that answer nothing
(`do`) are queued, and state, records (events, audit, the answer) and COMMIT travel together. A unit of work that reads
nothing costs one round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

import psycopg
from google.protobuf.message import Message

from closedloop_chassis import errors
from closedloop_chassis.data.connections import Connection, Pool
from closedloop_chassis.data.gathering import Gathering, Party, Queued, Rows, Statements, Then, Write
from closedloop_chassis.data.looking import Look, Looking
from closedloop_chassis.data.records import Records
from closedloop_chassis.data.wire import Answer, Params, StalePlan, Statement

if TYPE_CHECKING:
    from closedloop_chassis.work import Work

Row = TypeVar("Row")
Question = TypeVar("Question")
Found = TypeVar("Found")
Refusals = Mapping[str, errors.DomainError]

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


NOTHING: Params = {}
BEGIN: Statement = ("BEGIN", NOTHING)
COMMIT: Statement = ("COMMIT", NOTHING)
ROLLBACK: Statement = ("ROLLBACK", NOTHING)


class Transaction:
    """State, events, audit and answer of one unit of work; all of it or nothing. A connection is taken when first needed."""

    def __init__(self, pool: Pool, gathering: Gathering, told: Callable[[], None] = lambda: None) -> None:
        self._pool = pool
        self._gathering = gathering
        # Called when events have become true.
        self._on_told = told
        self._tells = False
        self._connection: Connection | None = None
        # What is still to be sent, and what waits for the rows of each that was sent and not yet answered.
        self._queue: list[Queued] = []
        self._flying: list[Then | None] = []
        self._answers: list[tuple[Then, Rows]] = []
        self._refusals: dict[str, errors.DomainError] = {}
        self._records = Records()
        self._begun = False
        self._failed = False
        self._after_commit: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []

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
        rows = (await self._read(sql, params, refuse)).rows(into, most=1)
        return rows[0] if rows else None

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
        return (await self._read(sql, params, refuse)).rows(into)

    async def each(self, *reads: Statement) -> list[Rows]:
        """All rows of several reads, in their order. One round trip."""
        with self._translating():
            return [answer.rows() for answer in await self._run(list(reads), begin=True)]

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
        then: Then | None = None,
    ) -> None:
        """Queues a statement: sent, in order, before the next read or with the commit. `then` gets its RETURNING rows
        once everything has committed."""
        self._queue.append(((sql, params or NOTHING), then))
        if refuse:
            self._refusals.update(refuse)

    def write(
        self, statements: Statements, item: Any, *, touches: Collection[str] = (), refuse: Refusals | None = None
    ) -> None:
        """Queues an item that may be written together with its like of other units of work: `statements(items)` makes
        what writes all of them, in any order. `touches` names rows (kind and id) that no two of them may touch at once.
        As with `do` the order within one unit of work is kept; who queues nothing else in between goes together best."""
        self._queue.append((Write(statements, item, frozenset(touches)), None))
        if refuse:
            self._refusals.update(refuse)

    def after_commit(self, callback: Callable[[], None]) -> None:
        self._after_commit.append(callback)

    def at_end(self, callback: Callable[[], None]) -> None:
        """Called once when it is over, whichever way."""
        self._at_end.append(callback)

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
        with self._translating():
            connection = await self._connected()
            connection.wire.send(self._take_queue(begin=True))

    async def commit(self) -> None:
        """Sends everything queued and commits. Raises DuplicateRequest, a refusal, or psycopg's error.

        Once begun it is seen to its end, and a cancellation passed on then: half of it would leave nobody knowing what
        became of it."""
        if self._connection is None and any(isinstance(one, Write) for one, _ in self._queue):
            await self._commit_with_others()
        else:
            await self._commit_alone()

    async def _commit_with_others(self) -> None:
        self._refuse_if_failed()
        party = Party(self._queue, self._records)
        try:
            answers = await self._gathering.taken_along(party)
        except psycopg.Error as error:
            await self.rollback()
            raise party.left or self._translated(error) from error
        if answers is None:
            if party.left is not None:
                raise party.left
            await self._commit_alone()
            return
        self._answers += answers
        self._queue.clear()
        self._records.clear()
        self._over()
        self._committed()
        if party.left is not None:
            raise party.left

    async def _commit_alone(self) -> None:
        self._gather_records()
        if self._connection is None and not self._queue:
            self._over()
            self._committed()
            return
        try:
            # What only writes is one pipeline, which PostgreSQL commits or undoes as a whole at its end.
            self._refuse_if_failed()
            answers = await self._run([COMMIT] if self._begun else [], to_its_end=True)
            self._failed = self._begun and answers[-1].command != b"COMMIT"
            self._refuse_if_failed()
        except psycopg.Error as error:
            left = self._left()
            await self.rollback()
            # Who leaves is not to begin again.
            raise left or self._translated(error) from error
        except BaseException:
            await self.rollback()
            raise
        left = self._left()
        await self._release()
        self._over()
        self._committed()
        if left is not None:
            raise left

    async def rollback(self) -> None:
        """Gives up; safe to call in any state and more than once."""
        self._queue.clear()
        self._flying.clear()
        self._records.clear()
        self._failed = True
        if self._connection is None:
            self._over()
            return
        try:
            with suppress(psycopg.Error):
                await self._connection.wire.quiet()
                if self._begun and not self._connection.closed:
                    await self._connection.wire.run([ROLLBACK], to_its_end=True)
            left = self._left()
        finally:
            await self._release()
            self._over()
        if left is not None:
            raise left

    def _over(self) -> None:
        callbacks, self._at_end = self._at_end, []
        for callback in callbacks:
            callback()

    def _committed(self) -> None:
        for then, rows in self._answers:
            then(rows)
        for callback in self._after_commit:
            callback()
        if self._tells:
            self._on_told()

    def _gather_records(self) -> None:
        records = self._records.statement()
        self._records.clear()
        if records is not None:
            self._queue.append((records, None))

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._pool.take()
        return self._connection

    def _left(self) -> asyncio.CancelledError | None:
        if self._connection is None:
            return None
        left, self._connection.wire.left = self._connection.wire.left, None
        return left

    def _take_queue(self, *, begin: bool) -> list[Statement]:
        """What is queued, now on its way. Only what reads, or sends in parts, says BEGIN, so that it can still be given
        up."""
        statements: list[Statement] = []
        if begin and not self._begun:
            self._begun = True
            statements.append(BEGIN)
            self._flying.append(None)
        for one, then in self._queue:
            made = one.statements([one.item]) if isinstance(one, Write) else (one,)
            for statement in made:
                statements.append(statement)
                self._flying.append(then)
        self._queue.clear()
        return statements

    async def _run(self, last: list[Statement], *, begin: bool = False, to_its_end: bool = False) -> list[Answer]:
        """The queue and `last`, in one round trip; answers what `last` answered."""
        connection = await self._connected()
        answers = await connection.wire.run([*self._take_queue(begin=begin), *last], to_its_end=to_its_end)
        flying, self._flying = self._flying, []
        for then, answer in zip(flying, answers, strict=False):
            if then is not None:
                self._answers.append((then, answer.rows()))
        return answers[len(flying) :]

    async def _release(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await self._pool.give(connection)

    async def _read(self, sql: str, params: Params | None, refuse: Refusals | None) -> Answer:
        if refuse:
            self._refusals.update(refuse)
        with self._translating():
            return (await self._run([(sql, params or NOTHING)], begin=True))[0]

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Whatever goes wrong here, even a caller that leaves: nothing may be committed any more."""
        self._refuse_if_failed()
        try:
            yield
        except psycopg.Error as error:
            self._failed = True
            raise self._translated(error) from error
        except BaseException:
            self._failed = True
            raise

    def _refuse_if_failed(self) -> None:
        if self._failed:
            raise psycopg.errors.InFailedSqlTransaction("an earlier statement failed, so nothing is committed")

    def _translated(self, error: psycopg.Error) -> Exception:
        constraint = error.diag.constraint_name
        if constraint == "idempotency_pkey":
            return DuplicateRequest()
        return self._refusals.get(constraint or "", error)


class Reader:
    """Reads outside any transaction: one connection and one round trip each."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._looks: dict[Look[Any, Any], Looking[Any, Any]] = {}

    async def together(self, look: Look[Question, Found], question: Question) -> Found:
        """What `look(db, questions)` finds for it, one answer for each in their order: one round trip for all who ask at
        once, each of whom meets only what is wrong with his own. `look` is a function of a module, and only reads."""
        looking = self._looks.get(look)
        if looking is None:
            looking = self._looks[look] = Looking(look, self)
        found: Found = await looking.ask(question)
        return found

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

    async def each(self, *reads: Statement) -> list[Rows]:
        """All rows of several reads, in their order. One round trip."""
        try:
            return await self._each(reads)
        except StalePlan:
            return await self._each(reads)

    async def _run(self, sql: str, params: Params | None, into: type[Any] | None, *, first: bool) -> Any:
        read = [(sql, params or NOTHING)]
        try:
            [rows] = await self._each(read, into, first=first)
        except StalePlan:
            [rows] = await self._each(read, into, first=first)
        return (rows[0] if rows else None) if first else rows

    async def _each(
        self, reads: Sequence[Statement], into: type[Any] | None = None, *, first: bool = False
    ) -> list[list[Any]]:
        connection = await self._pool.take()
        try:
            return [answer.rows(into, most=1 if first else None) for answer in await connection.wire.run(reads)]
        except BaseException:
            await connection.wire.quiet()
            raise
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
        self._gathering = Gathering(self.pool)
        # What every transaction that told events calls once it has committed.
        self.told: Callable[[], None] = lambda: None

    def transaction(self) -> Transaction:
        return Transaction(self.pool, self._gathering, lambda: self.told())

    async def recall(self, caller: str, request_id: str) -> Remembered | None:
        """The answer given to an earlier call with this request_id, if there was one."""
        return await self.reader.one(RECALL, {"caller": caller, "request_id": request_id}, into=Remembered)
