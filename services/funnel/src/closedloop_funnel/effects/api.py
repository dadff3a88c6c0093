"""GetActionReport: how often actions are done where they are due, and whether their results move (S53, S54)."""

from __future__ import annotations

from datetime import timedelta

from closedloop.funnel.v1 import performance_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.effects import measuring
from closedloop_funnel.effects.measuring import Effect
from closedloop_funnel.effects.rules import EffectRules
from closedloop_funnel.pipelines import scope
from closedloop_funnel.reviews.process import open_by_unit

rpcs = Rpcs("closedloop.funnel.v1.PerformanceService")


@rpcs.method
async def get_action_report(request: pb.GetActionReportRequest, call: Call) -> pb.ActionReport:
    period = request.period
    ends = protos.instant(period.end_time, "period.end_time") if period.HasField("end_time") else call.now
    usual = timedelta(days=call.rules(EffectRules).days)
    begins = protos.instant(period.start_time, "period.start_time") if period.HasField("start_time") else ends - usual
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    strange = sorted(set(request.action_unit_keys) - set(call.rules(UnitRules).units))
    if strange:
        raise errors.InvalidArgument("ACTION_UNKNOWN", f"no action {strange[0]}", {"action_unit_keys": "unknown"})
    found = await measuring.measure(
        call.db, call, scope.params(request.scope, call), begins, ends, request.action_unit_keys
    )
    reviews = await open_by_unit(call.db)
    return pb.ActionReport(
        period=request.period,
        actions=[_to_proto(one, reviews.get(one.key, "")) for one in found],
        refresh_time=protos.timestamp(call.now),
    )


def _to_proto(one: Effect, review_id: str) -> pb.ActionEffect:
    return pb.ActionEffect(
        action_unit_key=one.key,
        name=one.unit.name,
        due_count=one.now.due,
        done_count=one.now.done,
        verified_count=one.now.verified,
        execution_ratio=one.now.done / one.now.due if one.now.due else None,
        result_metric=one.unit.result_metric,
        effect=one.effect,
        result_change=one.change,
        review_id=review_id,
    )
