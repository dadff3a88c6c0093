"""Group commit: units of work that end while another is being committed are written together, as one pipeline and one
statement for each kind of row (docs/decisions/0009-group-commit.md).

Nobody waits for others to come: who finds nobody under way goes at once. The busier a process, the more go together,
and the less each of them costs PostgreSQL and the process itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from closedloop_chassis.data.connections import Pool
from closedloop_chassis.data.records import Records
from closedloop_chassis.data.wire import Statement

# More at once would make those wait who came first, and save little more.
MOST = 32
# Who waits longer for a lock, or for the disk, does not keep the next from going.
PATIENCE_SECONDS = 0.02

Rows = list[dict[str, Any]]
Then = Callable[[Rows], None]
Statements = Callable[[Sequence[Any]], Iterable[Statement]]


@dataclass(frozen=True, slots=True)
class Write:
    """An item that is written together with its like: `statements` makes what writes all items of one commit, in any
    order. `touches` names rows that no other item of the commit may touch."""

    statements: Statements
    item: Any
    touches: frozenset[str]


Queued = tuple[Statement | Write, Then | None]


class Party:
    """What one unit of work has to write, and what becomes of it: what each `then` is to be told, or None where it has to
    try alone."""

    def __init__(self, queue: Sequence[Queued], records: Records) -> None:
        self.queue = queue
        self.records = records
        self.touches = frozenset[str]().union(*(one.touches for one, _ in queue if isinstance(one, Write)))
        self.left: asyncio.CancelledError | None = None
        self.outcome: asyncio.Future[list[tuple[Then, Rows]] | None] = asyncio.get_running_loop().create_future()


class Gathering:
    """The commits of one process, few at a time, each with all who came meanwhile."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._under_way = False
        self._waiting: list[Party] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def begins(self) -> Callable[[], None] | None:
        """Where nobody is under way the caller goes now and alone, and calls what is answered when it is over."""
        return None if self._under_way else self._departs()

    def _departs(self) -> Callable[[], None]:
        self._under_way = True
        passed = False

        def over() -> None:
            nonlocal passed
            late.cancel()
            if not passed:
                passed = True
                self._under_way = False
                self._next()

        late = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, over)
        return over

    def _next(self) -> None:
        """All who wait go, except who touches what another of them does."""
        group: list[Party] = []
        touched: set[str] = set()
        later: list[Party] = []
        # In one order everywhere, so that two processes do not hold what the other waits for.
        for party in sorted(self._waiting, key=lambda party: min(party.touches, default="")):
            if len(group) < MOST and touched.isdisjoint(party.touches):
                touched |= party.touches
                group.append(party)
            else:
                later.append(party)
        self._waiting = later
        if group:
            task = asyncio.create_task(self._go(group, self._departs()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def taken_along(self, party: Party) -> list[tuple[Then, Rows]] | None:
        """Waits until it was committed with others, or was not and has to try alone (None). Raises psycopg's error where
        nobody knows what became of it.

        Who leaves before it was begun is left behind; later it is seen to its end, and the cancellation kept in `left`.
        """
        self._waiting.append(party)
        while True:
            try:
                # Who is cancelled leaves the outcome to be told: it may be told in the same turn of the loop.
                return await asyncio.shield(party.outcome)
            except asyncio.CancelledError as error:
                if party in self._waiting:
                    self._waiting.remove(party)
                    raise
                party.left = error

    async def _go(self, group: Sequence[Party], over: Callable[[], None]) -> None:
        try:
            for party, told in zip(group, await self._written(group), strict=True):
                party.outcome.set_result(told)
        except BaseException as error:
            # What PostgreSQL refuses one of them, it has not done for any.
            refused = isinstance(error, psycopg.Error) and error.sqlstate is not None and not isinstance(error, _Lost)
            for party in group:
                if refused:
                    party.outcome.set_result(None)
                else:
                    party.outcome.set_exception(error if isinstance(error, Exception) else _Lost("the process ends"))
            if not isinstance(error, Exception):
                raise
        finally:
            over()

    async def _written(self, group: Sequence[Party]) -> list[list[tuple[Then, Rows]]]:
        plan = _planned(group)
        told: list[list[tuple[Then, Rows]]] = [[] for _ in group]
        connection = await self._pool.take()
        try:
            answers = await connection.wire.run([statement for statement, _, _ in plan], to_its_end=True)
            for answer, (_, number, then) in zip(answers, plan, strict=True):
                if then is not None:
                    told[number].append((then, answer.rows()))
        except psycopg.Error as error:
            if connection.closed:
                raise _Lost(str(error)) from error
            raise
        finally:
            await self._pool.give(connection)
        return told


class _Lost(psycopg.OperationalError):
    """The connection went, and with it the knowledge whether anything was committed."""


def _planned(group: Sequence[Party]) -> list[tuple[Statement, int, Then | None]]:
    """Statements, whose each is (by number in the group) and who hears of it. Items of a kind go where the first of them
    stood; records last."""
    places: list[Statements | tuple[Statement, int, Then | None]] = []
    items: dict[Statements, list[Any]] = {}
    records = Records()
    for number, party in enumerate(group):
        for one, then in party.queue:
            if not isinstance(one, Write):
                places.append((one, number, then))
            elif one.statements in items:
                items[one.statements].append(one.item)
            else:
                items[one.statements] = [one.item]
                places.append(one.statements)
        records.take_over(party.records)
    plan: list[tuple[Statement, int, Then | None]] = []
    for place in places:
        if isinstance(place, tuple):
            plan.append(place)
        else:
            plan += [(statement, 0, None) for statement in place(items[place])]
    if (last := records.statement()) is not None:
        plan.append((last, 0, None))
    return plan
