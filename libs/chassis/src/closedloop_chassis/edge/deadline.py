"""Gives a call as long as its caller waits, and no longer than its contract allows."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.telemetry.metrics import RPC_REFUSED

# Left for the answer's way back.
MARGIN_SECONDS = 0.01
DEADLINE_SPENT = RPC_REFUSED.labels("DEADLINE_SPENT")

# When the call at hand ends, on time.monotonic(); calls to other services made within it end before. 0: no such call.
expires: ContextVar[float] = ContextVar("expires", default=0.0)


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    cap = method.deadline
    if cap <= 0:
        raise LookupError(f"{method.full_name} declares no deadline")

    async def deadline(exchange: Exchange) -> bytes:
        remaining = exchange.context.time_remaining()
        budget = cap if remaining is None else min(remaining - MARGIN_SECONDS, cap)
        if budget <= 0:
            DEADLINE_SPENT.inc()
            raise errors.DeadlineExceeded("DEADLINE_SPENT", "the deadline was spent before the work began")
        exchange.expires = time.monotonic() + budget
        expires.set(exchange.expires)
        try:
            async with asyncio.timeout(budget) as limit:
                return await following(exchange)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise errors.DeadlineExceeded("DEADLINE_EXCEEDED", f"not done within {budget:.3f} s") from error

    return deadline
