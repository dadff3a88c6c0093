"""Applies the inbox, fires clocks and timers, and looks after itself, again and again until it is stopped.

Nothing is asked of the database while nothing happens: the courier rings when the inbox has filled, and a clock's time
is known in advance. Slow looks of its own stand behind both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from closedloop_chassis import bells
from closedloop_chassis.clocks import sweep
from closedloop_chassis.clocks.firing import Firing
from closedloop_chassis.events import upkeep
from closedloop_chassis.events.bells import Listener
from closedloop_chassis.events.drain import Drain

if TYPE_CHECKING:
    from closedloop_chassis.process import Process

log = structlog.get_logger(__name__)

# Between batches, so that small ones grow together instead of each paying for a round of its own.
GATHER = 0.003
# How long without a look where nobody can ring, and where somebody can.
DEAF, LISTENING = 0.25, 2.0
# Clocks are started elsewhere, too, and development time moves.
CLOCKS = 0.5
AFTER_FAILURE = 1.0


class Reactor:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._filled = process.inbox_filled
        self._drain = Drain(process, process.slices, self._again)
        self._firing = Firing(process, process.slices)
        name = f"closedloop-{process.service.name}"
        self._listener = Listener(process.settings.dsn, name, bells.INBOX, self._filled.set)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loops = {
            "inbox": self._repeat("inbox", self._next_inbox),
            "clocks": self._repeat("clocks", self._next_clocks),
            "listener": self._listener.run(),
            "upkeep": upkeep.run(self._process),
        }
        self._tasks = [asyncio.create_task(loop, name=name) for name, loop in loops.items()]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def listening(self) -> bool:
        """Whether a bell that rings now would be heard."""
        return self._listener.listening

    async def drain_inbox(self) -> int:
        """Applies one batch of every slot that has something; answers how many events."""
        return await self._drain.round()

    async def sweep_clocks(self) -> int:
        """Fires one batch of due clocks and timers; answers how many."""
        return await self._firing.round()

    async def sweep_all_clocks(self) -> None:
        """Fires all that is due; what fills a batch is more than one, and goes on in several at once."""
        if await self.sweep_clocks() >= sweep.BATCH:
            await self._firing.rush()

    async def _next_inbox(self) -> None:
        self._filled.clear()
        if await self.drain_inbox():
            self._filled.set()
            await asyncio.sleep(GATHER)
            return
        await _either(self._filled, LISTENING if self.listening else DEAF)

    async def _next_clocks(self) -> None:
        due = await sweep.next_due(self._process.database.reader)
        ahead = CLOCKS if due is None else (due - self._process.time.now()).total_seconds()
        if ahead > 0:
            await asyncio.sleep(min(ahead, CLOCKS))
        else:
            await self.sweep_all_clocks()

    async def _repeat(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except (psycopg.OperationalError, PoolTimeout) as error:
                log.warning("database away", loop=name, error=str(error).splitlines()[0] if str(error) else repr(error))
                await asyncio.sleep(AFTER_FAILURE)
            except Exception:
                log.exception("reactor step failed", loop=name)
                await asyncio.sleep(AFTER_FAILURE)

    def _again(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._filled.set)


async def _either(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
