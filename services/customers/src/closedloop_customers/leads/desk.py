"""The one way in which a lead changes; what other slices may ask of leads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_customers import asking, identifiers, profiles
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.assignment.desk import Choice, Subject
from closedloop_customers.leads import store, wire
from closedloop_customers.leads.rules import Lead, ResponseRules, closed
from closedloop_customers.playbooks.desk import Arrival, arrived
from closedloop_customers.playbooks.rules import Facts
from closedloop_customers.records import Erased
from closedloop_customers.wake_ups import silence

FIRST_RESPONSE = "customers.first_response"
UNANSWERED = "customers.unanswered"
# Asked again after an answer: an answer is owed anew.
ASKED_AGAIN = "customers.asked_again"
# A code of the reasons for which leads end.
PERSON_ERASED = "person_erased"
PERSONAL = frozenset({"contact_name", "job_title", "phone", "email_address", "wechat_id", "need", "custom_fields"})


def save(
    work: Work, pairs: Sequence[tuple[Lead, Lead]], action: str, reason: str = "", business_action: str = ""
) -> list[Lead]:
    """Queues leads as they are after a change of (before, after), with trail and history, and answers them."""
    after = [replace(new, version=old.version + 1, updated_at=work.now) for old, new in pairs]
    steps = []
    for (old, _), new in zip(pairs, after, strict=True):
        work.audit(new.id, action, trail(old), trail(new), business_action)
        if new.stage != old.stage:
            steps.append((new.id, old.stage, new.stage, reason))
    if after:
        store.put(work.tx, after)
        store.add_transitions(work, steps)
    moved = [new for (old, _), new in zip(pairs, after, strict=True) if _followed(old) != _followed(new)]
    arrived(work, [arrival(lead) for lead in moved])
    return after


def arrival(lead: Lead) -> Arrival:
    """The lead as its playbook sees it, in the hands it is in."""
    profile = lead.profile
    facts = Facts(
        type="lead",
        stage=_followed(lead),
        source=lead.provenance["source"],
        industry=profile.get("industry", ""),
        product_lines=tuple(profile.get("product_lines", ())),
    )
    return Arrival(lead.id, facts, lead.unit_id)


def _followed(lead: Lead) -> str:
    """The stage it is followed in; empty where nobody follows it by a playbook any more."""
    return "" if lead.converted_at is not None or lead.stage == "closed" else lead.stage


def trail(lead: Lead) -> dict[str, Any]:
    names = (
        "stage",
        "outcome",
        "close_reason",
        "account_id",
        "contact_id",
        "opportunity_id",
        "responded_at",
        "response_light",
    )
    return {
        **profiles.trail(lead.profile, PERSONAL),
        **{name: getattr(lead, name) for name in names},
        "ownership.owner_id": lead.owner_id,
        "ownership.unit_id": lead.unit_id,
        "escalation_level": lead.escalation_level,
        "converted_at": lead.converted_at,
        "paused_until": lead.paused_until,
        "closed_at": lead.closed_at,
    }


def subject(
    lead: Lead, *, missed: frozenset[str] = frozenset(), keeper_id: str = "", stand_in_for: str = ""
) -> Subject:
    return Subject(
        id=lead.id,
        region_code=lead.profile.get("region_code", ""),
        industry=lead.profile.get("industry", ""),
        product_lines=tuple(lead.profile.get("product_lines", ())),
        priority=lead.priority,
        keeper_id=keeper_id,
        stand_in_for=stand_in_for,
        missed=missed,
    )


def owed(work: Work, lead: Lead, choice: Choice, due: dict[str, datetime] | None = None) -> Lead:
    """The lead in its owner's hands, with the first response owed from now on if it still is. `due` by unit keeps what
    many leads of one call share."""
    due_at = lead.response_due_at
    if lead.responded_at is None and lead.stage != "closed" and not lead.historical and lead.paused_until is None:
        known = {} if due is None else due
        if choice.unit_id not in known:
            setting = work.rules(ResponseRules).first_response
            known[choice.unit_id] = work.calendars.due(setting, work.now, choice.unit_id)
        due_at = known[choice.unit_id]
    return replace(
        lead,
        owner_id=choice.owner_id,
        unit_id=choice.unit_id,
        assignment_rule=choice.rule,
        response_due_at=due_at,
    )


def start_response_clocks(work: Work, leads: Sequence[Lead]) -> None:
    """The hours of the first response, from now, for every lead that is owed one."""
    waiting = [lead for lead in leads if lead.responded_at is None and lead.stage != "closed" and not lead.historical]
    started = [_timed(lead) for lead in waiting if lead.paused_until is None]
    work.clocks.start_many(FIRST_RESPONSE, work.rules(ResponseRules).first_response, started)


def start_alarm(work: Work, leads: Sequence[Lead]) -> None:
    """The alarm counts from the inquiry, however late it reached us and with how many others."""
    waiting = [lead for lead in leads if lead.responded_at is None and lead.stage != "closed" and not lead.historical]
    late = {lead.id: work.now - lead.received_at for lead in waiting}
    work.clocks.start_many(UNANSWERED, work.rules(ResponseRules).unanswered, [_timed(one) for one in waiting], late)


def _timed(lead: Lead) -> tuple[str, str, str, dict[str, Any]]:
    return lead.id, lead.owner_id, lead.unit_id, {}


def answered(work: Work, old: Lead, new: Lead) -> None:
    """Queues what the first answer ends, clocks and the managers' tasks; from now on silence is listened for."""
    if new.responded_at is None or old.responded_at is not None:
        return
    work.clocks.meet(FIRST_RESPONSE, new.id)
    work.clocks.meet(UNANSWERED, new.id)
    silence.watch(work, "lead", [(new.id, new.owner_id, new.unit_id)])
    if old.escalation_level:
        asking.task_cleared(work, FIRST_RESPONSE, new.id)
    if old.response_light == "red":
        asking.task_cleared(work, UNANSWERED, new.id)


async def first_answers(tx: Transaction, ids: Collection[str]) -> dict[str, datetime]:
    """When each of these was first reached, by what is noted of it; those who never were are missing. One round trip."""
    return {row["lead_id"]: row["at"] for row in await tx.all(store.FIRST_ANSWERS, {"ids": list(ids)})}


def hand_over(
    work: Work, given: Sequence[tuple[Lead, Choice]], method: str, reason: str, *, escalated: bool = False
) -> list[Lead]:
    """Queues leads in other hands, clocks and messages with them; the assignments themselves are written by their
    slice."""
    pairs = []
    for old, choice in given:
        new = owed(work, old, choice)
        if escalated:
            # Whom the alarm was raised for stays red, and so the alarm's task is found again when it is answered.
            light = "red" if old.response_light == "red" else "yellow"
            new = replace(new, escalation_level=old.escalation_level + 1, response_light=light)
        pairs.append((old, new))
    after = save(work, pairs, "assign", reason)
    work.clocks.cancel(FIRST_RESPONSE, *(lead.id for lead in after))
    start_response_clocks(work, [lead for lead in after if lead.owner_id])
    for (old, _), new in zip(given, after, strict=True):
        work.clocks.hand_over(new.id, new.owner_id, new.unit_id)
        tell_assigned(work, new, old.owner_id, method)
    return after


def tell_assigned(work: Work, lead: Lead, previous_owner_id: str, method: str) -> None:
    """LeadAssigned, and a message to who has it now."""
    work.tell(wire.assigned(lead, previous_owner_id, method), lead.id)
    if _hears(work, lead):
        _message(work, lead, previous_owner_id)


def tell_many_assigned(work: Work, given: Sequence[tuple[Lead, str]]) -> None:
    """LeadAssigned of each (lead, method); whoever gets more than a handful at once is told in one message."""
    of_owner: dict[str, list[Lead]] = {}
    for lead, method in given:
        work.tell(wire.assigned(lead, "", method), lead.id)
        if _hears(work, lead):
            of_owner.setdefault(lead.owner_id, []).append(lead)
    most = work.rules(ResponseRules).told_singly
    for owner_id, leads in of_owner.items():
        if len(leads) <= most:
            for lead in leads:
                _message(work, lead, "")
            continue
        due = min((at for at in map(_owed_at, leads) if at is not None), default=None)
        asking.message(
            work,
            person_id=owner_id,
            template="leads_assigned",
            fields={
                "count": len(leads),
                "companies": "、".join(lead.title for lead in leads[:most]),
                "response_due_time": due.isoformat() if due else "",
            },
            dedupe_key=f"customers.leads_assigned:{owner_id}:{leads[0].id}",
            subject_type="lead",
            subject_id=leads[0].id,
            urgent=due is not None,
        )


def _hears(work: Work, lead: Lead) -> bool:
    return bool(lead.owner_id) and not lead.historical and lead.owner_id != work.actor


def _owed_at(lead: Lead) -> datetime | None:
    return lead.response_due_at if lead.responded_at is None else None


def _message(work: Work, lead: Lead, previous_owner_id: str) -> None:
    template = "lead_reassigned" if previous_owner_id else "lead_assigned"
    due = _owed_at(lead)
    asking.message(
        work,
        person_id=lead.owner_id,
        template=template,
        fields={
            "lead_id": lead.id,
            "company_name": lead.title,
            "need": str(lead.profile.get("need", ""))[:500],
            "owner_name": asking.name_of(work, lead.owner_id),
            "previous_owner_name": asking.name_of(work, previous_owner_id) if previous_owner_id else "",
            "reason": str((lead.assignment_rule or {}).get("explanation", "")),
            "response_due_time": due.isoformat() if due else "",
        },
        dedupe_key=f"customers.{template}:{lead.id}:{lead.version}",
        subject_type="lead",
        subject_id=lead.id,
        urgent=due is not None,
    )


def asked_again(work: Work, lead: Lead, need: str, source: tuple[str, str]) -> None:
    """Queues what another inquiry means for a lead somebody has: its owner hears of it, and of an answered one an answer
    is owed anew, as soon as a first one. Who brought it himself knows of it. A clock that runs already goes on."""
    if not _hears(work, lead):
        return
    due = owe_again(work, lead) if lead.responded_at is not None else lead.response_due_at
    asking.message(
        work,
        person_id=lead.owner_id,
        template="lead_asked_again",
        fields={
            "lead_id": lead.id,
            "company_name": lead.title,
            "need": need[:500],
            "response_due_time": due.isoformat() if due else "",
        },
        dedupe_key=f"customers.lead_asked_again:{source[0]}:{source[1]}",
        subject_type="lead",
        subject_id=lead.id,
        urgent=due is not None,
    )


def owe_again(work: Work, lead: Lead) -> datetime | None:
    """Queues the clock of an answer owed anew and answers when it is due; None for a lead that is owed a first one, or
    none."""
    if lead.responded_at is None or lead.stage == "closed":
        return None
    setting = work.rules(ResponseRules).first_response
    work.clocks.start_many(ASKED_AGAIN, setting, [_timed(lead)])
    return work.calendars.due(setting, work.now, lead.unit_id)


async def owing_again(tx: Transaction, leads: Sequence[Lead]) -> set[str]:
    """Which of these were asked again and owe an answer, late or not. One round trip."""
    ids = [lead.id for lead in leads if lead.stage != "closed"]
    return {row["subject"] for row in await tx.all(store.OWING, {"kind": ASKED_AGAIN, "ids": ids})} if ids else set()


def answered_again(work: Work, lead: Lead) -> None:
    """Queues the end of what an inquiry after the first answer began."""
    work.clocks.meet(ASKED_AGAIN, lead.id)
    asking.task_cleared(work, ASKED_AGAIN, lead.id)


def ended(work: Work, lead: Lead) -> None:
    """Queues the end of everything that waits for a lead: clocks, tasks, keys. The assignment ends in its own slice."""
    for kind in (FIRST_RESPONSE, UNANSWERED, ASKED_AGAIN):
        work.clocks.cancel(kind, lead.id)
    if lead.responded_at is not None:
        asking.task_cleared(work, ASKED_AGAIN, lead.id, "subject_gone")
    silence.forget(work, lead.id)
    if lead.escalation_level:
        asking.task_cleared(work, FIRST_RESPONSE, lead.id, "subject_gone")
    if lead.responded_at is None:
        asking.task_cleared(work, UNANSWERED, lead.id, "subject_gone")
    store.give_up_keys(work.tx, [lead.id])


def keys_of(work: Work, profile: Mapping[str, Any]) -> list[str]:
    return identifiers.lead_keys(profile, work.rules(identifiers.MatchingRules))


async def locked(tx: Transaction, ids: Collection[str]) -> dict[str, Lead]:
    """Leads by id, held until the transaction ends. One round trip."""
    return await store.lock(tx, ids)


async def locked_with_keys(tx: Transaction, ids: Collection[str]) -> dict[str, Lead]:
    """The same with their keys, for who ends them. One round trip."""
    return await store.lock_with_keys(tx, ids)


async def get(reader: Reader | Transaction, id: str) -> Lead | None:
    return await store.get(reader, id)


async def erase(work: Work, ids: Collection[str], fields: Collection[str]) -> Erased:
    """These leads without the fields that tell of a person, closed because nobody is left to answer; one that became a
    deal ends with the deal. Answers by what that person was known. One round trip."""
    held = await store.lock_with_keys(work.tx, ids) if ids else {}
    pairs = []
    for old in held.values():
        new = replace(old, profile={name: value for name, value in old.profile.items() if name not in fields})
        dealt = old.converted_at is not None or old.opportunity_id
        pairs.append((old, new if dealt or old.stage == "closed" else closed(new, "invalid", PERSON_ERASED, work.now)))
    after = save(work, pairs, "erase", PERSON_ERASED)
    work.tx.do(store.ERASED, {"ids": list(held), "now": work.now})
    over = [new for (old, _), new in zip(pairs, after, strict=True) if new.stage != old.stage]
    for lead in over:
        ended(work, lead)
        work.tell(wire.closed(lead), lead.id)
    if over:
        assignment.end(work, "lead", [lead.id for lead in over])
    return Erased(
        keys={key for old, _ in pairs for key in keys_of(work, old.profile)},
        names={old.profile.get("contact_name", "") for old, _ in pairs},
        accounts={old.account_id for old, _ in pairs if old.account_id},
    )
