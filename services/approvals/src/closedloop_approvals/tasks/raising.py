"""How tasks come in: by hand, by the event, or many at once. One open task per cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import json_format

from closedloop.approvals.v1 import tasks_pb2 as pb
from closedloop.common.v1.common_pb2 import Provenance
from closedloop_approvals import signatories
from closedloop_approvals.signatories import About
from closedloop_approvals.tasks import messages, rules, store
from closedloop_approvals.tasks.rules import TaskRules
from closedloop_approvals.tasks.store import Happened, Task
from closedloop_chassis import errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work

CLOCK = "approvals.task"
EFFECT_CLOCK = "approvals.effect"


def draft(content: pb.TaskContent, provenance: Provenance, raised_by: str, work: Work, otherwise: str = "") -> Task:
    """The task as it would be raised; `otherwise` says in words who has it when whom it names is nobody.

    Raises InvalidArgument ASSIGNEE_NOT_FOUND or FIELDS_INVALID.
    """
    book = work.rules(TaskRules)
    kind = book.kind(content.kind)
    assignee_id, unit_id = _assignee(content, otherwise, book, work)
    window = protos.span(content.check_window) if content.HasField("check_window") else timedelta(days=kind.check_days)
    told_due = protos.instant(content.due_time, "content.due_time") if content.HasField("due_time") else None
    due_at = told_due or work.calendars.due(kind.due, work.now, unit_id)
    return Task(
        id=new_id(),
        kind=content.kind,
        title=content.title,
        description=content.description,
        assignee_role=content.assignee_role,
        owner_id=content.ownership.owner_id,
        unit_id=content.ownership.unit_id or unit_id,
        origin=content.origin,
        cause_key=content.cause_key,
        warning=content.warning,
        light=content.light,
        priority=content.priority or pb.TASK_PRIORITY_NORMAL,
        subject_type=content.subject_type,
        subject_id=content.subject_id,
        account_id=content.account_id or None,
        opportunity_id=content.opportunity_id or None,
        cause_at=protos.instant(content.cause_time, "content.cause_time")
        if content.HasField("cause_time")
        else work.now,
        evidence=[json_format.MessageToDict(e, preserving_proto_field_name=True) for e in content.evidence],
        rule=json_format.MessageToDict(content.rule, preserving_proto_field_name=True)
        if content.HasField("rule")
        else None,
        outcomes=list(content.outcomes or kind.outcomes),
        check_window=window,
        origin_checks=content.origin_checks,
        custom_fields=fields_dict(content, "custom_fields"),
        state="open",
        assignee_id=assignee_id,
        assignee_unit_id=unit_id,
        original_assignee_id=assignee_id,
        raised_by=raised_by,
        participants=sorted({assignee_id, raised_by}),
        raised_at=work.now,
        due_at=due_at,
        snoozed_until=None,
        responded_at=None,
        settled_at=None,
        settled_by="",
        settled_for="",
        outcome="",
        outcome_comment="",
        outcome_fields=None,
        escalation_level=0,
        repeats=0,
        effect="pending" if window or content.origin_checks else "not_checked",
        effect_due_at=None,
        effect_evidence=[],
        previous_task_id=None,
        provenance=json_format.MessageToDict(provenance, preserving_proto_field_name=True),
        attachments=[],
        version=1,
    )


async def raise_tasks(drafts: Sequence[Task], work: Work) -> list[Task]:
    """Every draft as it stands now; new ones get their clock, their reader a message. No cause twice in one call."""
    if not drafts:
        return []
    raised, recurred = await store.raise_all(work.tx, drafts, work.now)
    fresh = [task for task, wanted in zip(raised, drafts, strict=True) if task.id == wanted.id]
    repeated = [task for task, wanted in zip(raised, drafts, strict=True) if task.id != wanted.id]
    start_clocks(CLOCK, {task.id: task.due_at for task in fresh}, fresh, work)
    if recurred:
        work.clocks.cancel(EFFECT_CLOCK, *(task.id for task in recurred))
    history = [Happened(task.id, work.now, task.raised_by, "raised", to_person_id=task.assignee_id) for task in fresh]
    history += [Happened(task.id, work.now, drafts[0].raised_by, "repeated") for task in repeated]
    history += [Happened(task.id, work.now, "approvals", "judged", "the cause came back") for task in recurred]
    store.note(work.tx, history)
    for task in fresh:
        work.tell(messages.assigned(task, "raised", work), task.id)
        work.audit(f"task:{task.id}", "raise", {}, figures(task))
    for task in repeated:
        work.audit(f"task:{task.id}", "repeat", {"repeats": task.repeats - 1}, {"repeats": task.repeats})
    for task in recurred:
        work.audit(f"task:{task.id}", "judge", {"effect": "pending"}, {"effect": "recurred"})
    return raised


def start_clocks(kind: str, dues: Mapping[str, datetime], tasks: Sequence[Task], work: Work) -> None:
    """Until the due time each task has, whichever calendar it was found on."""
    by_due: dict[datetime, list[tuple[str, str, str, dict[str, Any]]]] = defaultdict(list)
    for task in tasks:
        by_due[dues[task.id]].append((task.id, task.assignee_id, task.assignee_unit_id, {}))
    for due_at, subjects in by_due.items():
        work.clocks.start_many(kind, rules.until(due_at, work.now), subjects)


def _assignee(content: pb.TaskContent, otherwise: str, book: TaskRules, work: Work) -> tuple[str, str]:
    """The person and their unit; somebody who left is replaced by the next up the line, so that no task is nobody's."""
    word = f"person:{content.assignee_id}" if content.assignee_id else content.assignee_role or "owner"
    about = About(content.ownership.owner_id, content.ownership.unit_id)
    found = signatories.find(word, about, work.org, book.titles)
    if not found and otherwise:
        found = signatories.find(otherwise, about, work.org, book.titles)
    if not found:
        violations = {"content.assignee_id": "is nobody of the company, and nobody stands above them"}
        raise errors.InvalidArgument(
            "ASSIGNEE_NOT_FOUND", f"nobody in the organisation is {word} here", violations, word=word
        )
    person = work.org.people[found[0].person_id]
    return person.id, person.unit_id


def fields_dict(message: Any, field: str) -> dict[str, Any] | None:
    """A Struct as jsonb keeps it. Raises InvalidArgument FIELDS_INVALID for numbers that are none."""
    if not message.HasField(field):
        return None
    try:
        return json_format.MessageToDict(getattr(message, field))
    except (json_format.SerializeToJsonError, ValueError) as error:
        raise errors.InvalidArgument("FIELDS_INVALID", "the fields cannot be kept", {field: str(error)}) from error


def figures(task: Task) -> dict[str, Any]:
    names = (
        "state",
        "assignee_id",
        "due_at",
        "snoozed_until",
        "outcome",
        "escalation_level",
        "effect",
        "cause_key",
        "kind",
    )
    return {name: getattr(task, name) for name in names}
