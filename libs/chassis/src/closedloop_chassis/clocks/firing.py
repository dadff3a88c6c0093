"""Fires clocks that are due and timers whose moment has come, by kind, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from closedloop_chassis.clocks import figures, sweep
from closedloop_chassis.clocks.sweep import Taken
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.service import ClockHandler, Slice, TimerHandler
from closedloop_chassis.telemetry import tracing
from closedloop_chassis.work import Work

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

log = structlog.get_logger(__name__)

AWAY = (psycopg.OperationalError, PoolTimeout)
# Batches at work at once while many are due: PostgreSQL writes one while the next is prepared.
LANES = 2


class _Failed(Exception):
    """A handler raised; `taken` is free again."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken


class Firing:
    def __init__(self, process: Process, slices: Iterable[Slice]) -> None:
        self._process = process
        self._clocks: dict[str, ClockHandler] = {}
        self._timers: dict[str, TimerHandler] = {}
        for part in slices:
            self._clocks.update(part.reactions.clocks)
            self._timers.update(part.reactions.timers)

    async def round(self) -> int:
        """Fires one batch; answers how many clocks and timers."""
        try:
            return await self._fire(sweep.BATCH)
        except _Failed:
            log.exception("clock batch failed, firing one by one")
            return await self._one_by_one()

    async def rush(self) -> None:
        """Fires all that is due. Raises what a lane raised, once every lane has ended."""
        ended = await asyncio.gather(*(self._lane() for _ in range(LANES)), return_exceptions=True)
        for error in filter(None, ended):
            raise error

    async def _lane(self) -> None:
        while await self.round():
            pass

    async def _fire(self, batch: int) -> int:
        tx, now = self._process.database.transaction(), self._process.time.now()
        taken = sweep.NOTHING
        try:
            taken = await sweep.take(tx, now, batch)
            for kind, due in taken.clocks.items():
                if kind in self._clocks:
                    with tracing.work(f"clock {kind}"):
                        await self._clocks[kind](due, self._work(f"clock:{kind}", tx, now))
            for kind, rung in taken.timers.items():
                if kind in self._timers:
                    with tracing.work(f"timer {kind}"):
                        await self._timers[kind](rung, self._work(f"timer:{kind}", tx, now))
            await tx.commit()
        except AWAY:
            await tx.rollback()
            raise
        except Exception as error:
            await tx.rollback()
            raise _Failed(taken) from error
        except BaseException:
            # Stopped in the middle: what it held is free at once, and its connection goes back.
            await tx.rollback()
            raise
        figures.fired(taken.clocks)
        return taken.count

    def _work(self, actor: str, tx: Transaction, now: datetime) -> Work:
        return Work(self._process, now, actor, actor, tx)

    async def _one_by_one(self) -> int:
        count = 0
        for _ in range(sweep.BATCH):
            try:
                if not await self._fire(1):
                    return count
            except _Failed as failed:
                log.exception("clock failed, tried again in a minute")
                await self._postpone(failed.taken)
            count += 1
        return count

    async def _postpone(self, taken: Taken) -> None:
        tx = self._process.database.transaction()
        sweep.postpone(tx, taken, self._process.time.now())
        await tx.commit()
