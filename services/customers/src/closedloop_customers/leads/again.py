"""Who asks again: an inquiry that joins a lead, or is a customer's, is a touch on the timeline, and somebody hears of
it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from closedloop_chassis.work import Work
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.interactions import desk as interactions
from closedloop_customers.leads import desk, store
from closedloop_customers.leads.rules import Lead, LeadRules

if TYPE_CHECKING:
    from closedloop_customers.leads.intake import Inquiry, Taken


async def noted(work: Work, taken: Taken, asked: Sequence[Inquiry]) -> None:
    """What they asked for stands on the timeline."""
    rules = work.rules(LeadRules)
    said = [(inquiry, taken.joined[taken.lead_of[inquiry.source]]) for inquiry in asked]
    await interactions.record(work, [_touch(one, lead, rules) for one, lead in said if not _said_twice(one, lead)])


async def came_back(work: Work, made: Sequence[tuple[Inquiry, Lead]]) -> None:
    """A customer of ours who asks by a new lead has come to us: it stands on the customer's timeline, and whatever was
    begun because they were silent ends."""
    rules = work.rules(LeadRules)
    known = [(one, lead) for one, lead in made if one.past is None and lead.account_id]
    await interactions.record(work, [_touch(one, lead, rules) for one, lead in known])


async def heard(work: Work, taken: Taken, asked: Sequence[Inquiry]) -> None:
    """Who has a lead that was answered, or waits too long already, is told that it asked again; of one that nobody at
    work has, whoever gets it now. Who still has time for the first answer is told of what was not asked for before."""
    told = {id_: taken.joined[id_] for id_ in sorted({taken.lead_of[inquiry.source] for inquiry in asked})}
    owing = {
        id_: lead
        for id_, lead in told.items()
        if lead.responded_at is not None or lead.response_light != "none" or not lead.owner_id
    }
    left = [lead for lead in owing.values() if not _at_work(work, lead.owner_id)]
    if left:
        missed = await assignment.missed_by(work.tx, [lead.id for lead in left])
        previous, reason = {lead.id: lead.owner_id for lead in left}, "asked again"
        subjects = [desk.subject(lead, missed=missed.get(lead.id, frozenset())) for lead in left]
        choices = await assignment.by_rules(work, "lead", subjects, reason=reason, previous=previous)
        for lead in desk.hand_over(work, [(lead, choices[lead.id]) for lead in left], "rules", reason):
            taken.joined[lead.id] = told[lead.id] = lead
    doubtful = {
        holder.id
        for inquiry in asked
        if (holder := told[taken.lead_of[inquiry.source]]).id not in owing and not _known_need(inquiry, holder)
    }
    needs = await store.needs(work.tx, doubtful)
    news = {(need.source, need.source_id) for found in needs.values() for need in found}
    for inquiry in asked:
        holder = told[taken.lead_of[inquiry.source]]
        if holder.id in owing or inquiry.source in news:
            desk.asked_again(work, holder, inquiry.profile.get("need", ""), inquiry.source)


def _known_need(inquiry: Inquiry, lead: Lead) -> bool:
    return inquiry.profile.get("need", "") in ("", lead.profile.get("need", ""))


def _said_twice(inquiry: Inquiry, lead: Lead) -> bool:
    """A form sent again while nobody has answered yet: no touch of its own."""
    return (
        lead.responded_at is None and inquiry.kept["source"] == lead.provenance["source"] and _known_need(inquiry, lead)
    )


def _touch(inquiry: Inquiry, lead: Lead, rules: LeadRules) -> interactions.Touch:
    """The customer came to us once more."""
    channel = rules.inquiry_channels.get(inquiry.kept["source"], "")
    return interactions.Touch(
        kept=inquiry.kept,
        channel=channel or "web",
        direction="inbound",
        action={"web": "form", "": "list"}.get(channel, ""),
        occurred_at=inquiry.received_at,
        summary=inquiry.profile.get("need", ""),
        account_id=lead.account_id,
        contact_id=lead.contact_id,
        lead_id=lead.id,
    )


def _at_work(work: Work, person_id: str) -> bool:
    person = work.org.person(person_id)
    return person is not None and person.active
