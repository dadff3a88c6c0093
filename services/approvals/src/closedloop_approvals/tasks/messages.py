"""Tasks as the contract shows them, and as others are told of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.approvals.v1 import events_pb2
from closedloop.approvals.v1 import tasks_pb2 as pb
from closedloop.approvals.v1.requests_pb2 import Attachment
from closedloop.common.v1.common_pb2 import Evidence, Light, Ownership, Provenance, RuleReference
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1.events_pb2 import DeliveryRequested
from closedloop_approvals.tasks import rules
from closedloop_approvals.tasks.store import Happened, Task
from closedloop_chassis import etags, protos
from closedloop_chassis.work import Work


def task(held: Task, now: datetime, history: list[Happened] | None = None) -> pb.Task:
    shown = rules.shown(held.state, held.snoozed_until, now)
    return pb.Task(
        id=held.id,
        content=content(held),
        state=pb.TaskState.Value(f"TASK_STATE_{shown.upper()}"),
        assignee_id=held.assignee_id,
        original_assignee_id=held.original_assignee_id,
        raise_time=protos.timestamp(held.raised_at),
        due_time=protos.timestamp(held.due_at),
        snoozed_until=protos.timestamp(held.snoozed_until if shown == "snoozed" else None),
        response_time=protos.timestamp(held.responded_at),
        settle_time=protos.timestamp(held.settled_at),
        settled_by=held.settled_by,
        settled_on_behalf_of=held.settled_for,
        outcome=held.outcome,
        outcome_comment=held.outcome_comment,
        outcome_fields=_struct(held.outcome_fields),
        escalation_level=held.escalation_level,
        repeats=held.repeats,
        effect=pb.TaskEffect.Value(f"TASK_EFFECT_{held.effect.upper()}"),
        effect_due_time=protos.timestamp(held.effect_due_at),
        effect_evidence=[json_format.ParseDict(told, Evidence()) for told in held.effect_evidence],
        previous_task_id=held.previous_task_id or "",
        etag=etags.of(held.version),
        history=[_line(line) for line in history or ()],
        provenance=json_format.ParseDict(held.provenance, Provenance()),
        attachments=[json_format.ParseDict(told, Attachment()) for told in held.attachments],
    )


def content(held: Task) -> pb.TaskContent:
    return pb.TaskContent(
        kind=held.kind,
        title=held.title,
        description=held.description,
        assignee_id=held.original_assignee_id,
        assignee_role=held.assignee_role,
        ownership=Ownership(owner_id=held.owner_id, unit_id=held.unit_id),
        origin=held.origin,
        cause_key=held.cause_key,
        warning=held.warning,
        light=cast("Light.ValueType", held.light),
        priority=cast("pb.TaskPriority.ValueType", held.priority),
        subject_type=held.subject_type,
        subject_id=held.subject_id,
        account_id=held.account_id or "",
        opportunity_id=held.opportunity_id or "",
        due_time=protos.timestamp(held.due_at),
        cause_time=protos.timestamp(held.cause_at),
        evidence=[json_format.ParseDict(told, Evidence()) for told in held.evidence],
        rule=json_format.ParseDict(held.rule, RuleReference()) if held.rule else None,
        outcomes=held.outcomes,
        check_window=protos.duration(held.check_window),
        origin_checks=held.origin_checks,
        custom_fields=_struct(held.custom_fields),
    )


def settled(held: Task) -> events_pb2.TaskSettled:
    ended_at = held.settled_at
    return events_pb2.TaskSettled(
        task_id=held.id,
        origin=held.origin,
        cause_key=held.cause_key,
        kind=held.kind,
        warning=held.warning,
        state=pb.TaskState.Value(f"TASK_STATE_{held.state.upper()}"),
        outcome=held.outcome,
        comment=held.outcome_comment,
        outcome_fields=_struct(held.outcome_fields),
        evidence=[json_format.ParseDict(told, Evidence()) for told in held.evidence],
        settled_by=held.settled_by,
        on_behalf_of=held.settled_for,
        raise_time=protos.timestamp(held.raised_at),
        response_time=protos.timestamp(held.responded_at),
        settle_time=protos.timestamp(ended_at),
        overdue=held.escalation_level > 0 or (ended_at is not None and ended_at > held.due_at),
        escalation_level=held.escalation_level,
        subject_type=held.subject_type,
        subject_id=held.subject_id,
        cause_time=protos.timestamp(held.cause_at),
    )


def assigned(held: Task, occasion: str, work: Work, from_person_id: str = "") -> DeliveryRequested:
    """To the one who has it now; `occasion` tells it from earlier messages about the same task."""
    person = work.org.person(held.assignee_id)
    delivery = deliveries_pb2.DeliveryContent(
        dedupe_key=f"approvals.task_{occasion}:{held.id}:{held.assignee_id}",
        origin="approvals",
        purpose=deliveries_pb2.DELIVERY_PURPOSE_INTERNAL,
        recipient=deliveries_pb2.Recipient(person_id=held.assignee_id),
        template=deliveries_pb2.TemplateBody(template="task_assigned"),
        urgent=held.priority == pb.TASK_PRIORITY_URGENT,
        subject_type="task",
        subject_id=held.id,
        opportunity_id=held.opportunity_id or "",
    )
    fields: dict[str, Any] = {
        "person_name": person.name if person else held.assignee_id,
        "task_id": held.id,
        "kind": held.kind,
        "title": held.title,
        "description": held.description,
        "due_time": held.due_at.isoformat(),
        "escalation_level": held.escalation_level,
        "from_person_id": from_person_id,
    }
    delivery.template.fields.update(fields)
    return DeliveryRequested(content=delivery)


def _line(line: Happened) -> pb.TaskHistoryEntry:
    return pb.TaskHistoryEntry(
        time=protos.timestamp(line.time),
        actor_id=line.actor_id,
        on_behalf_of=line.on_behalf_of,
        action=line.action,
        comment=line.comment,
        from_person_id=line.from_person_id,
        to_person_id=line.to_person_id,
    )


def _struct(value: dict[str, Any] | None) -> Struct | None:
    if value is None:
        return None
    result = Struct()
    result.update(value)
    return result
