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
    """Their approval is taken back as well: nobody may issue them, and they no longer count beside their successor."""
    subject = event.message.subject
    if subject.origin != ORIGIN or subject.kind != "quote":
        return
    for quote_id, revision in (await store.supersede_earlier(work.tx, subject.id, work.now)).items():
        work.tell(
            approvals.ApprovalWithdrawn(
                origin=ORIGIN,
                kind="quote",
                subject_id=quote_id,
                version=revision,
                reason=f"superseded by {subject.title}",
            ),
            quote_id,
        )
        work.audit(quote_id, "supersede", after={"state": "superseded"})
