"""Counts and times every answer by its code, with the trace it can be looked up by."""

from __future__ import annotations

import asyncio
from time import perf_counter

from google.rpc.code_pb2 import Code
from prometheus_client import Histogram

from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler
from closedloop_chassis.telemetry.metrics import RPC_ACTIVE, RPC_SECONDS


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    by_code: dict[str, Histogram] = {"OK": RPC_SECONDS.labels(method.full_name, "OK")}
    active = RPC_ACTIVE.labels("stream" if method.streams else "unary")

    async def metrics(exchange: Exchange) -> bytes:
        began = perf_counter()
        code = "OK"
        active.inc()
        try:
            answer = await following(exchange)
            if exchange.refusal is not None:
                code = Code.Name(exchange.refusal.code)
            return answer
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        finally:
            active.dec()
            series = by_code.get(code)
            if series is None:
                series = by_code[code] = RPC_SECONDS.labels(method.full_name, code)
            span = exchange.span
            exemplar = {"trace_id": f"{span.get_span_context().trace_id:032x}"} if span is not None else None
            series.observe(perf_counter() - began, exemplar)

    return metrics
