"""The chain every RPC passes, outermost first. Composed once per method when the server starts."""

from __future__ import annotations

from collections.abc import Iterable

from closedloop_chassis import errors
from closedloop_chassis.contract import Method
from closedloop_chassis.edge import (
    authentication,
    authorization,
    deadline,
    kept,
    load_shedding,
    metrics,
    readiness,
    refusals,
    request_context,
    tracing,
    unit_of_work,
    validation,
)
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler, Link
from closedloop_chassis.service import RpcHandler, StreamHandler

# Who may come in at all...
GATE: tuple[Link, ...] = (
    request_context.link,
    tracing.link,
    metrics.link,
    refusals.link,
    readiness.link,
    authentication.link,
    authorization.link,
    load_shedding.link,
)
# ...and the work itself.
WORK: tuple[Link, ...] = (
    kept.link,
    validation.link,
    deadline.link,
)
CHAIN = GATE + WORK


def compose(method: Method, edge: Edge, serve: RpcHandler | StreamHandler | None) -> Handler:
    """The handler of one RPC: `serve` behind the whole chain, or without one a refusal behind the gate."""
    if serve is None:
        return _linked(GATE, method, edge, _not_served)
    return _linked(CHAIN, method, edge, unit_of_work.innermost(method, edge, serve))


def _linked(links: Iterable[Link], method: Method, edge: Edge, handler: Handler) -> Handler:
    for link in reversed(tuple(links)):
        handler = link(method, edge, handler)
    return handler


async def _not_served(exchange: Exchange) -> bytes:
    raise errors.Unimplemented("NOT_SERVED", f"this release does not serve {exchange.method.full_name} yet")
