"""What this service asks of people: tasks through approvals, messages through integrations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import Evidence, Light, Ownership, RuleReference
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos, structs
from closedloop_chassis.work import Work

ORIGIN = "customers"

Assignee = Literal["owner", "manager_of_owner"]


def task(
    work: Work,
    *,
    kind: str,
    warning: str,
    subject_type: str,
    subject_id: str,
    title: str,
    description: str,
    assignee: Assignee,
    owner_id: str,
    unit_id: str,
    light: Light.ValueType = Light.LIGHT_YELLOW,
    priority: tasks_pb2.TaskPriority.ValueType = tasks_pb2.TASK_PRIORITY_HIGH,
    account_id: str = "",
    due_time: datetime | None = None,
    cause_time: datetime | None = None,
    evidence: Sequence[Evidence] = (),
    rule: RuleReference | None = None,
    outcomes: Sequence[str] = (),
    origin_checks: bool = False,
) -> None:
    """One open task per cause "<warning>:<subject>". The person is named where our copy of the tree knows them.
    `origin_checks`: `task_cleared` says when it is over, and until then nobody can say that what was done worked."""
    content = tasks_pb2.TaskContent(
        kind=kind,
        title=title[:200],
        description=description,
        assignee_id=owner_id if assignee == "owner" else manager_of(work, owner_id, unit_id),
        assignee_role=assignee,
        ownership=Ownership(owner_id=owner_id, unit_id=unit_id),
        origin=ORIGIN,
        cause_key=f"{warning}:{subject_id}",
        warning=warning,
        light=light,
        priority=priority,
        subject_type=subject_type,
        subject_id=subject_id,
        account_id=account_id,
        due_time=protos.timestamp(due_time),
        cause_time=protos.timestamp(cause_time or work.now),
        evidence=evidence,
        rule=rule,
        outcomes=outcomes,
        origin_checks=origin_checks,
    )
    work.tell(approvals.TaskRequested(content=content), subject_id)


def task_cleared(work: Work, warning: str, subject_id: str, reason: str = "cause_cleared") -> None:
    """The cause is over ("cause_cleared") or its record gone ("subject_gone"); an open task closes by itself."""
    withdrawn = approvals.TaskWithdrawn(
        origin=ORIGIN,
        cause_key=f"{warning}:{subject_id}",
        reason=approvals.WithdrawalReason.Value(f"WITHDRAWAL_REASON_{reason.upper()}"),
        clear_time=protos.timestamp(work.now),
    )
    work.tell(withdrawn, subject_id)


def message(
    work: Work,
    *,
    person_id: str,
    template: str,
    fields: dict[str, Any],
    dedupe_key: str,
    subject_type: str,
    subject_id: str,
    urgent: bool = False,
    expire_time: datetime | None = None,
) -> None:
    """A message to a colleague, once per key; worthless after `expire_time`."""
    person = work.org.person(person_id)
    if person is None:
        return
    content = deliveries_pb2.DeliveryContent(
        dedupe_key=dedupe_key,
        origin=ORIGIN,
        purpose=deliveries_pb2.DELIVERY_PURPOSE_INTERNAL,
        recipient=deliveries_pb2.Recipient(
            person_id=person_id, name=person.name, language=person.language, time_zone=person.time_zone
        ),
        template=deliveries_pb2.TemplateBody(template=template, fields=structs.struct(fields)),
        subject_type=subject_type,
        subject_id=subject_id,
        urgent=urgent,
        expire_time=protos.timestamp(expire_time),
    )
    work.tell(integrations.DeliveryRequested(content=content), subject_id)


def working(work: Work, owner_id: str, unit_id: str) -> str:
    """The owner; where nobody owns, or the owner has left, who leads them. Empty where nobody does."""
    owner = work.org.person(owner_id)
    return owner_id if owner is not None and owner.active else manager_of(work, owner_id, unit_id)


def manager_of(work: Work, owner_id: str, unit_id: str) -> str:
    """Who leads the owner, or the unit where nobody owns; empty where nobody does."""
    line = work.org.line_of(owner_id) if owner_id else []
    leader = line[0] if line else work.org.manager_of(unit_id)
    return leader.id if leader is not None and leader.id != owner_id else ""


def name_of(work: Work, person_id: str) -> str:
    person = work.org.person(person_id)
    return person.name if person is not None else person_id
