"""PeriodService: names and bounds of periods."""

from __future__ import annotations

from closedloop.targets.v1 import periods_pb2 as pb
from closedloop_chassis import pages
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.periods import rules, shapes

rpcs = Rpcs("closedloop.targets.v1.PeriodService")


@rpcs.method
async def list_periods(request: pb.ListPeriodsRequest, call: Call) -> pb.ListPeriodsResponse:
    calendar = call.rules(rules.FiscalCalendar)
    if request.unit_id:
        await company.unit(call, request.unit_id)
    (after,) = pages.after(request, "")
    parts = rules.split(rules.parse(request.within, calendar), shapes.grain(request.grain), calendar)
    rows = [part for part in parts if part.start.isoformat() > after][: pages.size(request) + 1]
    page, token = pages.split(rows, request, lambda part: (part.start.isoformat(),))
    return pb.ListPeriodsResponse(
        periods=[shapes.to_proto(part, call, request.unit_id) for part in page], next_page_token=token
    )
