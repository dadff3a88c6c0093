"""Continues the caller's trace, or begins one; a call that is not sampled only carries its context on."""

from __future__ import annotations

from google.rpc.code_pb2 import Code
from opentelemetry.trace import Status, StatusCode

from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.telemetry.tracing import enter, leave

# The codes that are the server's fault; the others are the caller's.
OURS = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS}
)


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    name = method.path[1:]
    attributes = {"rpc.system": "grpc", "rpc.service": method.service, "rpc.method": method.name}

    async def tracing(exchange: Exchange) -> bytes:
        entered = enter(name, exchange.header("traceparent"))
        if entered is None:
            return await following(exchange)
        exchange.span = span = entered[0]
        span.set_attributes(attributes)
        try:
            return await following(exchange)
        finally:
            span.set_attribute("enduser.id", exchange.caller.subject)
            refusal = exchange.refusal
            span.set_attribute("rpc.grpc.status_code", refusal.code if refusal else 0)
            if refusal is not None and refusal.code in OURS:
                span.set_status(Status(StatusCode.ERROR, refusal.message))
            leave(entered)

    return tracing
