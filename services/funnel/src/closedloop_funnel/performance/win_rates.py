"""GetWinRates: who wins what with whom, where there is enough to say it (S97)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from closedloop.funnel.v1 import performance_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel import estimates
from closedloop_funnel.performance import store
from closedloop_funnel.performance.rules import PerformanceRules
from closedloop_funnel.pipelines import scope

rpcs = Rpcs("closedloop.funnel.v1.PerformanceService")


@rpcs.method
async def get_win_rates(request: pb.GetWinRatesRequest, call: Call) -> pb.GetWinRatesResponse:
    if not (request.period.HasField("start_time") and request.period.HasField("end_time")):
        raise errors.InvalidArgument("PERIOD_OPEN", "it takes a beginning and an end", {"period": "open"})
    begins, ends = protos.instant(request.period.start_time), protos.instant(request.period.end_time)
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    owner, customer_type, mix = pages.after(request, "", "", "")
    zone = call.home.zone(request.scope.unit_id)
    params: dict[str, Any] = {
        **scope.params(request.scope, call),
        # One seller is asked for, and held against the others all the same.
        "in_owner": "",
        "owner": request.scope.owner_id,
        "by_type": request.by_customer_type,
        "by_mix": request.by_product_mix,
        "first_day": begins.astimezone(zone).date(),
        "last_day": (ends - timedelta(microseconds=1)).astimezone(zone).date(),
        "after_owner": owner,
        "after_type": customer_type,
        "after_mix": mix,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.WIN_RATES, params)
    page, token = pages.split(found, request, lambda row: [row["owner_id"], row["customer_type"], row["mix"]])
    least = call.rules(PerformanceRules).win_least
    return pb.GetWinRatesResponse(win_rates=[_to_proto(row, least) for row in page], next_page_token=token)


def _to_proto(row: dict[str, Any], least: int) -> pb.WinRate:
    return pb.WinRate(
        owner_id=row["owner_id"],
        customer_type=row["customer_type"],
        product_ids=row["product_ids"],
        won_count=row["won"],
        lost_count=row["ended"] - row["won"],
        win_ratio=estimates.share(row["won"], row["ended"], least),
        difference=estimates.difference(row["won"], row["ended"], row["others_won"], row["others_ended"], least),
    )
