"""The rows behind a number, and the numbers (S79, U7)."""

from __future__ import annotations

from datetime import date
from typing import Any

from closedloop.targets.v1 import actuals_pb2 as pb
from closedloop.targets.v1 import metrics_pb2
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.work import Call, Scope
from closedloop_targets import aggregation, company, money
from closedloop_targets.actuals import shapes, store
from closedloop_targets.actuals.rpcs import rpcs
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar, Grain
from closedloop_targets.products.rules import ProductRules

LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff"

MATCHING = (
    """
       (cardinality(%(metrics)s::text[]) = 0 OR metric = ANY(%(metrics)s))
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(person_id)s = '' OR owner_id = %(person_id)s)
   AND %(product_id)s IN ('', product_id) AND %(product_line)s IN ('', product_line) AND %(segment)s IN ('', segment)
   AND %(account_id)s IN ('', account_id) AND %(subject)s IN ('', subject) AND %(source)s IN ('', source)
   AND date BETWEEN coalesce(%(since)s::date, '-infinity') AND coalesce(%(until)s::date, 'infinity')
   AND recorded_at <= %(as_of)s AND """
    + Scope.SQL
)

LIST = (
    "SELECT * FROM actual WHERE "
    + MATCHING
    + " AND (date, id) < (%(before)s::date, %(before_id)s::uuid) ORDER BY date DESC, id DESC LIMIT %(limit)s"
)
SPAN = "SELECT min(date) AS first, max(date) AS last FROM actual WHERE " + MATCHING

# What was taken back by then counts nowhere, nor does the row that took it back.
FIGURE = aggregation.values("metric", "fact", live="true")
SUMS = """
WITH fact AS (
    SELECT * FROM actual WHERE {matching} AND reverses_id IS NULL AND (reversed_at IS NULL OR reversed_at > %(as_of)s)
), grouped AS (
    SELECT metric, ARRAY[{keys}]::text[] AS keys, max(base_currency) FILTER (WHERE currency <> '') AS currency,
           {figure} AS figure,
           round(sum(base_minor * coalesce(stages.weight_of, 1)))::text AS weighed, count(*) AS row_count
      FROM fact
      LEFT JOIN unnest(%(stages)s::text[], %(stage_weights)s::numeric[]) AS stages (name, weight_of)
          ON stages.name = fact.stage
      {joins}
     GROUP BY 1, 2
)
SELECT * FROM grouped WHERE metric COLLATE "C" > %(after)s OR (metric = %(after)s
    AND keys COLLATE "C" > %(after_keys)s::text[])
 ORDER BY metric COLLATE "C", keys COLLATE "C" LIMIT %(limit)s
"""
KEYS = {
    pb.ACTUAL_DIMENSION_UNIT: "tree.above",
    pb.ACTUAL_DIMENSION_PERSON: "owner_id",
    pb.ACTUAL_DIMENSION_PRODUCT: "product_id",
    pb.ACTUAL_DIMENSION_PRODUCT_LINE: "product_line",
    pb.ACTUAL_DIMENSION_ACCOUNT: "account_id",
    pb.ACTUAL_DIMENSION_MONTH: "month.code",
    pb.ACTUAL_DIMENSION_WEEK: "week.code",
    pb.ACTUAL_DIMENSION_SOURCE: "source",
}
TREE = " JOIN unnest(%(above)s::text[], %(below)s::text[]) AS tree (above, below) ON tree.below = fact.unit_id"
PERIODS = (
    " JOIN unnest(%({grain}_codes)s::text[], %({grain}_starts)s::date[], %({grain}_ends)s::date[])"
    " AS {grain} (code, first, last) ON fact.date BETWEEN {grain}.first AND {grain}.last"
)


@rpcs.method
async def list_actuals(request: pb.ListActualsRequest, call: Call) -> pb.ListActualsResponse:
    before, before_id = pages.after(request, "infinity", LAST)
    params = await _filter(call, request.filter)
    rows = await call.db.all(
        LIST, {**params, "before": before, "before_id": before_id, "limit": pages.size(request) + 1}
    )
    page, token = pages.split(
        [store.row(row) for row in rows], request, lambda row: (row.fact.date.isoformat(), row.id)
    )
    return pb.ListActualsResponse(actuals=[shapes.actual(row) for row in page], next_page_token=token)


@rpcs.method
async def summarize_actuals(request: pb.SummarizeActualsRequest, call: Call) -> pb.SummarizeActualsResponse:
    params = await _filter(call, request.filter)
    if not params["metrics"]:
        raise errors.InvalidArgument("METRICS_MISSING", "name one metric at least", {"filter.metrics": "is needed"})
    shown = await money.shown(call, call.db, request.currency_code)
    dimensions = list(request.group_by)
    joins = ""
    if pb.ACTUAL_DIMENSION_UNIT in dimensions:
        joins += TREE
        top = call.home.root
        below = (
            call.org.subtree(request.filter.unit_id)
            if request.filter.unit_id
            else frozenset(call.org.units)
            if top
            else ()
        )
        params |= company.closure(call.org, sorted(below))
    for dimension, grain in ((pb.ACTUAL_DIMENSION_MONTH, "month"), (pb.ACTUAL_DIMENSION_WEEK, "week")):
        if dimension in dimensions:
            joins += PERIODS.format(grain=grain)
            params |= await _periods(call, params, grain)  # type: ignore[arg-type]
    weights = call.rules(ProductRules).stage_weights
    params |= {"stages": list(weights), "stage_weights": list(weights.values()), "limit": pages.size(request) + 1}
    after, after_keys = pages.after(request, "", [])
    sql = SUMS.format(matching=MATCHING, figure=FIGURE, keys=", ".join(KEYS[one] for one in dimensions), joins=joins)
    params |= aggregation.manners(call)
    rows = await call.db.all(sql, {**params, "after": after, "after_keys": after_keys})
    page, token = pages.split(rows, request, lambda row: (row["metric"], row["keys"]))
    return pb.SummarizeActualsResponse(sums=[_sum(call, row, shown) for row in page], next_page_token=token)


async def _filter(call: Call, given: pb.ActualFilter) -> dict[str, Any]:
    catalogue, calendar = call.rules(MetricRules), call.rules(FiscalCalendar)
    metrics = [catalogue.metric(code).code for code in given.metrics]
    if given.track:
        track = metrics_pb2.Track.Name(given.track).removeprefix("TRACK_").lower()
        of_track = [metric.code for metric in catalogue.metrics if metric.track == track]
        metrics = [code for code in metrics or of_track if code in of_track] or [""]
    if given.unit_id:
        await company.unit(call, given.unit_id)
    period = periods.parse(given.period, calendar) if given.period else None
    return {
        "metrics": metrics,
        "units": list(call.org.subtree(given.unit_id)) if given.unit_id else None,
        "person_id": given.person_id,
        "product_id": given.scope.product_id,
        "product_line": given.scope.product_line,
        "segment": given.scope.segment,
        "account_id": given.account_id,
        "subject": given.subject,
        "source": given.source,
        "since": period.start if period else None,
        "until": period.end if period else None,
        "as_of": protos.instant(given.as_of_time, "filter.as_of_time") if given.HasField("as_of_time") else call.now,
        **call.scope.params,
    }


async def _periods(call: Call, params: dict[str, Any], grain: Grain) -> dict[str, Any]:
    """The periods of the grain over the days asked about, or over all there are."""
    first: date | None = params["since"]
    last: date | None = params["until"]
    if first is None or last is None:
        span = await call.db.one(SPAN, params) or {}
        first, last = span.get("first"), span.get("last")
    calendar = call.rules(FiscalCalendar)
    parts = periods.split(periods.Period("", "custom", first, last), grain, calendar) if first and last else []
    return {
        f"{grain}_codes": [part.code for part in parts],
        f"{grain}_starts": [part.start for part in parts],
        f"{grain}_ends": [part.end for part in parts],
    }


def _sum(call: Call, row: dict[str, Any], shown: money.Shown) -> pb.ActualSum:
    minor, currency = row["figure"] or 0, row["currency"] or ""
    weighed = shown.amount(int(row["weighed"]), currency) if currency else None
    return pb.ActualSum(
        metric=row["metric"],
        keys=row["keys"],
        amount=shown.amount(minor, currency),
        stage_weighted_amount=weighed,
        row_count=row["row_count"],
    )
