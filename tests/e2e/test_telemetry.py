"""Every process shows its metrics, and one trace runs through calls and events of several services."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from http.client import HTTPConnection

import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from closedloop.customers.v1 import leads_pb2, leads_pb2_grpc

from . import loop
from .collector import Collector
from .loop import Stage

API = {
    "closedloop_rpc_seconds",
    "closedloop_rpc_active",
    "closedloop_rpc_refused",
    "closedloop_pool_connections",
    "closedloop_outbox_backlog",
    "closedloop_outbox_lag_seconds",
    "closedloop_inbox_backlog",
    "closedloop_inbox_lag_seconds",
    "closedloop_inbox_parked",
    "closedloop_events_applied",
    "closedloop_event_delivery_seconds",
    "closedloop_clocks_open",
    "closedloop_clocks_met",
    "closedloop_clocks_breached",
    "closedloop_clock_oldest_overdue_seconds",
    "closedloop_clock_time_to_meet_seconds",
}
COURIER = {
    "closedloop_courier_broker_up",
    "closedloop_courier_relayed",
    "closedloop_courier_received",
    "closedloop_courier_receipts",
    "closedloop_courier_batch_size",
    "closedloop_courier_batch_seconds",
    "closedloop_courier_link_up",
}
# Everybody answers calls and applies events; whose clocks run in a turn of the loop.
COUNTED = ("closedloop_rpc_seconds_count", "closedloop_events_applied_total", "closedloop_event_delivery_seconds_count")
CARRIED = ("closedloop_courier_broker_up", "closedloop_courier_relayed_total", "closedloop_courier_received_total",
           "closedloop_courier_receipts_total")  # fmt: skip
TIMED = {"customers": "customers.first_response", "approvals": "approvals.decision", "funnel": "funnel.stage_dwell"}


async def test_metrics_of_all_ten(stage: Stage) -> None:
    await loop.expect_once(stage, [await loop.play(stage, loop.new_turn())])
    # Figures that are read from the database are renewed every few seconds.
    await asyncio.sleep(1)
    lacking: list[str] = []
    for process in stage.platform.processes.values():
        port = stage.platform.layout.ports(process.service).metrics(process.role)
        families, sums = await asyncio.to_thread(_scrape, port)
        owed, counted = (API, COUNTED) if process.role == "api" else (COURIER, CARRIED)
        lacking += [f"{process.name} lacks {name}" for name in sorted(owed - families)]
        lacking += [f"{process.name} counts no {name}" for name in counted if not sums[name, ""]]
        if process.role == "api" and process.service in TIMED:
            kind = TIMED[process.service]
            moved = sums["closedloop_clocks_met_total", kind] + sums["closedloop_clocks_open", kind]
            lacking += [] if moved else [f"{process.name} counts no clock {kind}"]
    assert not lacking, "\n".join(lacking)


async def test_errors_are_counted_by_code(over_redis: Stage) -> None:
    port = over_redis.platform.layout.ports("customers").api_metrics
    before = (await asyncio.to_thread(_scrape, port))[1]["closedloop_rpc_seconds_count", "NOT_FOUND"]
    get = leads_pb2.GetLeadRequest(id="0190a000-0000-7000-8000-00000000ffff")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await over_redis.once(leads_pb2_grpc.LeadServiceStub, "GetLead", get, loop.OPERATIONS)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    after = (await asyncio.to_thread(_scrape, port))[1]["closedloop_rpc_seconds_count", "NOT_FOUND"]
    assert after == before + 1


async def test_one_trace_from_call_to_reaction(stage: Stage, collector: Collector) -> None:
    """customers' api tells, its courier carries, others' couriers receive and their reactors apply: one trace."""
    turn = await loop.play(stage, loop.new_turn())
    assert turn.complete

    async def joined() -> list[set[str]] | None:
        by_trace: dict[str, set[str]] = defaultdict(set)
        for span in collector.spans():
            by_trace[span.trace].add(span.process)
        found = [
            processes
            for processes in by_trace.values()
            if {"customers.api", "customers.courier"} <= processes
            and processes & {"targets.api", "funnel.api", "approvals.api"}
        ]
        return found or None

    traces = await stage.until("a trace through several services", joined, seconds=20)
    assert traces
    spans = collector.spans()
    known = {span.span for span in spans}
    reactions = [span for span in spans if span.name.startswith("react ") and span.parent]
    assert reactions
    # What reacts hangs below what told: the parent of most is among the spans that were sent.
    assert sum(span.parent in known for span in reactions) > len(reactions) / 2


def _scrape(port: int) -> tuple[set[str], dict[tuple[str, str], float]]:
    """The families shown, and samples added up: whole, per clock kind and per gRPC code."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/metrics", headers={"accept": "text/plain"})
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    families: set[str] = set()
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        families.add(family.name)
        for sample in family.samples:
            for label in _labels(sample.labels):
                sums[sample.name, label] += sample.value
    return families, sums


def _labels(labels: dict[str, str]) -> Iterator[str]:
    yield ""
    yield from (labels[name] for name in ("kind", "code") if name in labels)
