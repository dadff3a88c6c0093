"""Every Monday the week before is asked about; what became of the letters is noted."""

from __future__ import annotations

import secrets
from datetime import timedelta

from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import ids
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.mornings import every_day
from closedloop_funnel.surveys import drawing, store
from closedloop_funnel.surveys.drawing import ORIGIN
from closedloop_funnel.surveys.rules import SurveyRules

MORNING = "funnel.surveys"
WEEK = timedelta(weeks=1)
# Who closed the channel is not asked by it; the others were not reached.
LOST = {
    deliveries_pb2.DELIVERY_STATE_BOUNCED: "undeliverable",
    deliveries_pb2.DELIVERY_STATE_FAILED: "undeliverable",
    deliveries_pb2.DELIVERY_STATE_SUPPRESSED: "opted_out",
}

reactions = Reactions()


@every_day(reactions, MORNING, lambda work: work.rules(SurveyRules).hour)
async def weekly(work: Work) -> None:
    today = work.home.today()
    if work.rules(SurveyRules).weekly and today.isoweekday() == 1:
        begins, ends = work.home.moment(today - WEEK), work.home.moment(today)
        await drawing.draw(work, begins, ends, "", None, secrets.randbits(62), chosen=False)


@reactions.on(integrations.DeliveryReported)
async def delivered(event: Heard[integrations.DeliveryReported], work: Work) -> None:
    told = event.message
    if told.origin != ORIGIN or told.subject_type != "survey" or not ids.is_id(told.subject_id):
        return
    state = LOST.get(told.state)
    if state is not None and await work.tx.value(store.DELIVERED, {"id": told.subject_id, "state": state}):
        work.audit(told.subject_id, "delivery", {"state": "sent"}, {"state": state})
