"""The funnel's circuit breaker and earned priority (S55, S56, S90); what nobody follows up goes back to the pool (U12)."""

from __future__ import annotations

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import rounds
from closedloop_customers.assignment import leaving, pooling, store
from closedloop_customers.assignment.rules import AssignmentRules

reactions = Reactions()

RECYCLING = "customers.recycling"


@rounds.every(reactions, RECYCLING, lambda work: work.rules(AssignmentRules).recycle_every)
async def recycle(work: Work) -> None:
    await pooling.recycle(work)
    work.tx.do(store.HOLD_ALL)
    work.tx.do(store.RECOUNT)


@reactions.on(targets.PersonChanged)
async def somebody_left(event: Heard[targets.PersonChanged], work: Work) -> None:
    told = event.message
    person = work.org.person(told.person_id)
    if not told.active and (person is None or person.version <= told.version):
        await leaving.raise_task(work, told.person_id, told.unit_id)


@reactions.on(funnel.LeadFeedSuspended)
async def suspended(event: Heard[funnel.LeadFeedSuspended], work: Work) -> None:
    told = event.message
    at = protos.instant(told.suspend_time) if told.HasField("suspend_time") else event.time
    row = {"person_id": told.person_id, "suspended_at": at, "reason": told.rule.explanation, "version": told.version}
    if await work.tx.value(store.SET_FEED, row):
        work.tx.do(store.MOVED)
        work.audit(
            told.person_id, "suspend_feed", {"suspended": False}, {"suspended": True, "reason": told.rule.explanation}
        )


@reactions.on(funnel.LeadFeedResumed)
async def resumed(event: Heard[funnel.LeadFeedResumed], work: Work) -> None:
    told = event.message
    row = {"person_id": told.person_id, "suspended_at": None, "reason": "", "version": told.version}
    if await work.tx.value(store.SET_FEED, row):
        work.tx.do(store.MOVED)
        work.audit(told.person_id, "resume_feed", {"suspended": True}, {"suspended": False})


@reactions.on(funnel.LeadPriorityGranted)
async def priority_granted(event: Heard[funnel.LeadPriorityGranted], work: Work) -> None:
    told = event.message
    until = protos.instant(told.end_time)
    work.tx.do(store.SET_PRIORITY, {"person_id": told.person_id, "until": until})
    work.tx.do(store.MOVED)
    work.audit(told.person_id, "grant_priority", {}, {"priority_until": until, "points_entry_id": told.points_entry_id})
