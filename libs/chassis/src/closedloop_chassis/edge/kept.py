"""Answers a question that was answered before and whose answer still holds: what it asks was found sound then, and may be
asked by the same caller with the same roles under the same organisation. Whether it holds is asked of PostgreSQL as ever
(`closedloop_chassis.answers`)."""

from __future__ import annotations

from closedloop_chassis.contract import Method
from closedloop_chassis.edge import deadline
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    if method.mutates or method.streams:
        return following
    process, name = edge.process, method.full_name

    async def again(exchange: Exchange) -> bytes:
        caller = exchange.caller
        return await process.answers.again((name, exchange.payload, caller.subject, caller.roles)) or b""

    in_time = deadline.link(method, edge, again)

    async def kept(exchange: Exchange) -> bytes:
        # An empty one is made by its handler, as every other that does not hold.
        caller = exchange.caller
        if process.keeps((name, exchange.payload, caller.subject, caller.roles)) and (
            answer := await in_time(exchange)
        ):
            return answer
        return await following(exchange)

    return kept
