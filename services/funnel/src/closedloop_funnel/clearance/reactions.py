"""Decisions that come back from approvals (S65, S66)."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import requests_pb2
from closedloop_chassis import protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.clearance import store
from closedloop_funnel.clearance.telling import ORIGIN

reactions = Reactions()


def _ours(subject: requests_pb2.Subject) -> bool:
    return subject.origin == ORIGIN and subject.kind in store.KINDS


@reactions.on(approvals.RequestOpened)
async def opened(event: Heard[approvals.RequestOpened], work: Work) -> None:
    told = event.message
    if _ours(told.subject):
        store.opened(
            work.tx,
            told.subject.kind,
            id=told.subject.id,
            version=told.subject.version,
            approval_id=told.request_id,
            due_at=protos.instant(told.due_time) if told.HasField("due_time") else None,
            now=work.now,
        )


@reactions.on(approvals.RequestDecided)
async def decided(event: Heard[approvals.RequestDecided], work: Work) -> None:
    told = event.message
    if not _ours(told.subject):
        return
    approved = told.state == requests_pb2.REQUEST_STATE_APPROVED
    outcome = "approved" if approved else "refused"
    words = " · ".join(filter(None, (told.comment, told.conditions)))
    await _settle(told.subject, outcome, outcome, told.request_id, told.decided_by, words, told.decide_time, work)


@reactions.on(approvals.RequestReturned)
async def returned(event: Heard[approvals.RequestReturned], work: Work) -> None:
    told = event.message
    if not _ours(told.subject):
        return
    state = "sent_back"
    await _settle(told.subject, state, state, told.request_id, told.returned_by, told.comment, told.return_time, work)


@reactions.on(approvals.RequestRecalled)
async def recalled(event: Heard[approvals.RequestRecalled], work: Work) -> None:
    told = event.message
    if not _ours(told.subject):
        return
    await _settle(told.subject, "draft", "withdrawn", told.request_id, "", told.reason, told.recall_time, work)


async def _settle(
    subject: requests_pb2.Subject,
    state: str,
    approval_state: str,
    approval_id: str,
    decider: str,
    comment: str,
    at: Timestamp,
    work: Work,
) -> None:
    took = await store.settled(
        work.tx,
        subject.kind,
        id=subject.id,
        version=subject.version,
        digest=subject.digest,
        state=state,
        approval_state=approval_state,
        approval_id=approval_id,
        deciders=[decider] if decider else [],
        comment=comment,
        at=protos.instant(at) if at.seconds else work.now,
        now=work.now,
    )
    after = {"state": state, "approval_id": approval_id, "decided_by": decider, "comment": comment}
    action = f"approval_{approval_state}" if took else f"approval_{approval_state}_ignored"
    work.audit(subject.id, action, {"state": "submitted"}, after if took else {"state": "submitted"})
