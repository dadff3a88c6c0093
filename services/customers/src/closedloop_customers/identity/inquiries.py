"""Leads that become one and two again: an answer to one is an answer to both, until they are two (U11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from closedloop_chassis.work import Work
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.assignment.desk import Choice
from closedloop_customers.identity import holding, keeping, merging, store
from closedloop_customers.identity.holding import Owner
from closedloop_customers.interactions import desk as interactions
from closedloop_customers.leads import desk as leads
from closedloop_customers.leads import pausing
from closedloop_customers.leads.rules import Lead, ResponseRules, closed, responded
from closedloop_customers.wake_ups import silence


async def absorb(
    work: Work, survivor: Lead, absorbed: Sequence[Lead], joined: merging.Joined, owner: Owner, cited: str
) -> Lead:
    """Queues the leads as one, and answers it. Whoever answered one after the survivor had asked has answered it; whoever
    asked one again since still waits for an answer. A handful of round trips."""
    owing = await leads.owing_again(work.tx, absorbed)
    answers = [one.responded_at for one in absorbed if one.responded_at and one.responded_at >= survivor.received_at]
    known = replace(
        survivor,
        profile=joined.profile,
        owner_id=owner[0],
        unit_id=owner[1],
        account_id=survivor.account_id or next((one.account_id for one in absorbed if one.account_id), None),
        contact_id=survivor.contact_id or next((one.contact_id for one in absorbed if one.contact_id), None),
    )
    deal = next((one for one in absorbed if one.opportunity_id and one.stage != "closed"), None)
    if deal is not None and not survivor.opportunity_id:
        known = replace(
            known, opportunity_id=deal.opportunity_id, converted_at=survivor.converted_at or deal.converted_at
        )
    after = responded(known, min(answers), reached=True, rules=work.rules(ResponseRules)) if answers else known
    gone = []
    for record in absorbed:
        ended = record if record.stage == "closed" else closed(record, "duplicate", "duplicate", work.now)
        gone.append((record, replace(ended, merged_into_id=survivor.id)))
    leads.save(work, [(survivor, after), *gone], "merge", "one customer", cited)
    leads.answered(work, survivor, after)
    for _, record in gone:
        leads.ended(work, record)
    assignment.end(work, "lead", [record.id for record in absorbed])
    holding.handed_over(work, "lead", survivor, owner, "the merge named the owner of the result")
    if owing:
        leads.owe_again(work, after)
    if after.converted_at is not None and after.account_id:
        await interactions.taken_along(work, after.id, after.account_id, after.contact_id)
    return after


async def release(work: Work, merge: store.Merge, survivor: Lead, absorbed: Sequence[Lead], cited: str) -> None:
    """Queues the leads as they were. Who has not been answered by itself is owed an answer from now on. A handful of
    round trips."""
    parted = holding.living(work, keeping.parted("lead", survivor, merge.before[survivor.id], merge.after))
    if survivor.responded_at is not None and parted.responded_at is None:
        own = (await leads.first_answers(work.tx, [survivor.id])).get(survivor.id)
        parted = parted if own is None else responded(parted, own, reached=True, rules=work.rules(ResponseRules))
    back = [holding.kept(work, keeping.returned("lead", one, merge.before[one.id])) for one in absorbed]
    waiting = {
        lead.id
        for lead in (*([parted] if survivor.responded_at is not None else []), *back)
        if lead.stage != "closed" and lead.responded_at is None and not lead.historical
    }
    still = {lead.id: lead for lead in (parted, *back) if lead.paused_until and lead.paused_until > work.now}
    pairs = []
    for old, new in zip((survivor, *absorbed), (parted, *back), strict=True):
        if new.id in waiting and new.owner_id and new.id not in still:
            new = leads.owed(work, new, Choice(new.owner_id, new.unit_id, new.assignment_rule or {}))
        pairs.append((old, new))
    after = leads.save(work, pairs, "unmerge", "two customers", cited)
    holding.handed_over(work, "lead", survivor, (parted.owner_id, parted.unit_id), holding.TAKEN_APART)
    living = [lead for lead in after[1:] if lead.stage != "closed"]
    holding.held_again(work, "lead", living)
    for lead in (one for one in after if one.id in waiting):
        running = replace(lead, paused_until=None)
        leads.start_response_clocks(work, [running] if lead.owner_id else [])
        leads.start_alarm(work, [running])
    listened = [lead for lead in living if lead.owner_id and lead.responded_at and lead.converted_at is None]
    silence.watch(work, "lead", [(lead.id, lead.owner_id, lead.unit_id) for lead in listened])
    for lead in (one for one in living if one.id in still):
        await pausing.pause_again(work, lead)
