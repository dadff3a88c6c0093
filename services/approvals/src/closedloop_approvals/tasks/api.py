"""TaskService: raising, settling, putting off and giving on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.type.interval_pb2 import Interval

from closedloop.approvals.v1 import tasks_pb2 as pb
from closedloop.common.v1.common_pb2 import BulkSummary, Provenance
from closedloop_approvals import standing_in
from closedloop_approvals.tasks import acting, loop, messages, store
from closedloop_approvals.tasks.acting import Act, Outcome, record
from closedloop_approvals.tasks.raising import draft, fields_dict, raise_tasks
from closedloop_approvals.tasks.rules import TaskRules
from closedloop_approvals.tasks.store import Held, Task
from closedloop_chassis import bulk, errors, etags, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.approvals.v1.TaskService")

EARLIEST = ("-infinity", "00000000-0000-0000-0000-000000000000")
# Their tasks come by event; a person who raised one under their name could hide a warning behind it (S67).
SERVICES = frozenset({"targets", "customers", "funnel", "approvals", "integrations"})
EFFECTS = {
    pb.TASK_EFFECT_WORKED: "worked",
    pb.TASK_EFFECT_RECURRED: "recurred",
    pb.TASK_EFFECT_NOT_CHECKED: "not_checked",
}


@rpcs.method
async def raise_task(request: pb.RaiseTaskRequest, call: Call) -> pb.Task:
    wanted = _wanted(request.content, request.provenance, call)
    (task,) = await raise_tasks([wanted], call)
    return messages.task(task, call.now)


@rpcs.method
async def bulk_raise_tasks(request: pb.BulkRaiseTasksRequest, call: Call) -> BulkSummary:
    rows, refused = bulk.sift(request.rows)
    wanted: dict[tuple[str, str], Task] = {}
    for position, row in rows:
        try:
            wanted.setdefault((row.origin, row.cause_key), _wanted(row, request.provenance, call))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    known = await store.open_causes(call.tx, list(wanted))
    fresh = [task for cause, task in wanted.items() if cause not in known]
    if not request.validate_only:
        await raise_tasks(fresh, call)
    return bulk.summary(read=len(request.rows), created=len(fresh), refused=refused)


@rpcs.method
async def get_task(request: pb.GetTaskRequest, call: Call) -> pb.Task:
    held = await store.read(call.db, request.id, call.caller.subject, call.now)
    if held is None:
        raise _unknown(request.id)
    _authorize(held, call)
    return messages.task(held.task, call.now, await store.history(call.db, request.id))


@rpcs.method
async def list_tasks(request: pb.ListTasksRequest, call: Call) -> pb.ListTasksResponse:
    after, after_id = pages.after(request, *EARLIEST)
    raised_from, raised_to = _interval(request.raised)
    names = ("assignee_id", "kind", "origin", "warning", "subject_type", "subject_id", "overdue")
    params: dict[str, Any] = {name: getattr(request, name) for name in names}
    params |= {
        "states": [pb.TaskState.Name(s).removeprefix("TASK_STATE_").lower() for s in request.states] or None,
        "effects": [pb.TaskEffect.Name(e).removeprefix("TASK_EFFECT_").lower() for e in request.effects] or None,
        "account_id": request.account_id or None,
        "opportunity_id": request.opportunity_id or None,
        "unit_ids": _units(request, call),
        "raised_from": raised_from,
        "raised_to": raised_to,
        "now": call.now,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    rows = await store.page(call.db, params | call.scope.params)
    page, token = pages.split(rows, request, lambda row: (row.due_at.isoformat(), row.id))
    return pb.ListTasksResponse(tasks=[messages.task(row, call.now) for row in page], next_page_token=token)


@rpcs.method
async def start_task(request: pb.StartTaskRequest, call: Call) -> pb.Task:
    held = await _locked(request.id, call)
    return _recorded(acting.start(held, call.caller.subject, call.now), request.etag, call)


@rpcs.method
async def complete_task(request: pb.CompleteTaskRequest, call: Call) -> pb.Task:
    held = await _locked(request.id, call)
    told = Outcome(
        outcome=request.outcome,
        comment=request.comment,
        fields=fields_dict(request, "outcome_fields"),
        evidence=tuple(_dict(evidence) for evidence in request.evidence),
        attachments=tuple(_dict(attachment) for attachment in request.attachments),
        on_behalf_of=request.on_behalf_of,
    )
    return _recorded(acting.complete(held, call.caller.subject, told, call.now), request.etag, call)


@rpcs.method
async def snooze_task(request: pb.SnoozeTaskRequest, call: Call) -> pb.Task:
    held = await _locked(request.id, call)
    until = protos.instant(request.until, "until")
    act = acting.snooze(held, call.caller.subject, until, request.comment, call.rules(TaskRules), call.now)
    return _recorded(act, request.etag, call)


@rpcs.method
async def delegate_task(request: pb.DelegateTaskRequest, call: Call) -> pb.Task:
    held = await _locked(request.id, call)
    return _recorded(_given(held, request.person_id, request.comment, call), request.etag, call)


@rpcs.method
async def cancel_task(request: pb.CancelTaskRequest, call: Call) -> pb.Task:
    held = await _locked(request.id, call)
    return _recorded(_cancelled(held, request.reason, call), request.etag, call)


@rpcs.method
async def judge_effect(request: pb.JudgeEffectRequest, call: Call) -> pb.Task:
    if request.effect not in EFFECTS:
        violations = {"effect": "worked, recurred or not checked"}
        raise errors.InvalidArgument("EFFECT_UNKNOWN", "a judgement is not pending", violations)
    task = (await _locked(request.id, call)).task
    evidence = [_dict(told) for told in request.evidence]
    act = acting.judge(task, call.caller.subject, EFFECTS[request.effect], request.comment, evidence, call.now)
    return _recorded(act, request.etag, call)


@rpcs.method
async def bulk_act_on_tasks(request: pb.BulkActOnTasksRequest, call: Call) -> BulkSummary:
    act = _action(request, call)
    held = await store.lock(call.tx, [told.id for told in request.tasks], call.caller.subject, call.now)
    acts: dict[str, Act] = {}
    refused = []
    for position, told in enumerate(request.tasks):
        try:
            if told.id not in held:
                raise _unknown(told.id)
            if told.id in acts:
                raise errors.InvalidArgument("ROW_REPEATED", "an earlier row acts on this task", {"id": "is repeated"})
            _authorize(held[told.id], call)
            done = act(held[told.id])
            etags.check(told.etag, done.before.version)
            acts[told.id] = done
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    if not request.validate_only:
        record(call, list(acts.values()))
    return bulk.summary(read=len(request.tasks), updated=len(acts), refused=refused)


@rpcs.method
async def get_loop_report(request: pb.GetLoopReportRequest, call: Call) -> pb.GetLoopReportResponse:
    return await loop.report(request, call)


def _action(request: pb.BulkActOnTasksRequest, call: Call) -> Callable[[Held], Act]:
    actor, now = call.caller.subject, call.now
    match request.WhichOneof("action"):
        case "complete":
            outcome = Outcome(request.complete.outcome, request.complete.comment)
            return lambda held: acting.complete(held, actor, outcome, now)
        case "snooze":
            until, book = protos.instant(request.snooze.until, "snooze.until"), call.rules(TaskRules)
            return lambda held: acting.snooze(held, actor, until, "", book, now)
        case "delegate":
            return lambda held: _given(held, request.delegate.person_id, request.delegate.comment, call)
        case _:
            return lambda held: _cancelled(held, request.cancel.reason, call)


def _given(held: Held, person_id: str, comment: str, call: Call) -> Act:
    """By the one who has it, or by those above him: who stands in does it himself, or leaves it."""
    task, actor = held.task, call.caller.subject
    if actor != task.assignee_id and not _above(task.assignee_id, call):
        raise errors.PermissionDenied(
            "NOT_THE_ASSIGNEE", f"{task.assignee_id} has this task; what was delegated goes no further"
        )
    person = call.org.person(person_id)
    if person is None or not person.active:
        violations = {"person_id": "is nobody of the company"}
        raise errors.InvalidArgument("ASSIGNEE_NOT_FOUND", f"nobody is called {person_id}", violations)
    return acting.give(task, actor, person.id, person.unit_id, comment, call.now)


def _cancelled(held: Held, reason: str, call: Call) -> Act:
    """By who raised it, or by those above the one who has it."""
    task, actor = held.task, call.caller.subject
    if actor not in (task.raised_by, task.assignee_id) and not _above(task.assignee_id, call):
        raise errors.PermissionDenied(
            "NOT_THE_ASSIGNEE", "only who raised it, or who stands above its holder, cancels it"
        )
    return acting.cancel(task, actor, reason, call.now)


def _above(assignee_id: str, call: Call) -> bool:
    if call.scope.company:
        return True
    return bool(call.scope.unit_ids) and call.caller.subject in {person.id for person in call.org.line_of(assignee_id)}


def _wanted(content: pb.TaskContent, provenance: Provenance, call: Call) -> Task:
    """Raises PermissionDenied ORIGIN_RESERVED or OUT_OF_SCOPE, and what `draft` raises."""
    me = call.caller
    if content.origin in SERVICES and "service" not in me.roles:
        raise errors.PermissionDenied("ORIGIN_RESERVED", f"tasks of {content.origin} are raised by {content.origin}")
    brought = Provenance(source="manual", brought_by=me.subject)
    if {"integration", "service"} & me.roles and provenance.source:
        brought = Provenance(
            source=provenance.source,
            source_id=provenance.source_id,
            brought_by=me.subject,
            observed_time=provenance.observed_time if provenance.HasField("observed_time") else None,
        )
    task = draft(content, brought, me.subject, call)
    if not call.scope.covers(task.assignee_id, task.assignee_unit_id):
        # One's own line may be asked for help.
        line = {person.id for person in call.org.line_of(me.subject)}
        call.authorize(task.assignee_id, task.assignee_unit_id, {me.subject} if task.assignee_id in line else ())
    return task


async def _locked(task_id: str, call: Call) -> Held:
    held = (await store.lock(call.tx, [task_id], call.caller.subject, call.now)).get(task_id)
    if held is None:
        raise _unknown(task_id)
    _authorize(held, call)
    return held


def _authorize(held: Held, call: Call) -> None:
    task, me = held.task, call.caller.subject
    if call.method.mutates and standing_in.has_left(me, call.org):
        raise errors.PermissionDenied("NOT_THE_ASSIGNEE", f"{me} has left the company and settles nothing more")
    stands_in = any(s.delegate_id == me and s.covers_task(task.kind) for s in held.stand_ins)
    call.authorize(
        task.assignee_id, task.assignee_unit_id, {*task.participants, me} if stands_in else task.participants
    )


def _recorded(act: Act, etag: str, call: Call) -> pb.Task:
    """Checked last: who may not, or comes too late, learns that rather than that somebody was faster."""
    etags.check(etag, act.before.version)
    (task,) = record(call, [act])
    return messages.task(task, call.now)


def _units(request: pb.ListTasksRequest, call: Call) -> list[str] | None:
    if not request.unit_id:
        return None
    return sorted(call.org.subtree(request.unit_id)) if request.include_subtree else [request.unit_id]


def _interval(told: Interval) -> tuple[datetime | None, datetime | None]:
    start = protos.instant(told.start_time, "raised.start_time") if told.HasField("start_time") else None
    end = protos.instant(told.end_time, "raised.end_time") if told.HasField("end_time") else None
    return start, end


def _unknown(task_id: str) -> errors.NotFound:
    return errors.NotFound("TASK_UNKNOWN", f"there is no task {task_id}")


def _dict(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
