"""Fires clocks that are due and timers whose moment has come, by kind, each once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from closedloop_chassis.clocks import figures, sweep
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.service import ClockHandler, Slice, TimerHandler
from closedloop_chassis.telemetry import tracing
from closedloop_chassis.work import Work

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

log = structlog.get_logger(__name__)

AWAY = (psycopg.OperationalError, PoolTimeout)


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
        tx = self._process.database.transaction()
        try:
            return await self._fire(tx, sweep.BATCH)
        except AWAY:
            await tx.rollback()
            raise
        except Exception:
            await tx.rollback()
            log.exception("clock batch failed, firing one by one")
            return await self._one_by_one()
        except BaseException:
            # Stopped in the middle: what it held is free at once, and its connection goes back.
            await tx.rollback()
            raise

    async def _fire(self, tx: Transaction, batch: int) -> int:
        now = self._process.time.now()
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
        for due in taken.clocks.values():
            figures.fired(due)
        return taken.count

    def _work(self, actor: str, tx: Transaction, now: datetime) -> Work:
        return Work(self._process, now, actor, actor, tx)

    async def _one_by_one(self) -> int:
        count = 0
        for _ in range(sweep.BATCH):
            tx = self._process.database.transaction()
            try:
                if not await self._fire(tx, 1):
                    return count
            except AWAY:
                await tx.rollback()
                raise
            except Exception:
                await tx.rollback()
                await self._postpone_first()
                log.exception("clock failed, tried again in a minute")
            except BaseException:
                await tx.rollback()
                raise
            count += 1
        return count

    async def _postpone_first(self) -> None:
        """What would be taken first is what has just failed."""
        tx = self._process.database.transaction()
        now = self._process.time.now()
        taken = await sweep.take(tx, now, 1)
        await tx.rollback()
        tx = self._process.database.transaction()
        sweep.postpone(tx, taken, now)
        await tx.commit()
