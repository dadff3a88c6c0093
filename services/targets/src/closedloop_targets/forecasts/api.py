"""ForecastService: statements, restatements, accuracy (S6)."""

from __future__ import annotations

from dataclasses import fields

from closedloop.targets.v1 import forecasts_pb2 as pb
from closedloop.targets.v1.plans_pb2 import TargetScope
from closedloop_chassis import enums, errors, pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import aggregation, company, holders, ledger
from closedloop_targets.forecasts import reading, shapes, stating, store
from closedloop_targets.forecasts.rpcs import rpcs
from closedloop_targets.forecasts.store import Forecast, Run
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import FiscalCalendar


@rpcs.method
async def list_forecasts(request: pb.ListForecastsRequest, call: Call) -> pb.ListForecastsResponse:
    metrics = call.rules(MetricRules)
    if request.unit_id:
        await company.unit(call, request.unit_id)
        if not request.include_below:
            call.authorize("", request.unit_id)
    kind, holder, product = pages.after(request, "", "", "")
    params = {
        "metric": metrics.metric(request.metric or metrics.main).code,
        "product_id": request.scope.product_id,
        "person_id": request.person_id,
        "unit_id": request.unit_id,
        "below": request.include_below,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else [],
        "as_of": protos.instant(request.as_of_time, "as_of_time") if request.HasField("as_of_time") else call.now,
        "key_kind": kind,
        "key_id": holder,
        "key_product": product,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.LATEST, params)
    page, token = pages.split(rows, request, lambda row: (row["holder_kind"], row["holder_id"], row["product_id"]))
    period = periods.parse(request.period, call.rules(FiscalCalendar)) if request.period else None
    known = [(Forecast(**{one.name: row[one.name] for one in fields(Forecast)}), row["previous"]) for row in page]
    today = call.home.today()
    asked = [
        ledger.Asked(one.holder_kind, one.holder_id, one.metric, start, end, one.product_id)  # type: ignore[arg-type]
        for one, _ in known
        for start, end in shapes.begun(one, today)
    ]
    actuals = iter(await ledger.figures(call, call.db, asked))
    goals = await reading.targets(call, call.db, [one for one, _ in known])
    return pb.ListForecastsResponse(
        forecasts=[
            shapes.forecast(
                one,
                previous or [],
                actuals,
                goals.get((one.holder_kind, one.holder_id, one.product_id), ()),
                today,
                period,
            )
            for one, previous in known
        ],
        next_page_token=token,
    )


@rpcs.method
async def restate_forecasts(request: pb.RestateForecastsRequest, call: Call) -> pb.ForecastRun:
    await company.unit(call, request.unit_id)
    call.authorize("", request.unit_id)
    metrics = [call.rules(MetricRules).metric(code).code for code in request.metrics]
    if means := [code for code in metrics if not aggregation.of(call, code).adds_up]:
        raise errors.InvalidArgument(
            "METRIC_NOT_SUMMED", f"months of {', '.join(means)} do not add up to a forecast", {"metrics": "not a sum"}
        )
    line = {*call.org.subtree(request.unit_id), *call.org.ancestry(request.unit_id)}
    if (running := await call.tx.value(store.RUNNING, {"units": sorted(line)})) is not None:
        raise errors.FailedPrecondition(
            "RESTATEMENT_RUNNING", "forecasts of this part are being restated", run_id=str(running)
        )
    run = await stating.begin(call, request.unit_id, metrics, call.caller.subject, request.reason)
    call.audit(f"unit:{request.unit_id}", "restate", after={"run": run.id, "series": run.series_total},
               business_action=request.reason)  # fmt: skip
    return _run(run)


@rpcs.method
async def get_forecast_run(request: pb.GetForecastRunRequest, call: Call) -> pb.ForecastRun:
    run = await call.db.one(store.RUN, {"id": request.run_id}, into=Run)
    if run is None:
        raise errors.NotFound("RUN_NOT_FOUND", f"there is no run {request.run_id}")
    call.authorize(run.requested_by, run.unit_id)
    return _run(run)


@rpcs.method
async def list_forecast_accuracy(
    request: pb.ListForecastAccuracyRequest, call: Call
) -> pb.ListForecastAccuracyResponse:
    metrics = call.rules(MetricRules)
    if request.unit_id:
        await company.unit(call, request.unit_id)
    key, kind, holder, product = pages.after(request, -float(2**60), "", "", "")
    params = {
        "metric": metrics.metric(request.metric or metrics.main).code,
        "product_id": request.scope.product_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "key": key,
        "key_kind": kind,
        "key_id": holder,
        "key_product": product,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.ACCURACY, params)
    page, token = pages.split(
        rows, request, lambda row: (float(-row["rank"]), row["holder_kind"], row["holder_id"], row["product_id"])
    )
    return pb.ListForecastAccuracyResponse(
        accuracies=[
            pb.ForecastAccuracy(
                holder=holders.to_proto(row["holder_kind"], row["holder_id"]),
                metric=row["metric"],
                scope=TargetScope(product_id=row["product_id"]),
                method=row["method"],
                mase=row["mase"],
                wape_ratio=row["wape"],
                coverage_ratio=row["coverage"],
                interval_ratio=row["interval_ratio"],
                fold_count=row["folds"],
                horizon_months=row["fold_months"],
                verdict=row["verdict"],
                test_time=protos.timestamp(row["stated_at"]),
                model_mase=row["model_mase"],
                model_coverage_ratio=row["model_coverage"],
                seasonal_naive_mase=row["plain_mase"],
                seasonal_naive_coverage_ratio=row["plain_coverage"],
            )
            for row in page
        ],
        next_page_token=token,
    )


def _run(run: Run) -> pb.ForecastRun:
    return pb.ForecastRun(
        id=run.id,
        state=enums.number(pb.ForecastRunState, run.state),
        unit_id=run.unit_id,
        series_total=run.series_total,
        series_done=run.series_done,
        series_naive=run.series_naive,
        series_failed=run.series_failed,
        requested_by=run.requested_by,
        start_time=protos.timestamp(run.started_at),
        end_time=protos.timestamp(run.ended_at),
        error=run.error,
    )


async def latest_of(call: Call, kind: str, holder_id: str, metric: str, product_id: str) -> pb.Forecast | None:
    """The latest statement with the one before it beside it."""
    params = {"kind": kind, "holder": holder_id, "metric": metric, "product": product_id}
    rows = await call.db.all(store.OF_SERIES, params, into=Forecast)
    if not rows:
        return None
    today = call.home.today()
    spans = shapes.begun(rows[0], today)
    asked = [ledger.Asked(kind, holder_id, metric, start, end, product_id) for start, end in spans]  # type: ignore[arg-type]
    actuals = iter(await ledger.figures(call, call.db, asked))
    goals = (await reading.targets(call, call.db, rows[:1])).get((kind, holder_id, product_id), ())
    return shapes.forecast(rows[0], rows[1].points if rows[1:] else [], actuals, goals, today, None)
