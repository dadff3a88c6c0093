"""Applies what the inbox holds, with the same guarantees as an RPC.

Events of one subject share a slot; whoever holds a slot's lock applies its events in order, so that any number of
workers and replicas may run. One whose predecessor is still on its way waits for it. A batch is one transaction, in
which a reaction made for it gets all events of its type at once. When a batch fails its halves are tried, and their
halves, until the guilty event is alone: it is put back with a delay and parked after its last attempt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
import structlog
from google.protobuf.message import Message
from psycopg_pool import PoolTimeout
from pydantic import Field

from closedloop_chassis import contract, errors, ids
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.errors import Overtaken
from closedloop_chassis.events import inbox
from closedloop_chassis.events.inbox import Received
from closedloop_chassis.events.waves import waves
from closedloop_chassis.rulebook.rules import Rules
from closedloop_chassis.service import Batch, Reaction, Single, Slice
from closedloop_chassis.telemetry import metrics, tracing
from closedloop_chassis.work import Heard, Work

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

log = structlog.get_logger(__name__)

# About as many events a worker applies in one transaction.
BATCH = 200
# Parsing so many events at a stretch must not stop the calls beside it.
BREATH = 50

# The database has undone one of two that stood in each other's way: nobody's fault, tried again at once.
COLLISIONS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    Overtaken,
)
AWAY = (psycopg.OperationalError, PoolTimeout)


class ReactorRules(Rules):
    """How often a failing event is tried before it is parked; delays double from `first_delay_seconds` up to 300."""

    rulebook: ClassVar[str] = "platform.reactor"

    attempts: int = Field(default=8, ge=1, le=50)
    first_delay_seconds: float = Field(default=0.5, gt=0, le=60)


class Drain:
    """`again(seconds)` is called when something wants to be tried again after so long."""

    def __init__(self, process: Process, slices: Iterable[Slice], again: Callable[[float], None]) -> None:
        self._process = process
        self._again = again
        self._workers = process.settings.reactor_workers
        self._events: dict[str, tuple[type[Message], list[Reaction]]] = {}
        for part in slices:
            for event_type, (message, handlers) in part.reactions.events.items():
                self._events.setdefault(event_type, (message, []))[1].extend(handlers)

    async def round(self) -> int:
        """Applies something of every slot that has something, each worker its share of the slots; answers how many."""
        slots = await inbox.filled(self._process.database.reader)
        shares = [share for n in range(self._workers) if (share := slots[n :: self._workers])]
        limit = max(BATCH // max(len(slots), 1), 1) * len(shares)
        done = await asyncio.gather(*(self._batch(share, limit) for share in shares), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome for outcome in done if isinstance(outcome, int))

    async def _batch(self, slots: Sequence[int], limit: int, only: Sequence[str] | None = None) -> int:
        """Applies a batch of the slots, or what is still due of `only`; answers how many it has dealt with."""
        tx = self._process.database.transaction()
        received: list[Received] = []
        try:
            # Another replica may have been faster, or an earlier event of a subject has just been put back.
            received = await inbox.take(tx, slots, limit, only)
            if not received:
                await tx.rollback()
                return 0
            for event_type, events in waves(received):
                await self._apply(event_type, events, tx)
            inbox.applied(tx, [event.id for event in received])
            await tx.commit()
        except COLLISIONS as error:
            await tx.rollback()
            log.info("stood in another's way, tried again", slots=slots, error=str(error).splitlines()[0])
            self._again(0.05)
            return 0
        except AWAY:
            await tx.rollback()
            raise
        except Exception as error:
            await tx.rollback()
            if len(received) == 1:
                await self._put_back(received[0], error)
                return 1
            log.debug("batch failed, trying its halves", error=repr(error), events=len(received))
            names = [event.id for event in received]
            half = len(names) // 2
            first = await self._batch(slots, limit, names[:half])
            return first + await self._batch(slots, limit, names[half:])
        except BaseException:
            await tx.rollback()
            raise
        _count(received)
        return len(received)

    async def _apply(self, event_type: str, events: list[Received], tx: Transaction) -> None:
        if event_type not in self._events:
            return
        message_class, handlers = self._events[event_type]
        route = contract.route(message_class)
        for event in events:
            if not route.may_come_from(event.source):
                raise errors.PermissionDenied("SOURCE_DIFFERS", f"{event.source} tells what only {route.owner} tells")
        singles = [handler for handler in handlers if isinstance(handler, Single)]
        if len(singles) < len(handlers):
            await self._apply_at_once(event_type, message_class, handlers, events, tx)
            return
        for event in events:
            heard = _heard(event, message_class)
            with tracing.work(f"react {event_type}", event.traceparent):
                work = self._work(event_type, tx)
                for handler in singles:
                    await handler.function(heard, work)

    async def _apply_at_once(
        self, event_type: str, message_class: type[Message], handlers: list[Reaction], events: list[Received], tx: Any
    ) -> None:
        heard: list[Heard[Any]] = []
        for position, event in enumerate(events):
            if position and position % BREATH == 0:
                await asyncio.sleep(0)
            heard.append(_heard(event, message_class))
        with tracing.together(f"react {event_type}", [event.traceparent for event in events]):
            work = self._work(event_type, tx)
            for handler in handlers:
                if isinstance(handler, Batch):
                    await handler.function(heard, work)
                else:
                    for one in heard:
                        await handler.function(one, work)

    def _work(self, event_type: str, tx: Transaction) -> Work:
        actor = f"event:{event_type}"
        return Work(self._process, self._process.time.now(), actor, actor, tx)

    async def _put_back(self, event: Received, error: Exception) -> None:
        rules = self._process.rulebooks.in_force(ReactorRules, self._process.time.now())
        tx = self._process.database.transaction()
        line = f"{type(error).__name__}: {error}".splitlines()[0][:500]
        delay = await inbox.failed(tx, event.id, line, rules.attempts, rules.first_delay_seconds)
        await tx.commit()
        if delay is not None:
            self._again(delay)
        log.warning("event failed", event_id=event.id, type=event.type, parked=delay is None, exc_info=error)
        metrics.EVENTS_FAILED.labels(event.type).inc()


def _heard(event: Received, message_class: type[Message]) -> Heard[Any]:
    message = message_class.FromString(event.data)
    return Heard(event.id, event.source, event.subject, event.time, event.sequence, message)


def _count(applied: list[Received]) -> None:
    present = time.time()
    for event in applied:
        metrics.EVENTS_APPLIED.labels(event.type).inc()
        if (told := ids.born(event.id)) is not None:
            metrics.EVENT_SECONDS.labels(event.type).observe(max(present - told, 0))
