"""What each service knows of its warnings, as lines of the page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import Evidence, Light
from closedloop.customers.v1 import quality_pb2
from closedloop.funnel.v1 import warnings_pb2
from closedloop.platform.v1 import platform_pb2
from closedloop.targets.v1 import alarms_pb2
from closedloop_cli import shapes
from closedloop_cli.warned.line import Line, Result

_FUNNEL: dict[int, Result] = {
    warnings_pb2.WARNING_STATE_OPEN: "open",
    warnings_pb2.WARNING_STATE_ACTED: "cannot_say",
    warnings_pb2.WARNING_STATE_WORKED: "worked",
    warnings_pb2.WARNING_STATE_FAILED: "did_not_work",
    warnings_pb2.WARNING_STATE_GONE: "gone",
}
_ALARM: dict[int, Result] = {
    alarms_pb2.ALARM_STATE_OPEN: "open",
    alarms_pb2.ALARM_STATE_ANSWERED: "cannot_say",
    alarms_pb2.ALARM_STATE_RESOLVED: "worked",
    alarms_pb2.ALARM_STATE_LAPSED: "gone",
}
_SETTLED: dict[int, Result] = {
    tasks_pb2.TASK_STATE_CANCELLED: "called_off",
    tasks_pb2.TASK_STATE_WITHDRAWN: "gone",
}
_EFFECT: dict[int, Result] = {
    tasks_pb2.TASK_EFFECT_PENDING: "cannot_say",
    tasks_pb2.TASK_EFFECT_WORKED: "worked",
    tasks_pb2.TASK_EFFECT_RECURRED: "did_not_work",
    tasks_pb2.TASK_EFFECT_NOT_CHECKED: "not_checked",
}


def of_funnel(one: warnings_pb2.Warning) -> Line:
    return Line(
        service="funnel",
        id=one.id,
        kind=f"funnel.{shapes.word(warnings_pb2.WarningKind, one.kind)}",
        light=one.light,
        subject=one.subject_name or one.subject_id,
        owner_id=one.ownership.owner_id,
        unit_id=one.ownership.unit_id,
        raised=_moment(one.raise_time),
        result=_FUNNEL[one.state],
        key=one.task_cause_key or one.id,
        automatic=one.automatic_action,
        action=one.action,
        told=_said(one.outcome),
    )


def of_alarm(one: alarms_pb2.Alarm) -> Line:
    """An alarm that was answered, checked and found unmended is open again: it did not work."""
    last = one.checks[-1] if one.checks else None
    failed = last is not None and last.HasField("worked") and not last.worked
    return Line(
        service="targets",
        id=one.id,
        kind=f"targets.{shapes.word(alarms_pb2.AlarmKind, one.kind)}",
        light=one.light,
        subject=one.subject or one.holder.person_id or one.holder.unit_id,
        owner_id=one.ownership.owner_id,
        unit_id=one.ownership.unit_id,
        raised=_moment(one.raise_time),
        result="did_not_work" if failed and one.state == alarms_pb2.ALARM_STATE_OPEN else _ALARM[one.state],
        key=f"alarm:{one.id}",
        automatic=f"escalated to level {one.escalation_level}" if one.escalation_level else "",
        action=one.response.action,
        told=last.verdict if last else "",
    )


def of_finding(one: quality_pb2.Finding) -> Line:
    """Resolved means that the data is in order: the service itself looks, and refuses to take anybody's word for it."""
    resolved = one.state == quality_pb2.FINDING_STATE_RESOLVED
    by_somebody = resolved and one.resolved_by not in ("", "customers")
    done = f"{one.resolved_by}: {one.business_action.kind}".removesuffix(": ") if by_somebody else ""
    until = shapes.when(one.postponed_until_time)
    return Line(
        service="customers",
        id=one.id,
        kind=f"customers.{shapes.word(quality_pb2.FindingKind, one.kind)}",
        light=one.light,
        subject=one.account_name or one.account_id,
        owner_id=one.ownership.owner_id,
        unit_id=one.ownership.unit_id,
        raised=_moment(one.since_time),
        result="worked" if by_somebody else "gone" if resolved else "open",
        key=one.task_cause_key or one.id,
        action=done or (f"postponed until {until}" if until else ""),
        told=f"in order since {shapes.when(one.resolve_time)}" if resolved else "",
    )


def of_clock(service: str, one: platform_pb2.Clock) -> Line:
    """A time limit that passed: it worked if what it waits for was done after all."""
    answered = one.HasField("answer_time")
    return Line(
        service=service,
        id=one.id,
        kind=one.kind,
        light=Light.LIGHT_YELLOW,
        subject=one.subject,
        owner_id=one.owner_id,
        unit_id=one.unit_id,
        raised=_moment(one.due_time),
        result="worked" if answered else "open",
        key=one.id,
        automatic=f"time limit passed, level {one.level + 1}",
        told=f"done {shapes.when(one.answer_time)}" if answered else "",
    )


def of_task(one: tasks_pb2.Task) -> Line:
    content = one.content
    done = one.state == tasks_pb2.TASK_STATE_DONE
    acted = one.state in (tasks_pb2.TASK_STATE_DONE, tasks_pb2.TASK_STATE_CANCELLED)
    told = _said(one.effect_evidence) if acted else one.outcome_comment
    if done and one.effect == tasks_pb2.TASK_EFFECT_WORKED and not told and one.HasField("effect_due_time"):
        told = f"did not come back by {shapes.when(one.effect_due_time)}"
    return Line(
        service=content.origin,
        id=one.id,
        kind=content.warning,
        light=content.light,
        subject=content.title,
        owner_id=one.assignee_id,
        unit_id=content.ownership.unit_id,
        raised=_moment(one.raise_time),
        result=_EFFECT[one.effect] if done else _SETTLED.get(one.state, "open"),
        key=f"alarm:{content.subject_id}" if content.subject_type == "alarm" else content.cause_key,
        automatic=f"task: {content.title}",
        action=" · ".join(filter(None, (one.outcome, one.outcome_comment))) or one.settled_by if acted else "",
        told=told,
    )


def _said(found: Iterable[Evidence]) -> str:
    return "; ".join(one.text or f"{one.name} {one.value:g} {one.unit}".strip() for one in found)


def _moment(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)
