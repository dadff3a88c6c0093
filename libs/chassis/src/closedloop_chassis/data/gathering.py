"""Group commit: units of work that end in one turn, or while another is being committed, are written together, as one
pipeline and one statement for each kind of row (docs/decisions/0009-group-commit.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from closedloop_chassis.data.connections import Pool
from closedloop_chassis.data.lane import MOST, Lane
from closedloop_chassis.data.records import Records
from closedloop_chassis.data.wire import Statement

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
    """What one unit of work has to write, and what becomes of it."""

    def __init__(self, queue: Sequence[Queued], records: Records) -> None:
        self.queue = queue
        self.records = records
        self.touches = frozenset[str]().union(*(one.touches for one, _ in queue if isinstance(one, Write)))
        self.left: asyncio.CancelledError | None = None
        # What each `then` is to be told, None where it has to try alone, or an error; once it is `over`.
        self.outcome: list[tuple[Then, Rows]] | Exception | None = None
        self.over = False
        self.waiter: asyncio.Future[None] | None = None

    def tell(self, outcome: list[tuple[Then, Rows]] | Exception | None) -> None:
        self.outcome, self.over = outcome, True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Gathering:
    """The commits of one process, few at a time, each with all who came meanwhile."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lane: Lane[Party] = Lane(self._go, _apart)

    async def taken_along(self, party: Party) -> list[tuple[Then, Rows]] | None:
        """Waits until it was committed, or was not and has to try alone (None). Raises psycopg's error where nobody knows
        what became of it, or it was alone already.

        Who leaves before it was begun is left behind; later it is seen to its end, and the cancellation kept in `left`.
        """
        self._lane.join(party)
        while not party.over:
            party.waiter = asyncio.get_running_loop().create_future()
            try:
                await party.waiter
            except asyncio.CancelledError as error:
                if self._lane.leave(party):
                    raise
                party.left = error
        if isinstance(party.outcome, Exception):
            raise party.outcome
        return party.outcome

    async def _go(self, group: Sequence[Party]) -> None:
        try:
            for party, told in zip(group, await self._written(group), strict=True):
                party.tell(told)
        except _NothingDone as error:
            for party in group:
                # The guilty one learns of it when it tries alone.
                party.tell(None if len(group) > 1 else error.why)
        except BaseException as error:
            for party in group:
                party.tell(error if isinstance(error, Exception) else _Lost("the process ends"))
            if not isinstance(error, Exception):
                raise

    async def _written(self, group: Sequence[Party]) -> list[list[tuple[Then, Rows]]]:
        told: list[list[tuple[Then, Rows]]] = [[] for _ in group]
        connection = await self._pool.take()
        try:
            plan = _planned(group)
            answers = await connection.wire.run([statement for statement, _, _ in plan], to_its_end=True)
        except Exception as error:
            if connection.closed:
                raise _Lost(str(error)) from error
            # It could not be sent, or PostgreSQL has refused all of it.
            raise _NothingDone(error) from error
        finally:
            await self._pool.give(connection)
        for answer, (_, number, then) in zip(answers, plan, strict=True):
            if then is not None:
                told[number].append((then, answer.rows()))
        return told


class _NothingDone(Exception):
    """What was wrong with one of a group; nothing was done for any."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


class _Lost(psycopg.OperationalError):
    """The connection went, and with it the knowledge whether anything was committed."""


def _apart(waiting: Sequence[Party]) -> list[Party]:
    """All who wait, except who touches what another of them does."""
    group: list[Party] = []
    touched: set[str] = set()
    # In one order everywhere, so that two processes do not hold what the other waits for.
    for party in sorted(waiting, key=lambda party: min(party.touches, default="")):
        if len(group) < MOST and touched.isdisjoint(party.touches):
            touched |= party.touches
            group.append(party)
    return group


def _planned(group: Sequence[Party]) -> list[tuple[Statement, int, Then | None]]:
    """Statements, whose each is (by number in the group) and who hears of it. Each party's own order is kept: an item goes
    with its like where they stand behind all that its party has queued before; records last."""
    places: list[tuple[Statements, list[Any]] | tuple[Statement, int, Then | None]] = []
    last_of: dict[Statements, int] = {}
    records = Records()
    for number, party in enumerate(group):
        at = 0
        for one, then in party.queue:
            if not isinstance(one, Write):
                at = len(places)
                places.append((one, number, then))
                continue
            place = last_of.get(one.statements, -1)
            if place < at:
                place = last_of[one.statements] = len(places)
                places.append((one.statements, []))
            at = place
            items: Any = places[place][1]
            items.append(one.item)
        records.take_over(party.records)
    plan: list[tuple[Statement, int, Then | None]] = []
    for place_ in places:
        if len(place_) == 3:
            plan.append(place_)
        else:
            plan += [(statement, 0, None) for statement in place_[0](place_[1])]
    if (last := records.statement()) is not None:
        plan.append((last, 0, None))
    return plan
