"""A version approved puts earlier ones out of use. Decisions themselves are the clearance slice's."""

from __future__ import annotations

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.quotes import store

reactions = Reactions()


@reactions.on(approvals.RequestDecided)
async def supersede(event: Heard[approvals.RequestDecided], work: Work) -> None:
    subject = event.message.subject
    if subject.origin == "funnel" and subject.kind == "quote":
        store.supersede_earlier(work.tx, subject.id, work.now)
