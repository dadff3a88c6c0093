"""Alarms and deviations as the contract shows them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from closedloop.common.v1.common_pb2 import Evidence, Ownership, RuleReference
from closedloop.targets.v1 import alarms_pb2 as pb
from closedloop_chassis import enums, etags, protos
from closedloop_targets import amounts, holders
from closedloop_targets.alarms.comparison import Span
from closedloop_targets.alarms.raising import grain
from closedloop_targets.alarms.rules import AlarmRules
from closedloop_targets.alarms.store import Alarm
from closedloop_targets.periods import shapes as period_shapes
from closedloop_targets.periods.rules import Period


def alarm(row: Alarm) -> pb.Alarm:
    shape = pb.Alarm(
        id=row.id,
        kind=enums.number(pb.AlarmKind, row.kind),
        light=row.light + 1,  # type: ignore[arg-type]
        state=enums.number(pb.AlarmState, row.state),
        ownership=Ownership(owner_id=row.owner_id, unit_id=row.unit_id),
        holder=holders.to_proto(row.holder_kind, row.holder_id),
        target_id=row.target_id,
        subject=row.subject,
        metric=row.metric,
        period=period_shapes.stored(row.period, grain(row.period), row.start_date, row.end_date),
        actual=amounts.amount(row.actual, row.currency),
        reference=amounts.amount(row.reference, row.currency),
        deviation_ratio=row.deviation_ratio,
        message=row.message,
        rule=_rule(row.rule, row.rule_version, row.message),
        causes=causes(row.causes),
        raise_time=protos.timestamp(row.raised_at),
        due_time=protos.timestamp(row.due_at),
        escalation_level=row.escalation_level,
        repeat_count=row.repeat_count,
        task_id=row.task_id,
        checks=[
            pb.EffectCheck(
                time=protos.timestamp(datetime.fromisoformat(one["time"])),
                worked=one["worked"],
                deviation_before_ratio=one["before"],
                deviation_after_ratio=one["after"],
                verdict=one["verdict"],
            )
            for one in row.checks or ()
        ],
        settle_time=protos.timestamp(row.settled_at),
        etag=etags.of(row.version),
    )
    if row.first_answered_at is not None:
        shape.response.CopyFrom(
            pb.AlarmResponse(
                author_id=row.responder_id,
                first_time=protos.timestamp(row.first_answered_at),
                response_duration=protos.duration(row.first_answered_at - row.raised_at),
                cause=enums.number(pb.Cause, row.cause),
                action=row.action,
                check_date=protos.date_proto(row.check_date),
            )
        )
    return shape


def causes(ranked: list[dict[str, Any]]) -> list[pb.RankedCause]:
    """As they are kept, the likeliest first."""
    return [
        pb.RankedCause(
            rank=place,
            cause=enums.number(pb.Cause, one["cause"]),
            share_ratio=one["share"],
            explanation=one["explanation"],
            evidence=[Evidence(name=name, value=value, unit=unit) for name, value, unit in one["numbers"]],
        )
        for place, one in enumerate(ranked, 1)
    ]


def deviation(row: dict[str, Any]) -> pb.Deviation:
    """Of a row joined with its alarm: a week, or weeks summed up."""
    answered, currency = row["first_answered_at"], row["currency"]
    return pb.Deviation(
        holder=holders.to_proto(row["holder_kind"], row["holder_id"]),
        metric=row["metric"],
        period=period_shapes.stored(row["period"], grain(row["period"]), row["start_date"], row["end_date"]),
        actual=amounts.amount(row["actual"], currency),
        forecast=amounts.amount(row["forecast"], currency),
        target=amounts.amount(row["target"], currency),
        deviation_ratio=row["deviation_ratio"],
        light=row["light"] + 1,
        rule=_rule(
            "colours",
            row["rule_version"],
            "against the forecast" if row["forecast_made"] else "against the weekly target: nobody forecast it",
        ),
        alarm_id=row["alarm_id"],
        response_duration=protos.duration(answered - row["raised_at"] if answered else None),
    )


def span(period: Period, found: Span) -> pb.DeviationSpan:
    return pb.DeviationSpan(
        period=period_shapes.stored(period.code, period.grain, period.start, period.end),
        widest_ratio=found.widest,
        mean_absolute_ratio=found.mean_absolute,
        sample_size=found.sample,
        mean_response=_seconds(found.mean_response),
        median_response=_seconds(found.median_response),
        answered_count=found.answered,
        unanswered_count=found.unanswered,
    )


def _seconds(seconds: float | None) -> Duration | None:
    return protos.duration(None if seconds is None else timedelta(seconds=seconds))


def _rule(rule: str, version: int, explanation: str) -> RuleReference:
    return RuleReference(rulebook=AlarmRules.rulebook, version=version, rule=rule, explanation=explanation[:2000])
