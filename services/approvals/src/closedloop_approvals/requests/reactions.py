"""What moves requests besides people: services that ask or withdraw, the decision clock, and people who leave."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import protovalidate

from closedloop.approvals.v1 import events_pb2
from closedloop.common.v1.common_pb2 import Ownership
from closedloop.options.v1 import options_pb2
from closedloop.targets.v1.events_pb2 import ExchangeRateChanged, PersonChanged
from closedloop.targets.v1.rates_pb2 import RATE_KIND_SPOT
from closedloop_approvals import signatories
from closedloop_approvals.requests import messages, rules, store, succession
from closedloop_approvals.requests.copies import replace
from closedloop_approvals.requests.deciding import withdraw
from closedloop_approvals.requests.ledger import CLOCK, Change, record, stand_ins
from closedloop_approvals.requests.route import OPEN
from closedloop_approvals.requests.store import Held, Request
from closedloop_approvals.requests.submission import Submission, mend, submit
from closedloop_approvals.requests.trail import Entry
from closedloop_chassis import errors, protos
from closedloop_chassis.clocks.due import Due
from closedloop_chassis.events.newest import newest
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work

reactions = Reactions()

ACTOR = f"clock:{CLOCK}"

PUT_RATES = """
INSERT INTO exchange_rate (base_currency, quote_currency, start_date, rate)
SELECT * FROM unnest(%(bases)s::text[], %(quotes)s::text[], %(days)s::date[], %(rates)s::numeric[])
ON CONFLICT (base_currency, quote_currency, start_date) DO UPDATE SET rate = excluded.rate
"""


@reactions.on(events_pb2.ApprovalRequested)
async def asked(event: Heard[events_pb2.ApprovalRequested], work: Work) -> None:
    """A service asks; whoever tells speaks for itself alone. What cannot be put on its way goes back with the reason."""
    told = event.message
    protovalidate.validate(told)
    if told.subject.origin != event.source:
        raise errors.InvalidArgument("ORIGIN_DIFFERS", f"{event.source} asks for a matter of {told.subject.origin}")
    submission = Submission(
        subject=told.subject,
        facts=told.facts,
        submitter_id=told.submitter_id or told.facts.ownership.owner_id,
        opened_by=event.source,
        reason=told.reason,
        attachments=told.attachments,
        evidence=told.evidence,
        provenance=told.provenance,
    )
    try:
        outcome = await submit(submission, work)
    except (errors.FailedPrecondition, errors.InvalidArgument) as refusal:
        known = await store.of_subject(work.tx, told.subject.origin, told.subject.kind, told.subject.id)
        older = [r for r in known if r.state in OPEN and r.subject_version < told.subject.version]
        await record(work, [withdraw(r, event.source, refusal.message, work.now) for r in older])
        work.tell(
            messages.not_routed(submission.subject, submission.submitter_id, refusal.message, work), told.subject.id
        )
        return
    if isinstance(outcome, Change):
        await record(work, [outcome])


@reactions.on(events_pb2.ApprovalWithdrawn)
async def withdrawn(event: Heard[events_pb2.ApprovalWithdrawn], work: Work) -> None:
    """Up to and including the version told; approvals already given no longer clear."""
    told = event.message
    if told.origin != event.source:
        raise errors.InvalidArgument("ORIGIN_DIFFERS", f"{event.source} takes back a matter of {told.origin}")
    known = await store.of_subject(work.tx, told.origin, told.kind, told.subject_id)
    gone = [r for r in known if r.subject_version <= told.version and r.state in (*OPEN, "approved")]
    await record(work, [withdraw(r, told.actor_id or event.source, told.reason, work.now) for r in gone])


@reactions.on(events_pb2.ApprovalReassigned)
async def reassigned(event: Heard[events_pb2.ApprovalReassigned], work: Work) -> None:
    """Parties and line are the new owner's, so nobody decides what became his. While it is returned nobody decides it: its
    next version brings its owner along."""
    told = event.message
    if told.origin != event.source:
        raise errors.InvalidArgument("ORIGIN_DIFFERS", f"{event.source} hands on a matter of {told.origin}")
    known = await store.of_subject(work.tx, told.origin, told.kind, told.subject_id)
    waiting = [r.id for r in known if r.subject_version == told.version and r.state == "pending"]
    for one in (await store.lock(work.tx, waiting, "", work.now)).values():
        request = one.request
        if request.state != "pending" or request.owner_id == told.ownership.owner_id:
            continue
        actor = told.actor_id or event.source
        try:
            change = await mend(request, _of_owner(request, told.ownership), work, by=actor, comment=told.reason)
        except (errors.FailedPrecondition, errors.InvalidArgument) as refusal:
            await record(work, [withdraw(request, event.source, refusal.message, work.now)])
            subject = messages.subject(request)
            work.tell(messages.not_routed(subject, request.submitter_id, refusal.message, work), told.subject_id)
        else:
            # Nobody stands in for the submitter by handing it on.
            await record(work, [replace(change, entries=(replace(change.entries[0], on_behalf_of=""),))])


def _of_owner(request: Request, ownership: Ownership) -> Submission:
    """What was submitted, as another's."""
    facts = messages.facts(request)
    facts.ownership.CopyFrom(ownership)
    seen = messages.request(request)
    return Submission(
        subject=seen.subject,
        facts=facts,
        submitter_id=request.submitter_id,
        opened_by=request.opened_by,
        reason=request.reason,
        attachments=seen.attachments,
        evidence=(),
        provenance=seen.provenance,
    )


@reactions.on(ExchangeRateChanged)
async def rate_changed(event: Heard[ExchangeRateChanged], work: Work) -> None:
    """The market rates, to compare amounts with the policies' thresholds."""
    spot = [rate for rate in event.message.rates if rate.kind == RATE_KIND_SPOT]
    params = {
        "bases": [rate.base_currency for rate in spot],
        "quotes": [rate.quote_currency for rate in spot],
        "days": [protos.day(rate.start_date) for rate in spot],
        "rates": [rate.rate.value for rate in spot],
    }
    work.tx.do(PUT_RATES, params)


@reactions.batch(PersonChanged)
async def people_changed(events: Sequence[Heard[PersonChanged]], work: Work) -> None:
    """What is, or is still to be, asked of somebody who is gone, or as one of a department he is no longer of, is asked
    of others."""
    people = {person_id: event.message for person_id, event in newest(events, lambda p: p.person_id).items()}
    gone = {person_id for person_id, p in people.items() if not p.active or signatories.only_looks(_roles(p))}
    asked = await store.open_for(work.tx, list(people), sorted(gone))
    if not asked:
        return
    held = await store.lock(work.tx, sorted(asked), "", work.now)
    changes: dict[str, Change] = {}
    for request_id, one in held.items():
        for person_id in asked[request_id]:
            before = changes.get(request_id)
            now = one if before is None else Held(before.after, one.stand_ins)
            change = _succeeded(now, people[person_id], gone, work)
            if change is not None:
                changes[request_id] = change if before is None else succession.joined(before, change)
    await record(work, list(changes.values()))


def _succeeded(held: Held, person: PersonChanged, gone: Collection[str], work: Work) -> Change | None:
    if person.person_id in gone:
        why = "may sign nothing any more" if person.active else "has left"
        return succession.left(held, person.person_id, person.manager_id, gone, work, why)
    return succession.out_of_role(held, person.person_id, {person.function, *_roles(person)}, gone, work)


def _roles(person: PersonChanged) -> list[str]:
    return [options_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in person.roles]


@reactions.clock(CLOCK)
async def time_passed(due: list[Due], work: Work) -> None:
    """At half time a reminder; at the end the next level is asked as well, and again at each level (S65)."""
    held = await store.lock(work.tx, [clock.subject for clock in due], "", work.now)
    changes: list[Change] = []
    for clock in due:
        waiting = held.get(clock.subject)
        if waiting is None or waiting.request.state != "pending":
            continue
        if clock.phase == "due" and waiting.request.due_at and waiting.request.due_at > work.now:
            # It was asked anew while this clock was on its way here.
            continue
        if clock.phase == "warn":
            changes.append(_reminded(waiting, clock, work))
        elif waiting.request.on_overdue == "reject":
            changes.append(_rejected(waiting, work))
        elif waiting.request.on_overdue == "approve":
            changes.append(_consented(waiting, clock, work))
        else:
            changes.append(_escalated(waiting, clock, work))
    await record(work, await _with_stand_ins(changes, work))


async def _with_stand_ins(changes: list[Change], work: Work) -> list[Change]:
    """Whoever stands in for somebody it has just escalated to is told as well; one round trip where there is one."""
    people = {p for c in changes for e in c.entries if e.action == "escalated" for p in e.person_ids}
    if not people or not (known := await store.standing_in_for(work.tx, sorted(people), work.now)):
        return changes
    told: list[Change] = []
    for change in changes:
        occasion, after = f"escalated:{change.after.escalation_level}", change.after
        more = [
            messages.notice("approval_escalated", after, to, occasion, work, on_behalf_of=absent)
            for entry in change.entries
            if entry.action == "escalated"
            for absent in entry.person_ids
            for to in stand_ins(after, absent, known)
        ]
        told.append(replace(change, notices=(*change.notices, *more)))
    return told


def _reminded(held: Held, clock: Due, work: Work) -> Change:
    request = held.request
    people = tuple(dict.fromkeys(signer.person_id for _, signer in request.route.asked()))
    occasion = f"reminded:{clock.level}:{request.version}"
    notices = tuple(
        messages.notice(
            "approval_waiting", request, to, occasion, work, reminder=True, on_behalf_of=p if to != p else ""
        )
        for p in people
        for to in [p, *stand_ins(request, p, held.stand_ins)]
    )
    entry = Entry("reminded", ACTOR, comment="half of the time to decide has passed", person_ids=people)
    return Change(request, request, "remind", (entry,), held.stand_ins, notices)


def _escalated(held: Held, clock: Due, work: Work) -> Change:
    request = held.request

    def above(person_id: str, taken: Collection[str]) -> str:
        return signatories.next_above(person_id, work.org, request.parties | set(taken))

    route, raised = rules.escalate(request.route, above, work.now)
    due_at = work.clocks.rearm(clock, ClockSetting.model_validate(request.decision))
    after = replace(request, route=route, due_at=due_at, escalation_level=request.escalation_level + 1)
    notices = [
        messages.notice(
            "approval_escalated", after, to, f"escalated:{after.escalation_level}", work, from_person_id=giver
        )
        for _, giver, to in raised
    ]
    entries = [
        Entry("escalated", ACTOR, step=step, comment=f"not decided in time by {giver}", person_ids=(to,))
        for step, giver, to in raised
    ]
    if not raised:
        # The top of the line has it already: they are reminded again, nothing is approved by silence.
        people = tuple(dict.fromkeys(signer.person_id for _, signer in request.route.asked()))
        entries = [Entry("reminded", ACTOR, comment="not decided in time, and nobody stands above", person_ids=people)]
        occasion = f"escalated:{after.escalation_level}"
        notices = [messages.notice("approval_escalated", after, p, occasion, work, signer_name="") for p in people]
    return Change(request, after, "escalate", tuple(entries), held.stand_ins, tuple(notices))


def _name(person_id: str, work: Work) -> str:
    person = work.org.person(person_id)
    return person.name if person else person_id


def _consented(held: Held, clock: Due, work: Work) -> Change:
    """Whoever was asked is taken to agree, as the policy says in words; who is asked after them gets time of their own."""
    request = held.request
    silent = request.route.asked()
    route = request.route
    for step, signer in silent:
        route = rules.answer(route, step, signer.person_id, ACTOR, "approve", request.silence, work.now)
    after = replace(request, route=route)
    if route.state == "pending":
        after = replace(after, due_at=work.clocks.rearm(clock, ClockSetting.model_validate(request.decision)))
    else:
        after = replace(after, decided_by=ACTOR)
    people = tuple(dict.fromkeys(signer.person_id for _, signer in silent))
    entry = Entry("decided_by_silence", ACTOR, step=silent[0][0], comment=request.silence, person_ids=people)
    return Change(request, after, "approve", (entry,), held.stand_ins)


def _rejected(held: Held, work: Work) -> Change:
    request: Request = held.request
    active = request.route.active()
    route = replace(rules.close(request.route, "rejected", work.now), decided_step=active[0].number if active else 0)
    after = replace(request, route=route, decided_by=ACTOR)
    entry = Entry("decided_by_silence", ACTOR, comment="not decided in time; the policy rejects by silence")
    return Change(request, after, "reject", (entry,), held.stand_ins)
