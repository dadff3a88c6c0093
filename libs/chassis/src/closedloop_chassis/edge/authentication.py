"""Finds out who calls, from the bearer token."""

from __future__ import annotations

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    tokens = edge.tokens

    async def authentication(exchange: Exchange) -> bytes:
        scheme, _, token = exchange.header("authorization").partition(" ")
        if not token or scheme.lower() != "bearer":
            raise errors.Unauthenticated("TOKEN_MISSING", 'send a token: metadata "authorization: Bearer …"')
        exchange.caller = tokens.known(token) or await tokens.verify(token)
        return await following(exchange)

    return authentication
