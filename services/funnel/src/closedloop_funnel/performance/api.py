"""PerformanceService: the process metrics by week (S57-S60), and how much hangs on few sellers (S61)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import performance_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.performance import measuring, rules, stars, store
from closedloop_funnel.performance.measuring import WEEK, Judged
from closedloop_funnel.performance.rules import PerformanceRules
from closedloop_funnel.pipelines import scope
from closedloop_funnel.words import number

rpcs = Rpcs("closedloop.funnel.v1.PerformanceService")

# The last four weeks when no period is named; no report is longer than so many.
USUAL, MOST = 4, 106
SHOWN = 10


@rpcs.method
async def get_performance_report(request: pb.GetPerformanceReportRequest, call: Call) -> pb.PerformanceReport:
    period = request.period
    ends = protos.instant(period.end_time, "period.end_time") if period.HasField("end_time") else call.now
    last = measuring.monday(ends, call)
    if period.HasField("start_time"):
        begins = protos.instant(period.start_time, "period.start_time")
        if ends <= begins:
            raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
        first = measuring.monday(begins, call)
        # A week counts when it begins before the period ends.
        if call.home.moment(last) == ends:
            last -= WEEK
    else:
        first = last - (USUAL - 1) * WEEK
    if (last - first) // WEEK >= MOST:
        raise errors.InvalidArgument("PERIOD_OUT_OF_RANGE", f"at most {MOST} weeks", {"period": "too long"})
    known = call.rules(PerformanceRules).metrics
    strange = sorted(set(request.metric_keys) - set(known))
    if strange:
        raise errors.InvalidArgument(
            "METRIC_UNKNOWN", f"no metric {strange[0]}; there are {', '.join(known)}", {"metric_keys": "unknown"}
        )
    narrowed = {
        **call.scope.params,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
    }
    by_person = request.by_person or bool(request.owner_id)
    found = await measuring.measure(
        call.db, call, narrowed, first, last, keys=list(request.metric_keys), by_person=by_person
    )
    version = call.process.rulebooks.version(PerformanceRules, call.now)
    return pb.PerformanceReport(
        period=request.period,
        metrics=[_metric(one, by_person, version, call) for one in found],
        refresh_time=protos.timestamp(call.now),
    )


def _metric(one: Judged, by_person: bool, version: int, call: Call) -> pb.ProcessMetric:
    named = call.org.person(one.group_key) if by_person else call.org.unit(one.group_key)
    return pb.ProcessMetric(
        key=one.key,
        name=one.rule.name,
        group_key=one.group_key,
        group_name=named.name if named else one.group_key,
        week=protos.date_proto(one.week),
        value=one.value,
        unit="%" if one.rule.unit == "1" else one.rule.unit,
        sample_size=one.cases,
        benchmark=one.rule.benchmark,
        healthy=one.rule.healthy,
        light=number(common_pb2.Light, one.light),
        weeks_beyond=one.weeks_beyond,
        consequence=one.consequence,
        rule=common_pb2.RuleReference(
            rulebook=PerformanceRules.rulebook,
            version=version,
            rule=f"metrics.{one.key}",
            explanation=f"{one.value:.3g} of {one.cases}, healthy {one.rule.healthy:g}, tolerable {one.rule.tolerable:g}, "
            f"{one.weeks_beyond} weeks beyond",
        ),
    )


@rpcs.method
async def get_star_dependence(request: pb.GetStarDependenceRequest, call: Call) -> pb.StarDependence:
    if not (request.period.HasField("start_time") and request.period.HasField("end_time")):
        raise errors.InvalidArgument("PERIOD_OPEN", "it takes a beginning and an end", {"period": "open"})
    begins, ends = protos.instant(request.period.start_time), protos.instant(request.period.end_time)
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    zone = call.home.zone(request.scope.unit_id)
    params: dict[str, Any] = {
        **scope.params(request.scope, call),
        "first_day": begins.astimezone(zone).date(),
        "last_day": (ends - timedelta(microseconds=1)).astimezone(zone).date(),
    }
    sellers = await call.db.all(store.WON, params)
    return _dependence(request, sellers, call)


def _dependence(request: pb.GetStarDependenceRequest, sellers: list[dict[str, Any]], call: Call) -> pb.StarDependence:
    currency = call.home.currency
    total = sum(one["won_minor"] for one in sellers)
    found = stars.judge(call.rules(PerformanceRules), request.scope.unit_id, sellers)
    answer = pb.StarDependence(
        scope=request.scope,
        period=request.period,
        seller_count=len(sellers),
        gini=found.gini,
        top_sellers=[
            pb.SellerShare(
                person_id=one["owner_id"],
                name=_name(one["owner_id"], call),
                amount=protos.money(one["won_minor"], currency),
                share_ratio=one["won_minor"] / total if total else 0.0,
            )
            for one in sellers[:SHOWN]
        ],
        amount_without_first=protos.money(rules.without_first(sellers), currency),
        amount=protos.money(total, currency),
        light=number(common_pb2.Light, found.light),
    )
    answer.rule.CopyFrom(
        common_pb2.RuleReference(
            rulebook=PerformanceRules.rulebook,
            version=call.process.rulebooks.version(PerformanceRules, call.now),
            rule=found.rule,
            explanation=found.said,
        )
    )
    return answer


def _name(person_id: str, call: Call) -> str:
    person = call.org.person(person_id)
    return person.name if person else person_id
