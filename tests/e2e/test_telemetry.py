"""Every process shows its metrics, and one trace runs through calls and events of several services."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from http.client import HTTPConnection

import grpc
import grpc.aio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from closedloop.customers.v1 import leads_pb2, leads_pb2_grpc
from closedloop_proofs import loop
from closedloop_proofs.loop import Stage

from .collector import Collector, SpanSeen

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
    "closedloop_calendar_known_seconds",
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
    "closedloop_clocks_open",
    "closedloop_clock_oldest_overdue_seconds",
}
# Everybody answers calls and applies events; whose clocks run in a turn of the loop.
COUNTED = ("closedloop_rpc_seconds_count", "closedloop_events_applied_total", "closedloop_event_delivery_seconds_count")
CARRIED = ("closedloop_courier_broker_up", "closedloop_courier_relayed_total", "closedloop_courier_received_total",
           "closedloop_courier_receipts_total")  # fmt: skip
TIMED = {"customers": "customers.first_response", "approvals": "approvals.decision", "funnel": "funnel.stage_dwell"}


async def test_metrics_of_all_ten(over_rabbitmq: Stage) -> None:
    stage = over_rabbitmq
    # Targets tells of products, everybody else has something to tell in a turn.
    await loop.bring_product(stage, f"NEW-{random.getrandbits(32)}")
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
    trace = f"{random.getrandbits(128):032x}"
    stage.traceparent = f"00-{trace}-{random.getrandbits(64):016x}-01"
    turn = await loop.play(stage, loop.new_turn())
    assert turn.complete

    async def joined() -> bool:
        seen = {span.process for span in collector.spans() if span.trace == trace}
        return seen >= {f"{service}.{role}" for service in stage.services for role in ("api", "courier")}

    await stage.until("all ten processes in one trace", joined, seconds=20)
    spans = {span.span: span for span in collector.spans() if span.trace == trace}
    reactions = [span for span in spans.values() if span.name.startswith("react ")]
    # From an effect up to its cause in another service's api.
    ways = [_way_up(span, spans) for span in reactions]
    assert any({"customers.api", "funnel.api"} <= set(way) for way in ways), ways[:10]


def _way_up(span: SpanSeen, spans: dict[str, SpanSeen]) -> list[str]:
    """The processes passed from this span to the root of what is known."""
    way = [span.process]
    while above := spans.get(span.parent):
        span = above
        way.append(span.process)
    return way


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
