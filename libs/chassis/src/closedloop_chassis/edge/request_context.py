"""Reads the call's metadata once, and makes the call known to the log."""

from __future__ import annotations

from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.telemetry.logs import facts


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    async def request_context(exchange: Exchange) -> bytes:
        exchange.metadata = dict(exchange.context.invocation_metadata() or ())
        # Every call runs in a task of its own, so nothing has to be put back.
        facts.set(exchange.facts)
        return await following(exchange)

    return request_context
