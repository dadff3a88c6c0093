"""Statements over one connection, straight on libpq's pipeline mode: what is sent together is one round trip.

psycopg connects, converts parameters and rows, and names the errors; its cursors are left out, because they cost several
times what the statement itself does: a cursor, a parsed query and a set of generators per statement. Here a statement is
parsed once per process, prepared once per connection, and one reader per connection collects all answers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import errors as sql_errors
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer

Params = Mapping[str, Any]
Statement = tuple[str, Params]

# Per connection; the one that was not used for longest makes room.
MOST_PREPARED = 500
# How long a statement that is no longer wanted may take to hear of it.
CANCEL_SECONDS = 2.0
# uvloop (libuv) tells a reader nothing of a connection that was reset: so often is looked whether it still stands.
LOOK_SECONDS = 1.0

_PLACE = re.compile(r"%(?:\((?P<name>[^)]+)\)s|(?P<percent>%)|(?P<wrong>.?))")
_GOOD = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY})
# Where PostgreSQL finds that a cached plan would no longer answer what it was prepared for.
_REVALIDATION = "RevalidateCachedQuery"
_FATAL = pq.ExecStatus.FATAL_ERROR
# After such an error PostgreSQL says nothing more.
_LAST = frozenset({b"FATAL", b"PANIC"})
_SYNC, _ABORTED = pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.PIPELINE_ABORTED


@lru_cache(maxsize=4096)
def compiled(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with $1, $2… for its %(names)s, and the name of each. Raises ProgrammingError for other places."""
    numbers: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        if found["percent"]:
            return "%"
        if found["name"] is None:
            raise psycopg.ProgrammingError(f"only %(name)s and %% are known, not %{found['wrong']}")
        return f"${numbers.setdefault(found['name'], len(numbers) + 1)}"

    text = _PLACE.sub(place, sql)
    return text.encode(), tuple(numbers)


Key = tuple[bytes, tuple[int, ...]]


class StalePlan(sql_errors.SerializationFailure):
    """A table has changed since a statement was prepared. All of the process are prepared anew; who begins again meets
    none of the old ones, whichever connection it gets."""


@dataclass(slots=True)
class Plans:
    """What the connections of a pool know in common of their prepared statements."""

    # Counts how often they have become stale.
    age: int = 0


@dataclass(slots=True)
class _Ready:
    """A statement with its parameters as they travel."""

    query: bytes
    values: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[pq.Format]


class Answer:
    """What one statement answered."""

    __slots__ = ("_key", "_result", "_wire")

    def __init__(self, wire: Wire, key: Key, result: pq.abc.PGresult) -> None:
        self._wire = wire
        self._key = key
        self._result = result

    def rows(self, into: type[Any] | None = None, most: int | None = None) -> list[Any]:
        """All rows, or the first `most`, as `into(column=value, …)`; as dicts without it."""
        return self._wire.load(self._key, self._result, into, most)

    @property
    def command(self) -> bytes | None:
        """What PostgreSQL says it did: b"INSERT 0 1", b"ROLLBACK"…"""
        return self._result.command_status


class _For(Enum):
    """What a message is sent for."""

    ANSWER = auto()
    PREPARING = auto()
    TIDYING = auto()


@dataclass(frozen=True, slots=True)
class _Sent:
    key: Key
    purpose: _For
    # Executes what an earlier round trip has prepared.
    reuses: bool = False


_TIDYING = _Sent((b"", ()), _For.TIDYING)


class Wire:
    """The statements of one connection; one round trip at a time."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], plans: Plans) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._socket = connection.pgconn.socket
        self._loop = asyncio.get_running_loop()
        # Kept as long as the connection: it has looked up how each type is written and read.
        self._transformer = Transformer(connection)
        self._plans = plans
        self._age = plans.age
        self._prepared: dict[Key, bytes] = {}
        # Names whose statements have made room for others.
        self._unused: list[bytes] = []
        self._number = 0
        self._columns: dict[Key, tuple[str, ...]] = {}
        self._waiter: asyncio.Future[None] | None = None
        # The messages of this round trip, and what came back for each so far.
        self._sent: list[_Sent] = []
        self._results: list[pq.abc.PGresult] = []
        # Sent something, whose answers are not all here; and not yet said that it ends there.
        self._owed = False
        self._open = False
        self._writing = False
        self._looking = False
        # Whether the loop calls us when something comes: for as long as the connection is in our hands, since to say so for
        # every round trip costs as much as reading its answers.
        self._listening = False
        self._failure: psycopg.Error | None = None
        self.left: asyncio.CancelledError | None = None

    def send(self, statements: Iterable[Statement]) -> None:
        """Lets PostgreSQL begin with them; their answers come first among those of the next `run`. No round trip, and
        no error of PostgreSQL's before then. Raises ProgrammingError, with nothing sent, where a parameter is missing."""
        self._send([self._ready(sql, params) for sql, params in statements], ends=False)

    async def run(self, statements: Iterable[Statement], *, to_its_end: bool = False) -> list[Answer]:
        """Sends them all and answers what each answered, with those sent before. One round trip.

        Raises psycopg's error of the first that failed, once all have been answered; ProgrammingError, with nothing
        sent, where a parameter is missing. `to_its_end`: a cancellation waits in `left` until everything is answered.
        """
        self.left = None
        self._send([self._ready(sql, params) for sql, params in statements], ends=True)
        self.left = await self._answered(to_its_end)
        return self._sorted()

    async def quiet(self) -> None:
        """Cancels what still runs because somebody left, and takes its answers, so that the connection can be used
        again. Closes it where that cannot be had in time."""
        try:
            if self._owed:
                if self._open:
                    self._end()
                await self._connection.cancel_safe(timeout=CANCEL_SECONDS)
                async with asyncio.timeout(CANCEL_SECONDS):
                    await self._answered(to_its_end=False)
        except (psycopg.Error, TimeoutError):
            pass
        finally:
            if self._owed:
                self._complete(psycopg.OperationalError("given up"))
            self._settle()

    def rest(self) -> None:
        """Others may use the connection from here on."""
        if self._listening:
            self._listening = False
            with suppress(OSError):
                self._loop.remove_reader(self._socket)

    def load(self, key: Key, result: pq.abc.PGresult, into: type[Any] | None, most: int | None) -> list[Any]:
        count = result.ntuples if most is None else min(result.ntuples, most)
        if not count:
            return []
        names = self._columns.get(key)
        if names is None:
            names = tuple((result.fname(n) or b"").decode() for n in range(result.nfields))
            if key in self._prepared:
                self._columns[key] = names
        self._transformer.set_pgresult(result)
        rows = self._transformer.load_rows(0, count, tuple)
        if into is None:
            return [dict(zip(names, row, strict=True)) for row in rows]
        if getattr(into, "__match_args__", None) == names:
            return [into(*row) for row in rows]
        return [into(**dict(zip(names, row, strict=True))) for row in rows]

    def _ready(self, sql: str, params: Params) -> _Ready:
        query, names = compiled(sql)
        try:
            values = [params[name] for name in names]
        except KeyError as missing:
            raise psycopg.ProgrammingError(f"parameter {missing} is missing") from missing
        transformer = self._transformer
        dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        return _Ready(query, dumped, transformer.types or (), transformer.formats or ())

    def _send(self, statements: Iterable[_Ready], *, ends: bool) -> None:
        if self._failure is not None:
            raise self._failure
        if self._owed and not self._open:
            raise psycopg.OperationalError("a connection does one round trip at a time")
        pgconn = self._pgconn
        try:
            if not self._open:
                untidy = bool(self._unused) or self._age != self._plans.age
                # In a transaction that has failed nothing works but its end.
                untidy = untidy and pgconn.transaction_status == pq.TransactionStatus.IDLE
                pgconn.enter_pipeline_mode()
                self._open = True
                if untidy:
                    self._tidy_up()
            for one in statements:
                self._push(one)
            if ends:
                pgconn.pipeline_sync()
                self._open = False
        except BaseException as error:
            # Half a pipeline: nothing of it may take effect.
            self._complete(error if isinstance(error, psycopg.Error) else psycopg.OperationalError("half sent"))
            raise
        if not self._owed:
            self._owed = True
            if not self._listening:
                self._listening = True
                self._loop.add_reader(self._socket, self._readable)
            if not self._looking:
                self._looking = True
                self._loop.call_later(LOOK_SECONDS, self._look)
        self._flush()

    def _push(self, one: _Ready) -> None:
        key = (one.query, one.types)
        name = self._prepared.pop(key, None)
        reuses = name is not None
        if name is None:
            if len(self._prepared) >= MOST_PREPARED:
                unused = next(iter(self._prepared))
                self._unused.append(self._prepared.pop(unused))
                self._columns.pop(unused, None)
            self._number += 1
            name = b"w%d" % self._number
            self._pgconn.send_prepare(name, one.query, one.types)
            self._sent.append(_Sent(key, _For.PREPARING))
        # The last of them is the one used last.
        self._prepared[key] = name
        self._pgconn.send_query_prepared(name, one.values, one.formats)
        self._sent.append(_Sent(key, _For.ANSWER, reuses))

    def _tidy_up(self) -> None:
        if self._age != self._plans.age:
            self._age = self._plans.age
            self._prepared.clear()
            self._columns.clear()
            commands = [b"DEALLOCATE ALL"]
        else:
            commands = [b"DEALLOCATE " + name for name in self._unused]
        self._unused.clear()
        for command in commands:
            self._pgconn.send_query_params(command, None)
            self._sent.append(_TIDYING)

    def _end(self) -> None:
        self._pgconn.pipeline_sync()
        self._open = False
        self._flush()

    async def _answered(self, to_its_end: bool) -> asyncio.CancelledError | None:
        cancelled: asyncio.CancelledError | None = None
        while self._owed:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError as error:
                if not to_its_end:
                    raise
                cancelled = error
        return cancelled

    def _readable(self) -> None:
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            if not self._owed:
                # Between two round trips the server only says that it goes.
                return
            if self._writing:
                self._flush()
            between = True
            while self._owed and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    # After the answer of each statement; twice: nothing more has come yet.
                    if between:
                        return
                    between = True
                elif result.status == _SYNC:
                    self._complete()
                    return
                else:
                    between = False
                    self._results.append(result)
                    if (
                        result.status == _FATAL
                        and result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) in _LAST
                    ):
                        raise sql_errors.error_from_result(result)
        except psycopg.Error as error:
            self._complete(error)

    def _look(self) -> None:
        """One timer per connection in use, not one per round trip."""
        self._looking = False
        if self._owed:
            self._readable()
        if self._owed:
            self._looking = True
            self._loop.call_later(LOOK_SECONDS, self._look)

    def _flush(self) -> None:
        """What does not fit into the socket goes when there is room; answers are read meanwhile."""
        try:
            left = self._pgconn.flush()
        except psycopg.Error as error:
            self._complete(error)
            return
        if left and not self._writing:
            self._loop.add_writer(self._socket, self._flush)
        elif self._writing and not left:
            self._loop.remove_writer(self._socket)
        self._writing = bool(left)

    def _complete(self, failure: psycopg.Error | None = None) -> None:
        """The round trip is over; after a failure so is the connection."""
        # Where libpq has closed the socket, a loop may not find it any more.
        with suppress(OSError):
            if self._writing:
                self._loop.remove_writer(self._socket)
        if failure is not None:
            self.rest()
        self._owed = self._open = self._writing = False
        if failure is None:
            self._pgconn.exit_pipeline_mode()
        else:
            self._failure = self._failure or failure
            self._pgconn.finish()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _settle(self) -> tuple[list[_Sent], list[pq.abc.PGresult], int | None]:
        """Messages and results of a round trip that is over, and which failed first; what was not prepared after all is
        forgotten."""
        sent, results = self._sent, self._results
        self._sent, self._results = [], []
        wrong = next((n for n, result in enumerate(results) if result.status not in _GOOD), None)
        if wrong is not None or len(results) < len(sent):
            for n, message in enumerate(sent):
                if message.purpose is _For.PREPARING and (n >= len(results) or results[n].status not in _GOOD):
                    self._prepared.pop(message.key, None)
                    self._columns.pop(message.key, None)
        return sent, results, wrong

    def _sorted(self) -> list[Answer]:
        sent, results, wrong = self._settle()
        if wrong is not None and results[wrong].status != _ABORTED:
            error = sql_errors.error_from_result(results[wrong])
            # Behind the last statement nothing is left but what ends the pipeline: the commit failed, or the server went.
            raise self._explained(sent[wrong], error) if wrong < len(sent) else error
        if self._failure is not None or wrong is not None:
            raise self._failure or psycopg.OperationalError("the pipeline was aborted")
        pairs = zip(sent, results, strict=True)
        return [Answer(self, message.key, result) for message, result in pairs if message.purpose is _For.ANSWER]

    def _explained(self, message: _Sent, error: psycopg.Error) -> psycopg.Error:
        gone = isinstance(error, sql_errors.InvalidSqlStatementName)
        changed = isinstance(error, sql_errors.FeatureNotSupported) and error.diag.source_function == _REVALIDATION
        if not (gone or changed) or (message.purpose is _For.ANSWER and not message.reuses):
            return error
        if self._age == self._plans.age:
            self._plans.age += 1
        return StalePlan(str(error))
