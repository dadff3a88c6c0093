"""Refuses early what cannot be served well: too many calls at once, or too many from one caller."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.settings import Settings
from closedloop_chassis.telemetry.metrics import RPC_REFUSED

CALLERS_REMEMBERED = 10_000
LOOK_SECONDS = 0.25
OVERLOADED = RPC_REFUSED.labels("OVERLOADED")
RATE_EXCEEDED = RPC_REFUSED.labels("RATE_EXCEEDED")


class Load:
    """What the process has taken on. Streams are counted apart: they live long and mostly wait."""

    def __init__(self, settings: Settings) -> None:
        self.most = settings.max_concurrent_calls
        self.running = {False: 0, True: 0}
        # Calls ever taken up, whatever became of them; those before `refused_until` are refused.
        self.arrived = 0
        self.refused_until = 0
        self._rate = settings.rate_per_caller
        # One second's worth may come at once.
        self._burst = max(self._rate, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def watch(self, backlog: Callable[[], int]) -> None:
        """Looks every moment how many wait outside: a handler that computes lets nobody in, so none seem to run."""
        while True:
            # Who has waited longest goes first: what is behind them would have waited in vain.
            self.refused_until = self.arrived + backlog() - self.most
            await asyncio.sleep(LOOK_SECONDS)

    def wait(self, subject: str) -> float:
        """Takes one call out of the caller's bucket and answers 0, or how many seconds until there is one again."""
        if self._rate <= 0:
            return 0.0
        now = time.monotonic()
        left, since = self._buckets.get(subject, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        allowed = left >= 1.0
        self._buckets[subject] = (left - 1.0 if allowed else left), now
        self._buckets.move_to_end(subject)
        if len(self._buckets) > CALLERS_REMEMBERED:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._rate


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    load, running, most, streams = edge.load, edge.load.running, edge.load.most, method.streams

    async def load_shedding(exchange: Exchange) -> bytes:
        if running[streams] >= most or load.arrived < load.refused_until:
            OVERLOADED.inc()
            raise errors.ResourceExhausted("OVERLOADED", "too many calls at once; try again", retry_after=0.5)
        wait = load.wait(exchange.caller.subject)
        if wait > 0:
            RATE_EXCEEDED.inc()
            raise errors.ResourceExhausted("RATE_EXCEEDED", "this caller calls too often", retry_after=max(wait, 0.01))
        running[streams] += 1
        try:
            return await following(exchange)
        finally:
            running[streams] -= 1

    return load_shedding
