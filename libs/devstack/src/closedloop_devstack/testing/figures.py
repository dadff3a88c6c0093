"""Walks a figure down to its rows, as `closedloop trace` does, and holds the rows to what they promise."""

from __future__ import annotations

from datetime import date, datetime
from math import isclose
from typing import Any

import grpc.aio

from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop.platform.v1.metrics_pb2_grpc import MetricServiceStub
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live


def metrics(live: Live, person: str = "ops", role: str = "operations") -> Any:
    return live.stub(MetricServiceStub, person, role)


async def traced(
    live: Live,
    name: str,
    first: date,
    last: date,
    *,
    who: tuple[str, str] = ("ops", "operations"),
    page_size: int = 0,
    at: datetime | None = None,
    **scope: str,
) -> pb.TraceMetricResponse:
    """The figure with the rows of all its pages, each once. Raises AssertionError unless they add up to it."""
    request = pb.TraceMetricRequest(
        name=name,
        scope=pb.MetricScope(**scope),
        start_date=protos.date_proto(first),
        end_date=protos.date_proto(last),
        at=protos.timestamp(at),
        page_size=page_size,
    )
    stub = metrics(live, *who)
    whole: pb.TraceMetricResponse = await stub.TraceMetric(request)
    while whole.next_page_token:
        request.page_token = whole.next_page_token
        page = await stub.TraceMetric(request)
        whole.rows.extend(page.rows)
        whole.next_page_token = page.next_page_token
    assert len(whole.rows) == whole.total_rows == len({(row.record_id, row.input) for row in whole.rows})
    added = sum(row.contribution for row in whole.rows)
    assert isclose(added, whole.total_contribution, rel_tol=1e-9, abs_tol=1e-9), (added, whole.total_contribution)
    if whole.HasField("value"):
        assert isclose(whole.value, added, rel_tol=1e-9, abs_tol=1e-9), (whole.value, added)
    return whole


# What a scope of each kind is asked by; of records there need be none, of words of a rulebook there are these.
ANYBODY: dict[str, dict[str, Any]] = {
    "person": {"person_id": "rep1"},
    "account": {"account_id": "0190a000-0000-7000-8000-00000000ffff"},
    "product": {"product_id": "p"},
    "channel": {"channel": "mail"},
    "pipeline": {"pipeline_id": "b2b"},
    "stage": {"stage_key": "need"},
    "kind": {"kind": "k"},
}


async def every_figure(live: Live, unit_id: str) -> list[str]:
    """Asks for every figure of the catalogue in every scope it names, of today; answers their names. Raises AssertionError
    where one breaks."""
    stub = metrics(live)
    day = live.process.home(live.now).today()
    names = []
    request = pb.ListMetricsRequest(page_size=1000)
    for metric in (await stub.ListMetrics(request)).metrics:
        names.append(metric.name)
        scopes: dict[str, dict[str, Any]] = {**ANYBODY, "unit": {"unit_id": unit_id}}
        asked: list[dict[str, Any]] = [{}, *(scopes[name] for name in metric.scopes)]
        for scope in asked:
            try:
                await traced(live, metric.name, day, day, **scope)
            except grpc.aio.AioRpcError as error:
                # Some are asked of somebody that is there.
                if error.code().name not in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"):
                    raise AssertionError(f"{metric.name} {scope}: {error.details()}") from error
    return names
