"""What the market is expected to do (S5, S6)."""

from __future__ import annotations

from dataclasses import asdict

from psycopg.types.json import Jsonb

from closedloop.targets.v1 import forecasts_pb2 as pb
from closedloop.targets.v1.plans_pb2 import TargetScope
from closedloop_chassis import errors, ids, pages, protos, provenance
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.forecasts import store
from closedloop_targets.forecasts.rpcs import rpcs
from closedloop_targets.forecasts.store import Trend
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import FiscalCalendar

LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"
PRODUCT = "SELECT EXISTS (SELECT FROM product WHERE id = %(id)s)"


@rpcs.method
async def record_market_trend(request: pb.RecordMarketTrendRequest, call: Call) -> pb.MarketTrend:
    await company.unit(call, request.unit_id)
    call.authorize("", request.unit_id)
    if request.scope.product_id and not await call.tx.value(PRODUCT, {"id": request.scope.product_id}):
        raise errors.NotFound("PRODUCT_NOT_FOUND", f"there is no product {request.scope.product_id}")
    period = periods.parse(request.period, call.rules(FiscalCalendar))
    trend = Trend(
        id=ids.new_id(),
        unit_id=request.unit_id,
        product_id=request.scope.product_id,
        product_line=request.scope.product_line,
        segment=request.scope.segment,
        period=period.code,
        start_date=period.start,
        end_date=period.end,
        growth_ratio=request.growth_ratio,
        reason=request.reason,
        author_id=call.caller.subject,
        provenance=provenance.keep(request.provenance, call.actor),
        recorded_at=call.now,
        superseded_by="",
    )
    params = {**asdict(trend), "supersedes_id": request.supersedes_id, "provenance": Jsonb(trend.provenance)}
    call.tx.do(store.LOCK_TRENDS, {})
    if (other := await call.tx.value(store.OVERLAPPING, params)) is not None:
        raise errors.FailedPrecondition(
            "TREND_OVERLAPS",
            f"a trend of {request.unit_id} covers part of {period.code}; supersede it",
            trend_id=str(other),
        )
    if request.supersedes_id and await call.tx.value(store.SUPERSEDE, params) is None:
        raise errors.NotFound("TREND_NOT_FOUND", f"there is no trend {request.supersedes_id} that still stands")
    call.tx.do(store.ADD_TREND, params)
    call.audit(
        f"unit:{request.unit_id}",
        "market_trend",
        after={"period": period.code, "growth_ratio": request.growth_ratio, "supersedes": request.supersedes_id},
        business_action=request.reason,
    )
    return _to_proto(trend)


@rpcs.method
async def list_market_trends(request: pb.ListMarketTrendsRequest, call: Call) -> pb.ListMarketTrendsResponse:
    (before,) = pages.after(request, LAST)
    if request.unit_id:
        await company.unit(call, request.unit_id)
    period = periods.parse(request.period, call.rules(FiscalCalendar)) if request.period else None
    params = {
        "before": before,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "product_id": request.scope.product_id,
        "everything": request.include_superseded,
        "since": period.start if period else None,
        "until": period.end if period else None,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LIST_TRENDS, params, into=Trend)
    page, token = pages.split(rows, request, lambda row: (row.id,))
    return pb.ListMarketTrendsResponse(trends=[_to_proto(row) for row in page], next_page_token=token)


def _to_proto(row: Trend) -> pb.MarketTrend:
    return pb.MarketTrend(
        id=row.id,
        unit_id=row.unit_id,
        scope=TargetScope(product_id=row.product_id, product_line=row.product_line, segment=row.segment),
        period=period_shapes.stored(row.period, "custom", row.start_date, row.end_date),
        growth_ratio=row.growth_ratio,
        reason=row.reason,
        author_id=row.author_id,
        provenance=provenance.to_proto(row.provenance),
        record_time=protos.timestamp(row.recorded_at),
        superseded_by=row.superseded_by,
    )
