"""Needs that stand in service tickets, and what the funnel made of points (S35)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import ids
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import explanations, records
from closedloop_customers.points import desk, store
from closedloop_customers.points.rules import PointRules, non_standard

reactions = Reactions()


@reactions.on(integrations.TicketReceived)
async def need_in_ticket(event: Heard[integrations.TicketReceived], work: Work) -> None:
    """The sentence that support marked, else the first that asks for what is not standard."""
    told = event.message.ticket
    if told.need_sentence.strip():
        phrase, quote = "", told.need_sentence.strip()
    else:
        found = non_standard(f"{told.title}\n{told.text}", work.rules(PointRules))
        if found is None:
            return
        phrase, quote = found
    keys = [("account", told.account_id), ("contact", told.contact_id)]
    standing = await records.find(work.tx, [key for key in keys if ids.is_id(key[1])])
    account, contact = (standing.get(key) for key in keys)
    if account is None or not account.open:
        return
    number = told.id or told.number
    why = f"ticket {told.number or number} says “{phrase}”" if phrase else "support marked the sentence"
    kept = {
        "source": "ticket",
        "source_id": number,
        "brought_by": event.source,
        "observed_time": event.time.isoformat(),
    }
    await desk.find(
        work,
        account,
        need=told.title.strip() or quote,
        quote=quote,
        rule=explanations.because(work, PointRules, "phrases" if phrase else "marked", why),
        kept=kept,
        contact_id=contact.id if contact is not None and contact.open else None,
    )


@reactions.batch(funnel.OpportunityChanged)
async def opened(events: Sequence[Heard[funnel.OpportunityChanged]], work: Work) -> None:
    store.opened(
        work.tx,
        [
            (event.message.opportunity_point_id, event.message.opportunity_id)
            for event in events
            if ids.is_id(event.message.opportunity_point_id)
        ],
    )
