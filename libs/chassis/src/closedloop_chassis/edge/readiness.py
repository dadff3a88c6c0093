"""Refuses calls until what a handler decides by is in memory: the organisation, the rulebooks, the schema.

Not every client asks after our health before it calls, and an answer out of an empty memory would be wrong, not late.
"""

from __future__ import annotations

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    ready = edge.process.ready

    async def readiness(exchange: Exchange) -> bytes:
        if not ready.is_set():
            raise errors.Unavailable("STARTING", "this server is starting; try again", retry_after=0.5)
        return await following(exchange)

    return readiness
