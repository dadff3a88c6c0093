"""Intake: every channel through one door, each inquiry once for ever, each person in one lead (S21)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from closedloop.customers.v1 import leads_pb2 as pb
from closedloop_chassis import enums, errors, protos, structs
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call, Work
from closedloop_customers import codes, custom_fields, identifiers, profiles, provenance, records
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.leads import again, desk, store, wire
from closedloop_customers.leads.rules import Lead, LeadRules, ResponseRules, check_payload, priority
from closedloop_customers.playbooks.desk import arrived

Source = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Past:
    """What became of an inquiry of old, as an import tells it."""

    stage: str
    outcome: str
    responded_at: datetime | None
    converted_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Inquiry:
    position: int
    profile: dict[str, Any]
    kept: dict[str, Any]
    payload: dict[str, Any] | None
    consents: list[dict[str, Any]]
    received_at: datetime
    owner_id: str = ""
    account_id: str | None = None
    contact_id: str | None = None
    past: Past | None = None
    lead_id: str = field(default_factory=new_id)

    @property
    def source(self) -> Source:
        return self.kept["source"], self.kept["source_id"]


@dataclass(slots=True)
class Taken:
    """Leads that were made, leads that inquiries joined, and by source the lead an inquiry is in now."""

    made: dict[str, Lead] = field(default_factory=dict)
    joined: dict[str, Lead] = field(default_factory=dict)
    known: set[Source] = field(default_factory=set)
    lead_of: dict[Source, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Customer:
    account_id: str
    contact_id: str | None
    owner_id: str


def read(
    work: Work,
    row: pb.IntakeLeadRequest | pb.LeadRow,
    kept: dict[str, Any],
    position: int = 0,
    *,
    historical: bool = False,
) -> Inquiry:
    """Raises InvalidArgument for originals, codes, people, consents and moments that cannot be."""
    code_rules, rules = work.rules(codes.CodeRules), work.rules(LeadRules)
    check_payload(row.payload.ByteSize(), rules)
    profile = profiles.read(row.profile)
    codes.check(profile, code_rules, work.org)
    identifiers.check_ways(profile, work.rules(identifiers.MatchingRules))
    custom_fields.check("lead", profile, work.rules(custom_fields.FieldRules))
    if not profile.get("region_code") and (region := codes.region_of(profile, code_rules)):
        profile["region_code"] = region
    if row.owner_id:
        unit_id = records.person_unit(work, row.owner_id)
        if isinstance(work, Call):
            work.authorize(row.owner_id, unit_id)
    received = provenance.observed(kept)
    _check_moment(received, work.now, rules, historical)
    consents = [
        {
            "purpose": consent.purpose,
            "text_version": consent.text_version,
            "grant_time": (
                protos.instant(consent.grant_time) if consent.HasField("grant_time") else received
            ).isoformat(),
        }
        for consent in row.consents
    ]
    if kept["source"] in rules.consent_sources and rules.consent_purpose not in {c["purpose"] for c in consents}:
        raise errors.FailedPrecondition(
            "CONSENT_MISSING", f"inquiries by {kept['source']} bring consent to {rules.consent_purpose}"
        )
    return Inquiry(
        position=position,
        profile=profile,
        kept=kept,
        payload=structs.plain(row.payload, "payload") if row.HasField("payload") else None,
        consents=consents,
        received_at=received,
        owner_id=row.owner_id,
        account_id=(row.account_id or None) if isinstance(row, pb.IntakeLeadRequest) else None,
        contact_id=(row.contact_id or None) if isinstance(row, pb.IntakeLeadRequest) else None,
        past=_past(row, received) if isinstance(row, pb.LeadRow) and historical else None,
    )


async def take(work: Work, inquiries: Sequence[Inquiry], *, historical: bool = False) -> Taken:
    """Claims sources and ways to answer, makes or joins leads and assigns the new ones; queues all of it.

    Whoever brings the same source or the same phone at the same instant waits for the other and joins its lead."""
    taken = Taken()
    claimed = await store.claim_sources(work.tx, [_submission(inquiry) for inquiry in inquiries])
    taken.lead_of = {source: lead_id for source, (lead_id, _) in claimed.items()}
    taken.known = {source for source, (_, fresh) in claimed.items() if not fresh}
    fresh = [inquiry for inquiry in inquiries if inquiry.source not in taken.known]
    if not fresh:
        return taken
    own = {inquiry.lead_id: desk.keys_of(work, inquiry.profile) for inquiry in fresh}
    keys, within = _within(fresh, own)
    matching = work.rules(identifiers.MatchingRules)
    names = {inquiry.lead_id: _name_key(inquiry, matching) for inquiry in fresh}
    claims = await store.claim_keys(work.tx, keys, {name for name in names.values() if name})
    joins = _joins(within, keys, claims)
    looked_up = {id_: [*own[id_], name] for id_, name in names.items()}
    await _settle(work, taken, fresh, joins, _customers(claims), looked_up, historical)
    return taken


async def take_one(work: Work, inquiry: Inquiry) -> Taken:
    """The same for one that comes on its own: what it meets and who could get it are one round trip."""
    own = desk.keys_of(work, inquiry.profile)
    name = _name_key(inquiry, work.rules(identifiers.MatchingRules))
    if not work.overtaken and (taken := await _met_nobody(work, inquiry, own, name)) is not None:
        return taken
    claiming = store.claim_one(_submission(inquiry), own, name)
    question = None if inquiry.owner_id else _question(work, inquiry)
    found = await work.tx.each(claiming, *([question.statement] if question else []))
    lead_id, fresh, claims = store.claimed(found[0])
    taken = Taken(lead_of={inquiry.source: lead_id}, known=set() if fresh else {inquiry.source})
    if not fresh:
        return taken
    joins = _joins({}, dict.fromkeys(own, inquiry.lead_id), claims)
    customers, looked_up = _customers(claims), {inquiry.lead_id: [*own, name]}
    sellers = None
    if question is not None and not joins:
        keeper = _customer(customers, looked_up[inquiry.lead_id])
        sellers = await question.answered(found[1], work.tx, keeper.owner_id if keeper else "")
    await _settle(work, taken, [inquiry], joins, customers, looked_up, False, sellers)
    return taken


async def _met_nobody(work: Work, inquiry: Inquiry, own: Sequence[str], name: str) -> Taken | None:
    """Most come from somebody who asks for the first time: they are looked up, and written, with all who come at once.
    None where somebody is known, and keys are to be claimed under their locks."""
    question = None if inquiry.owner_id else _question(work, inquiry)
    statement = question.statement if question else None
    met = await store.met(work.db, store.Look(*inquiry.source, own, name, statement))
    if met.known or any(claim.lead_id is not None for claim in met.claims):
        return None
    customers, looked_up = _customers(met.claims), {inquiry.lead_id: [*own, name]}
    sellers = None
    if question is not None:
        keeper = _customer(customers, looked_up[inquiry.lead_id])
        sellers = await question.answered(met.loads, work.db, keeper.owner_id if keeper else "")
    taken = Taken(lead_of={inquiry.source: inquiry.lead_id})
    store.submit(work.tx, _submission(inquiry), own)
    await _make(work, taken, [inquiry], looked_up, customers, False, sellers)
    return taken


def _question(work: Work, inquiry: Inquiry) -> assignment.Question:
    profile = inquiry.profile
    lines = tuple(profile.get("product_lines", ()))
    kind = assignment.Subject(inquiry.lead_id, profile.get("region_code", ""), profile.get("industry", ""), lines)
    return assignment.Question(work, "lead", kind)


async def _settle(
    work: Work,
    taken: Taken,
    fresh: Sequence[Inquiry],
    joins: Mapping[str, str],
    customers: Mapping[str, _Customer],
    looked_up: Mapping[str, Sequence[str]],
    historical: bool,
    sellers: Sequence[assignment.Seller] | None = None,
) -> None:
    """`looked_up`: by lead the keys by which it would know a customer."""
    for inquiry in fresh:
        taken.lead_of[inquiry.source] = joins.get(inquiry.lead_id, inquiry.lead_id)
    if joins:
        store.join(work.tx, joins)
    makers = _whole(fresh, joins) if joins else list(fresh)
    await _join(work, taken, [inquiry for inquiry in fresh if inquiry.lead_id in joins], makers)
    await _make(work, taken, makers, looked_up, customers, historical, sellers)


def _whole(fresh: Sequence[Inquiry], joins: Mapping[str, str]) -> list[Inquiry]:
    """Inquiries that make a lead, each with what those that join it in the same call say besides."""
    profiles_of = {inquiry.lead_id: inquiry.profile for inquiry in fresh if inquiry.lead_id not in joins}
    for inquiry in fresh:
        if inquiry.past is None and (lead_id := joins.get(inquiry.lead_id)) in profiles_of:
            profiles_of[lead_id] = profiles.completed(profiles_of[lead_id], inquiry.profile)
    return [replace(inquiry, profile=profiles_of[inquiry.lead_id]) for inquiry in fresh if inquiry.lead_id not in joins]


def _customers(claims: Iterable[store.Claim]) -> dict[str, _Customer]:
    """By key. A person is at the customer they were noted at first; a name that several have, shops of one legal person, is
    nobody's: whoever gets the lead finds out which."""
    found: dict[str, list[_Customer]] = {}
    for claim in claims:
        if claim.account_id is not None:
            found.setdefault(claim.key, []).append(_Customer(claim.account_id, claim.contact_id, claim.owner_id))
    return {
        key: min(several, key=lambda one: one.contact_id or "")
        for key, several in found.items()
        if several[0].contact_id is not None or len({one.account_id for one in several}) == 1
    }


def _customer(customers: Mapping[str, _Customer], looked_up: Iterable[str]) -> _Customer | None:
    return next((customers[key] for key in looked_up if key in customers), None)


def _within(fresh: Iterable[Inquiry], keys_of: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Keys by the lead that asks for them, and which of these inquiries join an earlier one of them."""
    keys: dict[str, str] = {}
    joins: dict[str, str] = {}
    for inquiry in fresh:
        if inquiry.past is not None and inquiry.past.stage == "closed":
            continue
        own = keys_of[inquiry.lead_id]
        first = next((keys[key] for key in own if key in keys), None)
        if first is not None:
            joins[inquiry.lead_id] = first
        for key in own:
            keys.setdefault(key, first or inquiry.lead_id)
    return keys, joins


def _joins(within: Mapping[str, str], keys: Mapping[str, str], claims: Iterable[store.Claim]) -> dict[str, str]:
    """Lead that would have been made → lead it joins; the oldest where several have one of its keys."""
    held: dict[str, str] = {}
    for claim in claims:
        if claim.lead_id is not None and claim.lead_id != (wanted := keys[claim.key]):
            held[wanted] = min(held.get(wanted, claim.lead_id), claim.lead_id)
    return {**{lead: held.get(first, first) for lead, first in within.items()}, **held}


async def _join(work: Work, taken: Taken, joining: Sequence[Inquiry], makers: Sequence[Inquiry]) -> None:
    """Inquiries that joined a lead fill what it leaves empty, and somebody hears of them."""
    made_here = {inquiry.lead_id for inquiry in makers}
    ids = {taken.lead_of[inquiry.source] for inquiry in joining} - made_here
    if not ids:
        return
    before = await desk.locked(work.tx, ids)
    after = dict(before)
    for inquiry in joining:
        lead = after.get(taken.lead_of[inquiry.source])
        if lead is not None:
            after[lead.id] = replace(lead, profile=profiles.completed(lead.profile, inquiry.profile))
    for lead in desk.save(work, [(before[id_], after[id_]) for id_ in before], "join"):
        taken.joined[lead.id] = lead
    asked = [inquiry for inquiry in joining if inquiry.past is None and taken.lead_of[inquiry.source] in taken.joined]
    await again.noted(work, taken, asked)
    await again.heard(work, taken, asked)


async def _make(
    work: Work,
    taken: Taken,
    makers: Sequence[Inquiry],
    looked_up: Mapping[str, Sequence[str]],
    customers: Mapping[str, _Customer],
    historical: bool,
    sellers: Sequence[assignment.Seller] | None,
) -> None:
    if not makers:
        return
    rules = work.rules(LeadRules)
    leads: dict[str, Lead] = {}
    keepers: dict[str, str] = {}
    for inquiry in makers:
        customer = _customer(customers, looked_up[inquiry.lead_id])
        lead = _lead(work, inquiry, customer, rules)
        leads[lead.id] = lead
        keepers[lead.id] = customer.owner_id if customer else ""
    named = {inquiry.lead_id: inquiry.owner_id for inquiry in makers if inquiry.owner_id}
    subjects = [
        desk.subject(lead, keeper_id=keepers[lead.id])
        for lead in leads.values()
        if lead.id not in named and lead.stage != "closed"
    ]
    choices = await assignment.by_rules(work, "lead", subjects, sellers=sellers) if subjects else {}
    for method, people in _by_method(work, named).items():
        held = [(id_, person, _unit(work, person)) for id_, person in people.items()]
        for row in assignment.hold(work, "lead", held, method, "named by who brought it"):
            choices[row.record_id] = assignment.Choice(row.owner_id, row.unit_id, row.rule)
    store_now: list[Lead] = []
    due: dict[str, datetime] = {}
    for lead in leads.values():
        choice = choices.get(lead.id)
        store_now.append(desk.owed(work, lead, choice, due) if choice else lead)
    _write(work, store_now, named, historical)
    taken.made = {lead.id: lead for lead in store_now}
    await again.came_back(work, [(inquiry, taken.made[inquiry.lead_id]) for inquiry in makers])


def _write(work: Work, leads: Sequence[Lead], named: Mapping[str, str], historical: bool) -> None:
    store.add(work.tx, leads)
    store.add_transitions(work, [(lead.id, "", lead.stage, "") for lead in leads])
    desk.start_response_clocks(work, leads)
    desk.start_alarm(work, leads)
    arrived(work, [desk.arrival(lead) for lead in leads if not lead.historical], fresh=True)
    given: list[tuple[Lead, str]] = []
    for lead in leads:
        work.audit(lead.id, "intake", {}, desk.trail(lead))
        work.tell(wire.received(lead), lead.id)
        if lead.owner_id and lead.stage != "closed":
            method = next(iter(_by_method(work, {lead.id: named[lead.id]}))) if lead.id in named else "rules"
            given.append((lead, method))
    desk.tell_many_assigned(work, given)
    ended = [lead.id for lead in leads if lead.stage == "closed" and lead.id in named]
    if ended:
        assignment.end(work, "lead", ended)


def _lead(work: Work, inquiry: Inquiry, customer: _Customer | None, rules: LeadRules) -> Lead:
    past = inquiry.past
    alarm = work.rules(ResponseRules).unanswered
    waiting = past is None
    return Lead(
        id=inquiry.lead_id,
        profile=inquiry.profile,
        stage=past.stage if past else "lead",
        closed_from="lead" if past and past.stage == "closed" else "",
        outcome=past.outcome if past else "",
        close_reason="",
        owner_id="",
        unit_id="",
        assignment_rule=None,
        priority=priority(
            inquiry.profile, inquiry.kept["source"], customer is not None, inquiry.received_at, rules.priority
        ),
        account_id=inquiry.account_id or (customer.account_id if customer else None),
        contact_id=inquiry.contact_id or (customer.contact_id if customer and not inquiry.account_id else None),
        opportunity_id=None,
        provenance=inquiry.kept,
        received_at=inquiry.received_at,
        response_due_at=None,
        alarm_at=inquiry.received_at + alarm.budget(timedelta(days=1)) if waiting else None,
        responded_at=past.responded_at if past else None,
        responded_in_time=None,
        escalation_level=0,
        response_light="none",
        last_interaction_at=past.responded_at if past else None,
        paused_until=None,
        pauses=0,
        converted_at=past.converted_at if past else None,
        closed_at=past.closed_at if past else None,
        merged_into_id=None,
        historical=past is not None,
        created_at=work.now,
        updated_at=work.now,
        version=1,
    )


def _submission(inquiry: Inquiry) -> store.Submission:
    source, source_id = inquiry.source
    return store.Submission(
        source,
        source_id,
        inquiry.lead_id,
        inquiry.kept,
        inquiry.profile,
        inquiry.payload,
        inquiry.consents,
        inquiry.received_at,
    )


def _by_method(work: Work, named: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Whoever brought it keeps it; others were named."""
    split: dict[str, dict[str, str]] = {}
    for id_, person in named.items():
        split.setdefault("brought" if person == work.actor else "manual", {})[id_] = person
    return split


def _unit(work: Work, person_id: str) -> str:
    person = work.org.person(person_id)
    return person.unit_id if person is not None else ""


def _name_key(inquiry: Inquiry, rules: identifiers.MatchingRules) -> str:
    name = identifiers.company(inquiry.profile.get("company_name", ""), rules)
    return f"name:{name}" if name else ""


def _past(row: pb.LeadRow, received: datetime) -> Past:
    stage = enums.word(pb.LeadStage, row.stage) or "lead"
    outcome = enums.word(pb.LeadOutcome, row.outcome)
    moments = {
        name: protos.instant(getattr(row, name), name) if row.HasField(name) else None
        for name in ("first_response_time", "convert_time", "close_time")
    }
    if (stage == "closed") != bool(outcome):
        raise errors.InvalidArgument(
            "PAST_INCONSISTENT", "a closed lead has an outcome, an open one has none", {"outcome": outcome}
        )
    if any(moment is not None and moment < received for moment in moments.values()):
        raise errors.InvalidArgument(
            "PAST_INCONSISTENT", "nothing happened before the inquiry", {"provenance.observed_time": ""}
        )
    closed = moments["close_time"] or (received if stage == "closed" else None)
    return Past(stage, outcome, moments["first_response_time"], moments["convert_time"], closed)


def _check_moment(received: datetime, now: datetime, rules: LeadRules, historical: bool) -> None:
    if received > now + timedelta(minutes=rules.ahead_minutes):
        raise errors.InvalidArgument(
            "TIME_IN_FUTURE", "an inquiry has happened", {"provenance.observed_time": "in the future"}
        )
    if not historical and now - received > timedelta(days=rules.stale_days):
        raise errors.FailedPrecondition(
            "STALE_INQUIRY", f"older than {rules.stale_days} days; bring it in as historical"
        )
