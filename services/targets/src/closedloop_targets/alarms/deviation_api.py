"""Actual against forecast, week by week; and before against after (S14, S20)."""

from __future__ import annotations

from closedloop.targets.v1 import alarms_pb2 as pb
from closedloop_chassis import pages
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.alarms import comparison, shapes, store
from closedloop_targets.alarms.rpcs import rpcs
from closedloop_targets.alarms.rules import AlarmRules
from closedloop_targets.metrics.rules import MetricRules
from closedloop_targets.periods import rules as periods
from closedloop_targets.periods.rules import DAY, FiscalCalendar, Period


@rpcs.method
async def list_deviations(request: pb.ListDeviationsRequest, call: Call) -> pb.ListDeviationsResponse:
    metrics, calendar = call.rules(MetricRules), call.rules(FiscalCalendar)
    if request.unit_id:
        await company.unit(call, request.unit_id)
        if not request.include_below:
            call.authorize("", request.unit_id)
    if request.person_id:
        await company.person(call, request.person_id)
    this_week = periods.containing(call.home.today(), "week", calendar)
    period = (
        periods.parse(request.period, calendar)
        if request.period
        else periods.containing(this_week.start - DAY, "week", calendar)
    )
    key, kind, holder, start = pages.after(request, -float(2**60), "", "", "-infinity")
    params = {
        "metric": metrics.metric(request.metric or metrics.main).code,
        "since": period.start,
        "until": period.end,
        "light": max(request.light - 1, 0),
        "person_id": request.person_id,
        "unit_id": request.unit_id,
        "below": request.include_below,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else [],
        "key": key,
        "key_kind": kind,
        "key_id": holder,
        "key_start": start,
        "limit": pages.size(request) + 1,
        **call.scope.params,
    }
    rows = await call.db.all(store.DEVIATIONS, params)
    page, token = pages.split(
        rows,
        request,
        lambda row: (-abs(row["deviation_ratio"]), row["holder_kind"], row["holder_id"], row["start_date"].isoformat()),
    )
    return pb.ListDeviationsResponse(deviations=[shapes.deviation(row) for row in page], next_page_token=token)


@rpcs.method
async def compare_deviation(request: pb.CompareDeviationRequest, call: Call) -> pb.DeviationComparison:
    metrics, calendar = call.rules(MetricRules), call.rules(FiscalCalendar)
    metric = metrics.metric(request.metric or metrics.main).code
    top = call.home.root
    unit_id = request.unit_id or (top.id if top else "")
    await company.unit(call, unit_id)
    call.authorize("", unit_id)
    sides, weeks = [], []
    for code in (request.before, request.after):
        period = periods.parse(code, calendar)
        params = {
            "metric": metric,
            "units": list(call.org.subtree(unit_id)),
            "since": period.start,
            "until": period.end,
        }
        rows = await call.db.all(store.WEEKS, params)
        warned = [row["seconds"] for row in await call.db.all(store.RESPONSES, params)]
        answered = [seconds for seconds in warned if seconds is not None]
        flat = [one for row in rows for one in row["deviations"]]
        sides.append((period, flat, comparison.span(flat, answered, len(warned) - len(answered))))
        for row in rows:
            week = Period(row["period"], "week", row["start_date"], row["end_date"])
            weeks.append(shapes.span(week, comparison.span(row["deviations"], [], 0)))
    (before, was, was_span), (after, now, now_span) = sides
    (place,) = pages.after(request, -1)
    numbered = [one for one in enumerate(weeks) if one[0] > place][: pages.size(request) + 1]
    page, token = pages.split(numbered, request, lambda one: (one[0],))
    allowed = call.rules(AlarmRules)
    change = comparison.change(was, now, allowed.comparison_sample, allowed.confidence)
    return pb.DeviationComparison(
        before=shapes.span(before, was_span),
        after=shapes.span(after, now_span),
        change_ratio=change.ratio,
        lower_ratio=change.lower,
        upper_ratio=change.upper,
        verdict=change.verdict,
        weeks=[week for _, week in page],
        next_page_token=token,
    )
