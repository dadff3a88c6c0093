"""What people, and time, do to tasks; and putting it on record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from closedloop_approvals.tasks import messages, rules, store
from closedloop_approvals.tasks.raising import CLOCK, EFFECT_CLOCK, figures, start_clocks
from closedloop_approvals.tasks.rules import OPEN, TaskRules
from closedloop_approvals.tasks.store import Happened, Held, Task
from closedloop_chassis import errors
from closedloop_chassis.work import Work


@dataclass(frozen=True, slots=True)
class Act:
    """A task before and after, and the line of its history that says what happened."""

    before: Task
    after: Task
    line: Happened


def record(work: Work, acts: Sequence[Act]) -> list[Task]:
    """Queues the tasks as they are after, with their clocks, events and messages; answers them."""
    done = [_recorded(act, work) for act in acts]
    pairs = [(act.before, after) for act, after in zip(acts, done, strict=True)]
    settled = [after for before, after in pairs if before.state in OPEN and after.state not in OPEN]
    _stop(CLOCK, work.clocks.meet, [task.id for task in settled if task.state == "done"])
    _stop(CLOCK, work.clocks.cancel, [task.id for task in settled if task.state != "done"])
    watched = [task for task in settled if task.effect_due_at is not None]
    start_clocks(EFFECT_CLOCK, {task.id: task.effect_due_at or work.now for task in watched}, watched, work)
    judged = [after.id for before, after in pairs if before.state == "done" and before.effect != after.effect]
    _stop(EFFECT_CLOCK, work.clocks.cancel, judged)
    for task in settled:
        work.tell(messages.settled(task), task.id)
    store.save(work.tx, done)
    store.note(work.tx, [act.line for act in acts])
    return done


def _recorded(act: Act, work: Work) -> Task:
    before, after = act.before, replace(act.after, version=act.before.version + 1)
    if before.state in OPEN and after.state not in OPEN:
        effect, window = rules.watched(after.state, after.check_window, after.origin_checks)
        after = replace(after, effect=effect, effect_due_at=work.now + window if window else None)
    elif before.assignee_id != after.assignee_id:
        if act.line.action != "escalated":
            work.clocks.hand_over(after.id, after.assignee_id, after.assignee_unit_id)
        occasion = f"{act.line.action}:{after.version}"
        work.tell(messages.assigned(after, occasion, work, act.line.from_person_id), after.id)
    # "X for Y" stands in the audit trail too, of each of many.
    work.on_behalf_of = act.line.on_behalf_of if act.line.actor_id == work.actor else ""
    work.audit(f"task:{after.id}", act.line.action, figures(before), figures(after), business_action=act.line.comment)
    return after


def _stop(kind: str, stop: Callable[..., None], ids: list[str]) -> None:
    if ids:
        stop(kind, *ids)


def acting_for(held: Held, actor: str, on_behalf_of: str = "") -> str:
    """The Y of "X for Y", empty in one's own name. Raises PermissionDenied NOT_THE_ASSIGNEE."""
    task = held.task
    if actor == task.assignee_id and on_behalf_of in ("", actor):
        return ""
    stands_in = any(s.delegate_id == actor and s.covers_task(task.kind) for s in held.stand_ins)
    if stands_in and on_behalf_of in ("", task.assignee_id):
        return task.assignee_id
    raise errors.PermissionDenied(
        "NOT_THE_ASSIGNEE", f"{task.assignee_id} has this task, and you do not stand in for them"
    )


def start(held: Held, actor: str, now: datetime) -> Act:
    """Raises PermissionDenied NOT_THE_ASSIGNEE, FailedPrecondition TASK_CLOSED; starting twice changes nothing more."""
    task, on_behalf_of = held.task, acting_for(held, actor)
    rules.require_open(task.state)
    after = replace(task, state="started", responded_at=task.responded_at or now, snoozed_until=None)
    return Act(task, after, Happened(task.id, now, actor, "started", on_behalf_of=on_behalf_of))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done and what came of it."""

    outcome: str = ""
    comment: str = ""
    fields: dict[str, Any] | None = None
    evidence: tuple[dict[str, Any], ...] = ()
    attachments: tuple[dict[str, Any], ...] = ()
    on_behalf_of: str = ""


def complete(held: Held, actor: str, told: Outcome, now: datetime) -> Act:
    """Raises as `start` does, InvalidArgument OUTCOME_REQUIRED or OUTCOME_UNKNOWN."""
    task, on_behalf_of = held.task, acting_for(held, actor, told.on_behalf_of)
    rules.require_open(task.state)
    rules.require_outcome(told.outcome, task.outcomes)
    after = replace(
        task,
        state="done",
        snoozed_until=None,
        responded_at=task.responded_at or now,
        settled_at=now,
        settled_by=actor,
        settled_for=on_behalf_of,
        outcome=told.outcome,
        outcome_comment=told.comment,
        outcome_fields=told.fields,
        evidence=[*task.evidence, *told.evidence],
        attachments=[*task.attachments, *told.attachments],
    )
    return Act(task, after, Happened(task.id, now, actor, "completed", told.comment, on_behalf_of))


def snooze(held: Held, actor: str, until: datetime, comment: str, book: TaskRules, now: datetime) -> Act:
    """Raises as `start` does, InvalidArgument SNOOZE_TOO_LONG or SNOOZE_IN_THE_PAST."""
    task, on_behalf_of = held.task, acting_for(held, actor)
    rules.require_open(task.state)
    rules.require_wake(until, now, book.kind(task.kind).longest_snooze_days)
    return Act(
        task, replace(task, snoozed_until=until), Happened(task.id, now, actor, "snoozed", comment, on_behalf_of)
    )


def give(task: Task, actor: str, person_id: str, unit_id: str, comment: str, now: datetime) -> Act:
    """To another person. Raises FailedPrecondition TASK_CLOSED."""
    rules.require_open(task.state)
    answered = task.responded_at or (now if actor == task.assignee_id else None)
    after = replace(_to(task, person_id, unit_id), responded_at=answered)
    line = Happened(task.id, now, actor, "delegated", comment, from_person_id=task.assignee_id, to_person_id=person_id)
    return Act(task, after, line)


def cancel(task: Task, actor: str, reason: str, now: datetime) -> Act:
    """Raises FailedPrecondition TASK_CLOSED, PermissionDenied OWN_TASK for a duty somebody else laid on the actor."""
    rules.require_open(task.state)
    if actor == task.assignee_id and actor != task.raised_by:
        raise errors.PermissionDenied(
            "OWN_TASK", "a task others raised for you is settled, or cancelled by those above you"
        )
    after = replace(
        task, state="cancelled", snoozed_until=None, settled_at=now, settled_by=actor, outcome_comment=reason
    )
    return Act(task, after, Happened(task.id, now, actor, "cancelled", reason))


def judge(task: Task, actor: str, effect: str, comment: str, evidence: Sequence[dict[str, Any]], now: datetime) -> Act:
    """Raises FailedPrecondition TASK_NOT_SETTLED, PermissionDenied OWN_TASK."""
    if task.state != "done":
        raise errors.FailedPrecondition(
            "TASK_NOT_SETTLED", "nothing was done yet that could have worked", state=task.state
        )
    if actor in (task.settled_by, task.settled_for):
        raise errors.PermissionDenied("OWN_TASK", "whether it worked is not said by the one who did it")
    after = replace(task, effect=effect, effect_evidence=[*task.effect_evidence, *evidence])
    return Act(task, after, Happened(task.id, now, actor, "judged", comment))


def escalate(task: Task, above: str, unit_id: str, due_at: datetime, actor: str, now: datetime) -> Act:
    """Its time is up: the next of the line has it."""
    after = replace(_to(task, above, unit_id), due_at=due_at, escalation_level=task.escalation_level + 1)
    line = Happened(
        task.id, now, actor, "escalated", "not done in time", from_person_id=task.assignee_id, to_person_id=above
    )
    return Act(task, after, line)


def withdraw(task: Task, actor: str, comment: str, at: datetime, now: datetime) -> Act:
    """The cause went away."""
    after = replace(
        task, state="withdrawn", snoozed_until=None, settled_at=at, settled_by=actor, outcome_comment=comment
    )
    return Act(task, after, Happened(task.id, now, actor, "withdrawn", comment))


def _to(task: Task, person_id: str, unit_id: str) -> Task:
    people = sorted({*task.participants, person_id})
    return replace(task, assignee_id=person_id, assignee_unit_id=unit_id, participants=people, snoozed_until=None)
