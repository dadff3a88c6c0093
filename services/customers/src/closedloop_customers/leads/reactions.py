"""Time and the funnel: leads that nobody answers, and leads whose opportunity is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import Evidence, Light
from closedloop.customers.v1 import events_pb2 as events
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Due, Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import asking, explanations
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.leads import bulk, desk, pausing, store, wire
from closedloop_customers.leads.rules import Lead, ResponseRules, closed

reactions = Reactions()


@reactions.batch(events.LeadPosted)
async def posted(heard: Sequence[Heard[events.LeadPosted]], work: Work) -> None:
    """Rows of a signed webhook come in by the door of every inquiry (S21)."""
    await bulk.posted(work, [event.message.row for event in heard])


@reactions.clock(desk.FIRST_RESPONSE)
async def response_overdue(due: list[Due], work: Work) -> None:
    """No first response in time: the next seller gets it, the manager gets a task; out of sellers it goes to the
    pool (S23)."""
    leads = await _unanswered(due, work)
    if not leads:
        return
    missed = await assignment.missed_by(work.tx, list(leads))
    sellers = await assignment.everybody(work, work.tx, "lead")
    stand_ins = {seller.person_id: seller.stand_in_id for seller in sellers if "on_leave" in seller.away}
    given_up = {lead.id for lead in leads.values() if lead.escalation_level >= work.rules(ResponseRules).reassignments}
    subjects = [
        desk.subject(lead, missed=missed.get(lead.id, frozenset()), stand_in_for=stand_ins.get(lead.owner_id, ""))
        for lead in leads.values()
        if lead.id not in given_up
    ]
    previous = {lead.id: lead.owner_id for lead in leads.values()}
    reason = "no first response in time"
    chosen = await assignment.by_rules(
        work,
        "lead",
        subjects,
        method="response_overdue",
        reason=reason,
        previous=previous,
        pool_reason="unanswered",
        sellers=sellers,
    )
    if given_up:
        rule = explanations.because(
            work, ResponseRules, "reassignments", "as many owners as the rule allows let it lie"
        )
        pooled = {id_: assignment.Choice("", leads[id_].unit_id, rule) for id_ in sorted(given_up)}
        assignment.give(work, "lead", pooled, "response_overdue", reason, previous, "unanswered")
        chosen |= pooled
    given = [(lead, chosen[lead.id]) for lead in leads.values()]
    after = desk.hand_over(work, given, "response_overdue", reason, escalated=True)
    for old, new in zip(leads.values(), after, strict=True):
        _call_manager(work, old, new)


@reactions.clock(desk.UNANSWERED)
async def still_unanswered(due: list[Due], work: Work) -> None:
    """48 hours without an answer: the red light, and a task for the manager (S24)."""
    leads = await _unanswered(due, work)
    setting = work.rules(ResponseRules).unanswered
    pairs = [(lead, replace(lead, response_light="red")) for lead in leads.values()]
    for lead in desk.save(work, pairs, "alarm", "unanswered"):
        waited = (work.now - lead.received_at).total_seconds() / 3600
        rule = explanations.because(
            work, ResponseRules, "unanswered", f"{waited:.1f} h without an answer, {setting.hours:g} h allowed"
        )
        _step_in(
            work,
            desk.UNANSWERED,
            lead,
            lead,
            f"线索 {lead.title} 已 {waited:.0f} 小时未回应",
            "超过时限未回应，转化率将大幅下降：请亲自联系或改派。",
            rule,
            light=Light.LIGHT_RED,
            priority=tasks_pb2.TASK_PRIORITY_URGENT,
            cause_time=lead.received_at,
            evidence=[Evidence(name="waited", value=round(waited, 2), unit="h")],
        )


@reactions.clock(desk.ASKED_AGAIN)
async def asked_in_vain(due: list[Due], work: Work) -> None:
    """Who asked again after an answer and got none in time: a task for the manager."""
    up = [one.subject for one in due if one.phase == "due"]
    setting = work.rules(ResponseRules).first_response
    rule = explanations.because(work, ResponseRules, "first_response", f"{setting.hours:g} h for an answer have passed")
    for lead in (await store.lock(work.tx, up) if up else {}).values():
        if lead.stage == "closed":
            continue
        _step_in(
            work,
            desk.ASKED_AGAIN,
            lead,
            lead,
            f"线索 {lead.title} 再次咨询未按时回应",
            "客户再次咨询，负责人未按时回应：请亲自联系或改派。",
            rule,
        )


@reactions.on(funnel.OpportunityChanged)
async def taken_up(event: Heard[funnel.OpportunityChanged], work: Work) -> None:
    """The funnel opened an opportunity for a lead."""
    if not event.message.lead_id:
        return
    leads = await store.lock_of_opportunity(work.tx, "", event.message.lead_id)
    pairs = [(old, replace(old, opportunity_id=event.message.opportunity_id)) for old in leads]
    desk.save(work, [(old, new) for old, new in pairs if old != new], "opportunity")


@reactions.on(funnel.OpportunityWon)
async def won(event: Heard[funnel.OpportunityWon], work: Work) -> None:
    await _decided(work, event.message.opportunity_id, event.message.lead_id, "won")


@reactions.on(funnel.OpportunityLost)
async def lost(event: Heard[funnel.OpportunityLost], work: Work) -> None:
    await _decided(work, event.message.opportunity_id, event.message.lead_id, "lost")


@reactions.on(targets.PersonChanged)
async def owner_moved(event: Heard[targets.PersonChanged], work: Work) -> None:
    """Open leads belong to the unit their owner belongs to."""
    told = event.message
    person = work.org.person(told.person_id)
    if not told.active or (person is not None and person.version > told.version):
        return
    moved = {"owner_id": told.person_id, "unit_id": told.unit_id, "now": work.now}
    for row in await work.tx.all(store.OF_OWNER_ELSEWHERE, moved):
        work.audit(row["id"], "follow_owner", {}, {"ownership.unit_id": told.unit_id})


@reactions.timer(pausing.PAUSE)
async def pause_over(rung: list[Rung], work: Work) -> None:
    """The moment agreed with the customer has come (U8)."""
    for lead in (await store.lock(work.tx, [one.subject for one in rung])).values():
        if lead.paused_until is not None and lead.paused_until <= work.now:
            await pausing.resume(work, lead)


async def _decided(work: Work, opportunity_id: str, lead_id: str, outcome: str) -> None:
    """A converted lead closes by itself when its opportunity is decided."""
    if not lead_id:
        return
    leads = await store.lock_of_opportunity(work.tx, opportunity_id, lead_id)
    reason = f"opportunity_{outcome}"
    pairs = [(old, closed(replace(old, opportunity_id=opportunity_id), outcome, reason, work.now)) for old in leads]
    for lead in desk.save(work, pairs, "close", reason):
        desk.ended(work, lead)
        assignment.end(work, "lead", [lead.id])
        work.tell(wire.closed(lead), lead.id)


async def _unanswered(due: list[Due], work: Work) -> dict[str, Lead]:
    """Leads whose time is up and that still wait for their first response."""
    up = [d.subject for d in due if d.phase == "due"]
    found = await store.lock(work.tx, up) if up else {}
    return {id_: lead for id_, lead in found.items() if lead.stage != "closed" and lead.responded_at is None}


def _call_manager(work: Work, old: Lead, new: Lead) -> None:
    setting = work.rules(ResponseRules).first_response
    to = f"已改派给 {asking.name_of(work, new.owner_id)}" if new.owner_id else "无人可派，已进入公海"
    missed = asking.name_of(work, old.owner_id) if old.owner_id else "公海"
    rule = explanations.because(
        work,
        ResponseRules,
        "first_response",
        f"{setting.hours:g} working hours passed without a first response; level {new.escalation_level}",
    )
    _step_in(
        work,
        desk.FIRST_RESPONSE,
        old,
        new,
        f"线索 {new.title} 未按时首响（{missed}）",
        f"{missed} 未在 {setting.hours:g} 个工作小时内首次响应；{to}。",
        rule,
        cause_time=old.response_due_at,
        evidence=[Evidence(name="escalation_level", value=new.escalation_level, unit="1")],
    )


def _step_in(
    work: Work,
    warning: str,
    missed_by: Lead,
    lead: Lead,
    title: str,
    description: str,
    rule: explanations.Explanation,
    **more: Any,
) -> None:
    """A task for who leads the owner that let the lead lie; `missed_by`: the lead as that one had it."""
    asking.task(
        work,
        kind="intervention",
        warning=warning,
        origin_checks=True,
        subject_type="lead",
        subject_id=lead.id,
        title=title,
        description=description,
        assignee="manager_of_owner",
        owner_id=missed_by.owner_id,
        unit_id=missed_by.unit_id,
        account_id=lead.account_id or "",
        rule=explanations.reference(rule),
        **more,
    )
