"""A version approved puts earlier ones out of use. Decisions themselves are the clearance slice's."""

from __future__ import annotations

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.clearance.telling import ORIGIN
from closedloop_funnel.quotes import store

reactions = Reactions()


@reactions.on(approvals.RequestDecided)
async def supersede(event: Heard[approvals.RequestDecided], work: Work) -> None:
    """What had not gone out by then loses its approval as well: nobody may issue it, and it no longer counts beside its
    successor. What a customer holds in his hand goes on counting, or a project could be split by versions."""
    subject = event.message.subject
    if subject.origin != ORIGIN or subject.kind != "quote":
        return
    for earlier in await store.supersede_earlier(work.tx, subject.id, work.now):
        work.audit(earlier.id, "supersede", after={"state": "superseded"})
        if earlier.issued_at is None:
            taken = approvals.ApprovalWithdrawn(
                origin=ORIGIN,
                kind="quote",
                subject_id=earlier.id,
                version=earlier.submitted_revision,
                reason=f"superseded by {subject.title}",
            )
            work.tell(taken, earlier.id)
