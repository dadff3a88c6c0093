"""How a server leaves: told NOT_SERVING first, then no new calls, then those under way, then everything else.

await drain.terminated(settings).wait()
await drain.drain(server, settings, process.close)
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from closedloop_chassis import errors
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry import tracing
from closedloop_chassis.telemetry.logs import logger

if TYPE_CHECKING:
    from closedloop_chassis.edge.server import EdgeServer

log = logger(__name__)

# Long enough for clients to have heard NOT_SERVING and gone elsewhere.
LINGER_SECONDS = 0.5
CLOSE_SECONDS = 2.0
# After all of the above something hangs that must not: leave anyway, and say so by the exit status.
OVERDUE_SECONDS = 4.5


class Streams:
    """The server streams under way. Some never end by themselves; they are ended when the server leaves."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[Any]] = set()
        self._cut = False

    @contextmanager
    def open(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if self._cut:
                raise _draining()
            yield
        except asyncio.CancelledError as error:
            if not self._cut:
                raise
            task.uncancel()
            raise _draining() from error
        finally:
            self._open.discard(task)

    def cut(self) -> None:
        """Every open stream ends with UNAVAILABLE: its caller connects again, elsewhere."""
        self._cut = True
        for task in self._open:
            task.cancel()


def terminated(settings: Settings) -> asyncio.Event:
    """Set by SIGTERM or SIGINT. From then on the process ends within `drain_seconds` + 4.5 s, come what may."""
    event = asyncio.Event()

    def leave() -> None:
        if not event.is_set():
            watchdog = threading.Timer(settings.drain_seconds + OVERDUE_SECONDS, os._exit, (1,))
            watchdog.daemon = True
            watchdog.start()
        event.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    return event


async def drain(server: EdgeServer, settings: Settings, close: Callable[[], Awaitable[None]]) -> None:
    """Returns when all is closed, at most about `drain_seconds` + 2 s later; `close` closes pools and channels."""
    began = time.monotonic()
    log.info("draining")
    await server.health.enter_graceful_shutdown()
    linger = min(LINGER_SECONDS, settings.drain_seconds)
    await asyncio.sleep(linger)
    server.health.end_watches()
    grace = settings.drain_seconds - linger
    # Streams that end by themselves get half the time to do so.
    cut = asyncio.get_running_loop().call_later(grace / 2, server.streams.cut)
    await server.stop(grace)
    cut.cancel()
    await asyncio.gather(_within(CLOSE_SECONDS, close()), asyncio.to_thread(tracing.stop))
    log.info("drained", seconds=round(time.monotonic() - began, 3))


async def _within(seconds: float, closing: Awaitable[None]) -> None:
    """Not wait_for: that waits for the cancelled, too, and what hangs may not even hear of it."""
    task = asyncio.ensure_future(closing)
    done, _ = await asyncio.wait([task], timeout=seconds)
    if not done:
        task.cancel()
        log.warning("gave up closing", seconds=seconds)
    elif (error := task.exception()) is not None:
        log.warning("could not close", exc_info=error)


def _draining() -> errors.Unavailable:
    return errors.Unavailable("DRAINING", "this server is leaving; connect again", retry_after=0.1)
