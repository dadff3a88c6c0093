"""MetricService.ListMetricHealth: the daily scores (S80)."""

from __future__ import annotations

from datetime import date

from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.figures import collected, reach, scoring, store
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.platform.v1.MetricService")


@rpcs.method
async def list_metric_health(request: pb.ListMetricHealthRequest, call: Call) -> pb.ListMetricHealthResponse:
    known = collected.of(call)
    names = [known.figure(request.name).name] if request.name else list(known.figures)
    within = reach.within(call, request.unit_id)
    span = await _days(request, call)
    if span is None:
        return pb.ListMetricHealthResponse()
    after_day, after_place = pages.after(request, "", -1)
    first = max(span[0], date.fromisoformat(after_day)) if after_day else span[0]
    kept = await store.kept(call.db, "day", first, span[1], within)
    found = []
    for day, (made, counts) in kept.items():
        for place, name in enumerate(names):
            if (day.isoformat(), place) <= (after_day, after_place):
                continue
            health = scoring.health(name, day, counts, known, made, call)
            if health is not None and health.light >= request.light:
                found.append((day.isoformat(), place, health))
        if len(found) > pages.size(request):
            break
    page, token = pages.split(found[: pages.size(request) + 1], request, lambda row: row[:2])
    return pb.ListMetricHealthResponse(healths=[health for _, _, health in page], next_page_token=token)


async def _days(request: pb.ListMetricHealthRequest, call: Call) -> tuple[date, date] | None:
    """First and last day asked for, the latest scored one by default; None while none is."""
    first, last = protos.day_of(request, "start_date"), protos.day_of(request, "end_date")
    if first is None and last is None:
        latest = await store.latest(call.db, "day")
        return None if latest is None else (latest, latest)
    begins, ends = first or last, last or call.home.today()
    assert begins is not None
    if ends < begins:
        raise errors.InvalidArgument(
            "DATES_REVERSED", "the last day is before the first", {"end_date": "before start_date"}
        )
    return begins, ends
