"""Applies what the inbox holds and fires clocks that are due, with the same handlers and guarantees as an RPC.

Events of one subject share a slot; whoever holds a slot's lock applies its events in order, so that any number of
replicas may run. A batch is one transaction. When a handler raises, the batch is given up and its events are applied one
by one: the guilty one is put back with a delay and parked after its last attempt, alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
import structlog
from google.protobuf.message import Message
from psycopg_pool import PoolTimeout
from pydantic import Field

from closedloop_chassis import ids
from closedloop_chassis.clocks import figures, sweep
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.events import upkeep
from closedloop_chassis.rulebook.rules import Rules
from closedloop_chassis.service import EventHandler
from closedloop_chassis.telemetry import metrics, tracing
from closedloop_chassis.work import Heard, Work

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

log = structlog.get_logger(__name__)

BATCH = 200
# How long to wait before looking again: short after work, longer the longer nothing came.
SHORTEST, LONGEST = 0.02, 0.25

SLOTS = "SELECT DISTINCT slot FROM inbox WHERE state = 0 AND (next_at IS NULL OR next_at <= clock_timestamp())"

# An event waits while an earlier one of its subject waits for another attempt; a parked one holds nobody.
TAKE = """
WITH mine AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(hashtext('inbox'), %(slot)s) AS held)
SELECT id, source, type, subject, sequence, time, traceparent, data, attempts
  FROM inbox
 WHERE (SELECT held FROM mine) AND state = 0 AND slot = %(slot)s AND (next_at IS NULL OR next_at <= clock_timestamp())
   AND NOT EXISTS (SELECT FROM inbox earlier
                    WHERE earlier.state = 0 AND earlier.subject = inbox.subject AND earlier.source = inbox.source
                      AND earlier.sequence < inbox.sequence AND earlier.next_at > clock_timestamp())
 ORDER BY source, sequence
 LIMIT %(batch)s
"""

APPLIED = "UPDATE inbox SET state = 1, applied_at = clock_timestamp(), error = NULL WHERE id = ANY(%(ids)s::uuid[])"

FAILED = """
UPDATE inbox
   SET attempts = attempts + 1, error = %(error)s,
       state = CASE WHEN attempts + 1 >= %(attempts)s THEN 2 ELSE 0 END,
       parked_at = CASE WHEN attempts + 1 >= %(attempts)s THEN clock_timestamp() END,
       next_at = clock_timestamp() + make_interval(secs => least(%(first_delay)s * 2 ^ attempts, 300))
 WHERE id = %(id)s
RETURNING type, state
"""

POSTPONE = "UPDATE clock SET next_at = %(now)s + interval '1 minute' WHERE id = %(id)s"


class ReactorRules(Rules):
    """How often a failing event is tried before it is parked; delays double from `first_delay_seconds` up to 300."""

    rulebook: ClassVar[str] = "platform.reactor"

    attempts: int = Field(default=8, ge=1, le=50)
    first_delay_seconds: float = Field(default=0.5, gt=0, le=60)


@dataclass(frozen=True, slots=True)
class _Received:
    id: str
    source: str
    type: str
    subject: str
    sequence: int
    time: datetime
    traceparent: str
    data: bytes
    attempts: int


class Reactor:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._events: dict[str, tuple[type[Message], list[EventHandler]]] = {}
        self._clocks: dict[str, Any] = {}
        for part in process.slices:
            for event_type, (message, handlers) in part.reactions.events.items():
                self._events.setdefault(event_type, (message, []))[1].extend(handlers)
            self._clocks.update(part.reactions.clocks)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loops = {"inbox": self.drain_inbox, "clocks": self.sweep_clocks}
        self._tasks = [asyncio.create_task(self._repeat(name, step), name=name) for name, step in loops.items()]
        self._tasks.append(asyncio.create_task(upkeep.run(self._process), name="upkeep"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain_inbox(self) -> int:
        """Applies one batch of every slot that has something; answers how many events."""
        slots = await self._process.database.reader.all(SLOTS)
        return sum([await self._drain(row["slot"]) for row in slots])

    async def sweep_clocks(self) -> int:
        """Fires one batch of due clocks; answers how many."""
        tx = self._process.database.transaction()
        try:
            fired = await self._fire(tx, sweep.BATCH)
        except (psycopg.OperationalError, PoolTimeout):
            await tx.rollback()
            raise
        except Exception:
            await tx.rollback()
            log.exception("clock batch failed, firing one by one")
            return await self._sweep_one_by_one()
        return fired

    async def _repeat(self, name: str, step: Callable[[], Awaitable[int]]) -> None:
        pause = SHORTEST
        while True:
            try:
                pause = SHORTEST if await step() else min(pause * 1.5, LONGEST)
            except (psycopg.OperationalError, PoolTimeout) as error:
                pause = 1.0
                log.warning("database away", loop=name, error=str(error).splitlines()[0] if str(error) else repr(error))
            except Exception:
                pause = 1.0
                log.exception("reactor step failed", loop=name)
            await asyncio.sleep(pause)

    async def _drain(self, slot: int) -> int:
        tx = self._process.database.transaction()
        received: list[_Received] = []
        try:
            received = await tx.all(TAKE, {"slot": slot, "batch": BATCH}, into=_Received)
            for event in received:
                await self._apply(event, tx)
            tx.do(APPLIED, {"ids": [event.id for event in received]})
            await tx.commit()
        except (psycopg.OperationalError, PoolTimeout):
            await tx.rollback()
            raise
        except Exception as error:
            await tx.rollback()
            log.debug("batch failed, applying one by one", error=repr(error))
            return sum([await self._drain_one(slot, event) for event in received])
        _count(received)
        return len(received)

    async def _drain_one(self, slot: int, event: _Received) -> int:
        tx = self._process.database.transaction()
        try:
            due = await tx.all(TAKE, {"slot": slot, "batch": BATCH}, into=_Received)
            if event.id not in {other.id for other in due}:
                # Another replica was faster, or an earlier event of the subject has just been put back.
                await tx.rollback()
                return 0
            await self._apply(event, tx)
            tx.do(APPLIED, {"ids": [event.id]})
            await tx.commit()
        except (psycopg.OperationalError, PoolTimeout):
            await tx.rollback()
            raise
        except Exception as error:
            await tx.rollback()
            await self._put_back(event, error)
            return 1
        _count([event])
        return 1

    async def _put_back(self, event: _Received, error: Exception) -> None:
        rules = self._process.rulebooks.in_force(ReactorRules, self._process.time.now())
        tx = self._process.database.transaction()
        line = f"{type(error).__name__}: {error}".splitlines()[0][:500]
        params = {"id": event.id, "error": line, "attempts": rules.attempts, "first_delay": rules.first_delay_seconds}
        outcome = await tx.one(FAILED, params)
        await tx.commit()
        parked = outcome is not None and outcome["state"] == 2
        log.warning("event failed", event_id=event.id, type=event.type, parked=parked, exc_info=error)
        metrics.EVENTS_FAILED.labels(event.type).inc()

    async def _apply(self, event: _Received, tx: Transaction) -> None:
        if event.type not in self._events:
            return
        message_class, handlers = self._events[event.type]
        heard = Heard(
            event.id, event.source, event.subject, event.time, event.sequence, message_class.FromString(event.data)
        )
        actor = f"event:{event.type}"
        with tracing.work(f"react {event.type}", event.traceparent):
            work = Work(self._process, self._process.time.now(), actor, actor, tx)
            for handler in handlers:
                await handler(heard, work)

    async def _fire(self, tx: Transaction, batch: int) -> int:
        now = self._process.time.now()
        by_kind = await sweep.take(tx, now, batch)
        for kind, due in by_kind.items():
            if kind in self._clocks:
                await self._clocks[kind](due, Work(self._process, now, f"clock:{kind}", f"clock:{kind}", tx))
        await tx.commit()
        for due in by_kind.values():
            figures.fired(due)
        return sum(len(due) for due in by_kind.values())

    async def _sweep_one_by_one(self) -> int:
        count = 0
        for _ in range(sweep.BATCH):
            tx = self._process.database.transaction()
            try:
                if not await self._fire(tx, 1):
                    return count
            except (psycopg.OperationalError, PoolTimeout):
                await tx.rollback()
                raise
            except Exception:
                await tx.rollback()
                await self._postpone_first()
                log.exception("clock failed, tried again in a minute")
            count += 1
        return count

    async def _postpone_first(self) -> None:
        """The clock that would be taken first is the one that has just failed."""
        tx = self._process.database.transaction()
        now = self._process.time.now()
        for due in (d for dues in (await sweep.take(tx, now, 1)).values() for d in dues):
            await tx.rollback()
            tx = self._process.database.transaction()
            tx.do(POSTPONE, {"id": due.id, "now": now})
        await tx.commit()


def _count(applied: list[_Received]) -> None:
    present = time.time()
    for event in applied:
        metrics.EVENTS_APPLIED.labels(event.type).inc()
        if (told := ids.born(event.id)) is not None:
            metrics.EVENT_SECONDS.labels(event.type).observe(max(present - told, 0))
