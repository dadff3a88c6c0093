"""Walks a figure down to its rows, as `closedloop trace` does, and holds the rows to what they promise."""

from __future__ import annotations

from datetime import date, datetime
from math import isclose
from typing import Any

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
