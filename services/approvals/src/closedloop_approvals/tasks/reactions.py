"""What moves tasks besides people: services that raise and withdraw, time, and people who leave."""

from __future__ import annotations

import protovalidate
from google.protobuf import json_format

from closedloop.approvals.v1 import events_pb2
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1.events_pb2 import PersonErased
from closedloop.targets.v1.events_pb2 import PersonChanged
from closedloop_approvals import signatories
from closedloop_approvals.signatories import About
from closedloop_approvals.tasks import acting, messages, store
from closedloop_approvals.tasks.acting import Act, record
from closedloop_approvals.tasks.raising import CLOCK, EFFECT_CLOCK, draft, raise_tasks
from closedloop_approvals.tasks.rules import OPEN, TaskRules
from closedloop_chassis import errors, protos
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.events import forgetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.traces import Traces
from closedloop_chassis.work import Heard, Work

reactions = Reactions()

# Who sees to what nobody of the line can.
OPERATIONS = "role:operations"
# What the origin's word on a settled task says of the action.
EFFECT = {
    events_pb2.WITHDRAWAL_REASON_CAUSE_CLEARED: "worked",
    events_pb2.WITHDRAWAL_REASON_CAUSE_HOLDS: "recurred",
}


@reactions.on(events_pb2.TaskRequested)
async def requested(event: Heard[events_pb2.TaskRequested], work: Work) -> None:
    content = event.message.content
    protovalidate.validate(event.message)
    if content.origin != event.source:
        raise errors.InvalidArgument("ORIGIN_DIFFERS", f"{event.source} raises a task of {content.origin}")
    provenance = Provenance(source=event.source, source_id=event.id, brought_by=event.source)
    provenance.observed_time.CopyFrom(protos.timestamp(event.time))
    await raise_tasks([draft(content, provenance, event.source, work, otherwise=OPERATIONS)], work)


@reactions.on(PersonErased)
async def erase(event: Heard[PersonErased], work: Work) -> None:
    """A person is forgotten (PIPL): tasks about them stay as they were done, without words."""
    named = [record.id for record in event.message.records]
    tasks = await store.erase(work.tx, named, work.rules(TaskRules).erased_title)
    stuck = await forgetting.forget(work, Traces(frozenset(named), frozenset(event.message.address_digests)))
    if event.message.personal_data_request_id:
        forgetting.forget_answers(work, named)
    if tasks or stuck:
        after = {"tasks": len(tasks), "events": stuck}
        work.audit(event.message.personal_data_request_id or next(iter(named), ""), "erase", after=after)


@reactions.on(events_pb2.TaskWithdrawn)
async def withdrawn(event: Heard[events_pb2.TaskWithdrawn], work: Work) -> None:
    """An open task closes by itself; for a settled one it is the proof that the action worked, or that it did not (S102)."""
    told = event.message
    if told.origin != event.source:
        raise errors.InvalidArgument("ORIGIN_DIFFERS", f"{event.source} takes back a task of {told.origin}")
    reason = events_pb2.WithdrawalReason.Name(told.reason).removeprefix("WITHDRAWAL_REASON_").lower()
    at = protos.instant(told.clear_time) if told.HasField("clear_time") else work.now
    evidence = [json_format.MessageToDict(e, preserving_proto_field_name=True) for e in told.evidence]
    acts: list[Act] = []
    for task in await store.of_cause(work.tx, told.origin, told.cause_key):
        if task.state in OPEN:
            if told.reason != events_pb2.WITHDRAWAL_REASON_CAUSE_HOLDS:
                acts.append(acting.withdraw(task, event.source, reason, at, work.now))
        elif told.reason in EFFECT:
            acts.append(acting.judge(task, f"event:{event.source}", EFFECT[told.reason], reason, evidence, work.now))
    record(work, acts)


@reactions.clock(CLOCK)
async def time_is_up(due: list[Due], work: Work) -> None:
    """The next of the line has it; at the top, or after the last escalation, its holder is reminded."""
    held = await store.lock(work.tx, [clock.subject for clock in due], "", work.now)
    book = work.rules(TaskRules)
    acts: list[Act] = []
    for clock in due:
        task = held[clock.subject].task if clock.subject in held else None
        if task is None or task.state not in OPEN:
            continue
        kind = book.kind(task.kind)
        above = work.org.person(signatories.next_above(task.assignee_id, work.org, {task.assignee_id}))
        if above is None or task.escalation_level >= kind.escalations:
            work.tell(messages.assigned(task, f"overdue:{clock.level}", work), task.id)
            continue
        due_at = work.clocks.rearm(clock, kind.due, owner_id=above.id)
        acts.append(acting.escalate(task, above.id, above.unit_id, due_at, f"clock:{CLOCK}", work.now))
    record(work, acts)


@reactions.clock(EFFECT_CLOCK)
async def cause_stayed_away(due: list[Due], work: Work) -> None:
    """Nothing came back within the check window: the action worked."""
    held = await store.lock(work.tx, [clock.subject for clock in due], "", work.now)
    actor = f"clock:{EFFECT_CLOCK}"
    pending = [h.task for h in held.values() if h.task.state == "done" and h.task.effect == "pending"]
    record(work, [acting.judge(task, actor, "worked", "the cause stayed away", (), work.now) for task in pending])


@reactions.on(PersonChanged)
async def person_left(event: Heard[PersonChanged], work: Work) -> None:
    """Tasks of somebody who is gone go to the next up the line, from its top to operations: no task is nobody's."""
    person = event.message
    if person.active:
        return
    ids = await store.on_desk(work.tx, person.person_id)
    if not ids:
        return
    above = work.org.person(signatories.next_above(person.person_id, work.org) or person.manager_id)
    if above is None or not above.active:
        about, titles = About("", person.unit_id), work.rules(TaskRules).titles
        found = signatories.find(OPERATIONS, about, work.org, titles, {person.person_id})
        above = work.org.person(found[0].person_id) if found else None
    if above is None:
        return
    held = await store.lock(work.tx, ids, person.person_id, work.now)
    comment = f"{person.person_id} has left"
    record(work, [acting.give(h.task, "approvals", above.id, above.unit_id, comment, work.now) for h in held.values()])
