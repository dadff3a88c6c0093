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
        task, spent = asyncio.current_task(), False
        assert task is not None
        cancelling = task.cancelling()

        def expire() -> None:
            nonlocal spent
            spent = True
            task.cancel()

        # What asyncio.timeout does, at a third of its price.
        timer = asyncio.get_running_loop().call_later(budget, expire)
        try:
            return await following(exchange)
        except asyncio.CancelledError as error:
            # Whoever else wants it to end is obeyed.
            if not spent or task.uncancel() > cancelling:
                raise
            raise errors.DeadlineExceeded("DEADLINE_EXCEEDED", f"not done within {budget:.3f} s") from error
        finally:
            timer.cancel()

    return deadline
