"""How a matter comes in: opened, opened anew by a later version, or given back mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from closedloop.approvals.v1 import policies_pb2
from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop.common.v1.common_pb2 import Evidence, Provenance
from closedloop_approvals import routing
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.requests import rules, standing, store, trail
from closedloop_approvals.requests.copies import replace
from closedloop_approvals.requests.ledger import Change
from closedloop_approvals.requests.route import OPEN, Step, sequence
from closedloop_approvals.requests.store import Request
from closedloop_approvals.requests.trail import Entry
from closedloop_approvals.routing import Matter, Routed
from closedloop_approvals.signatories import Candidate
from closedloop_chassis import errors
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call, Work

# Their matters come by event, with facts they vouch for; a person could tell others (S67).
SERVICES = frozenset({"targets", "customers", "funnel", "approvals", "integrations"})


@dataclass(frozen=True, slots=True)
class Submission:
    """A matter as it is submitted, by a person or by a service's event."""

    subject: pb.Subject
    facts: policies_pb2.Facts
    submitter_id: str
    # Who really brought it: the submitter, somebody for them, or a program.
    opened_by: str
    reason: str
    attachments: Sequence[pb.Attachment]
    evidence: Sequence[Evidence]
    provenance: Provenance

    @property
    def owner_id(self) -> str:
        return self.facts.ownership.owner_id or self.submitter_id


def own_matter(origin: str, call: Call) -> None:
    """People and programs speak for themselves, not for a service. Raises PermissionDenied ORIGIN_RESERVED."""
    if origin in SERVICES and "service" not in call.caller.roles:
        raise errors.PermissionDenied(
            "ORIGIN_RESERVED",
            f"matters of {origin} are submitted by {origin}, with its own facts; act there",
            origin=origin,
        )


def unit_of(submission: Submission, work: Work) -> str:
    """The unit the matter belongs to; the owner's where the facts name none."""
    owner = work.org.person(submission.owner_id)
    return submission.facts.ownership.unit_id or (owner.unit_id if owner else "")


async def submit(submission: Submission, work: Work) -> Change | Request:
    """A change to record, or the request that this version of the subject has already.

    A later version of a returned request resubmits it, of a pending one restarts it; an earlier one is passed by.
    Raises AlreadyExists ALREADY_OPEN for other content under a version already told, and what `routing.route` raises.
    """
    subject = submission.subject
    known = await store.of_subject(work.tx, subject.origin, subject.kind, subject.id)
    same = next((r for r in known if r.subject_version == subject.version and r.state != "recalled"), None)
    if same is not None:
        if same.digest != subject.digest:
            raise errors.AlreadyExists(
                "ALREADY_OPEN",
                f"version {subject.version} of this {subject.kind} was submitted with other content",
                id=same.id,
            )
        return same
    current = next((r for r in known if r.state in OPEN), None)
    if current is not None and current.subject_version > subject.version:
        return current
    if current is None:
        return await _open(submission, work)
    # Read again under its own lock: somebody may be deciding it at this moment.
    current = (await store.lock(work.tx, [current.id], "", work.now))[current.id].request
    if current.state not in OPEN:
        return await _open(submission, work)
    return await mend(current, submission, work, by=submission.opened_by)


async def _open(submission: Submission, work: Work) -> Change:
    request_id, unit_id = new_id(), unit_of(submission, work)
    routed = await _routed(submission, unit_id, work)
    steps, step_rules = _steps(routed)
    held = Request(
        id=request_id,
        opened_at=work.now,
        submitted_at=None,
        due_at=None,
        closed_at=None,
        running_since=None,
        elapsed=timedelta(),
        escalation_level=0,
        conditions="",
        decided_by="",
        decided_for="",
        version=0,
        trail_length=0,
        trail_hash="",
        imported=False,
        participants=[],
        route=rules.start(steps, work.now),
        step_rules=step_rules,
        **_content(submission, routed, unit_id),
    )
    return Change(None, held, "open", (_entry("opened", held, submission, work),), routed.stand_ins)


async def mend(current: Request, submission: Submission, work: Work, by: str, comment: str = "") -> Change:
    """The open request with its new content: on where its returner said if nothing that was judged is another, else from
    scratch.

    Signatures hold for the figures, and under the rules, they were given on and under, whoever sent it back. So does the
    time to decide; where its end decides by itself, it goes on for the very same content alone.
    """
    unit_id = unit_of(submission, work)
    routed = await _routed(submission, unit_id, work)
    steps, step_rules = _steps(routed)
    content = _content(submission, routed, unit_id)
    same = current.facts == content["facts"] and _terms(current.__dict__) == _terms(content)
    goes_on = current.state == "returned" and same and rules.same_way(current.route, steps)
    decides_itself = content["on_overdue"] != "escalate"
    after = replace(
        current,
        **content,
        submitted_at=work.now,
        conditions=current.conditions if goes_on else "",
        route=rules.resume(current.route, work.now) if goes_on else rules.start(steps, work.now),
        step_rules=current.step_rules if goes_on else step_rules,
    )
    action = "resubmitted" if current.state == "returned" else "rerouted"
    entry = replace(_entry(action, after, submission, work), actor_id=by, comment=comment or submission.reason)
    return Change(
        current,
        after,
        "resubmit",
        (entry,),
        routed.stand_ins,
        resubmitted=True,
        restarted=not goes_on or (decides_itself and current.digest != after.digest),
    )


def _terms(content: Mapping[str, Any]) -> list[Any]:
    """The rules a matter goes by: which of which version, how long they give, and what the end of that time brings."""
    rules = [(rule["rule"], rule.get("version")) for rule in content["rules"]]
    return [rules, *(content[name] for name in ("decision", "on_overdue", "silence"))]


async def _routed(submission: Submission, unit_id: str, work: Work) -> Routed:
    rulebooks = work.process.rulebooks
    matter = Matter(
        kind=submission.subject.kind,
        origin=submission.subject.origin,
        subject_id=submission.subject.id,
        facts=submission.facts,
        submitter_id=submission.submitter_id,
        owner_id=submission.owner_id,
        unit_id=unit_id,
        parties=(submission.opened_by,),
    )
    policies, version = work.rules(ApprovalPolicyRules), rulebooks.version(ApprovalPolicyRules, work.now)
    if policies.window(matter.kind):
        store.hold_neighbours(work.tx, matter.owner_id, submission.facts.account_id, matter.kind)
    return await routing.route(matter, policies, version, work, work.tx.one, work.now)


def _steps(routed: Routed) -> tuple[tuple[Step, ...], dict[int, dict[str, Any]]]:
    steps = tuple(
        Step(
            number=number,
            name=planned.name,
            mode=planned.mode,
            quorum=planned.quorum,
            parallel_group=planned.parallel_group,
            signers=sequence(
                planned.mode, [[(p.person_id, _reason(p)) for p in slot.people] for slot in planned.slots]
            ),
        )
        for number, planned in enumerate(routed.plan.steps, 1)
    )
    return steps, {n: as_dict(routed.reference(planned.policy)) for n, planned in enumerate(routed.plan.steps, 1)}


def _reason(person: Candidate) -> str:
    return f"{person.reason}, instead of {person.instead_of}" if person.instead_of else person.reason


def _content(submission: Submission, routed: Routed, unit_id: str) -> dict[str, Any]:
    """Everything of a request that comes from its content."""
    subject, facts, plan = submission.subject, submission.facts, routed.plan
    minor, currency = Matter(subject.kind, subject.origin, subject.id, facts, "", "", "").amount
    return {
        "origin": subject.origin,
        "kind": subject.kind,
        "subject_id": subject.id,
        "subject_version": subject.version,
        "digest": subject.digest,
        "title": subject.title,
        "summary": subject.summary,
        # As the database gives ids back, or the hash of what was submitted would be another.
        "opportunity_id": subject.opportunity_id.lower() or None,
        "facts": routing.facts_dict(facts),
        "account_id": facts.account_id.lower() or None,
        "amount_minor": minor,
        "currency": currency,
        "base_minor": routed.base_minor,
        "discount_ratio": facts.discount_ratio if facts.HasField("discount_ratio") else None,
        "submitter_id": submission.submitter_id,
        "opened_by": submission.opened_by,
        "owner_id": submission.owner_id,
        "unit_id": unit_id,
        "reason": submission.reason,
        "attachments": [as_dict(attachment) for attachment in submission.attachments],
        "rules": [as_dict(reference) for reference in routed.references()],
        "policies": [reference.policy for reference in plan.references],
        "accumulated_ids": list(plan.accumulated_ids),
        "not_required": not plan.steps,
        "decision": plan.decision.model_dump(mode="json"),
        "on_overdue": plan.on_overdue,
        "silence": plan.silence,
        "provenance": as_dict(submission.provenance),
    }


def _entry(action: str, held: Request, submission: Submission, work: Work) -> Entry:
    acted_for = submission.submitter_id if submission.opened_by != submission.submitter_id else ""
    return Entry(
        action=action,
        actor_id=submission.opened_by,
        on_behalf_of=acted_for,
        comment=submission.reason,
        attachments=tuple(held.attachments),
        evidence=tuple(as_dict(evidence) for evidence in submission.evidence),
        rule=held.rules[0] if held.rules else None,
        content_hash=trail.content_hash(held.subject, held.facts),
        terms_hash=standing.terms_hash(held),
    )


def as_dict(message: Message) -> dict[str, Any]:
    """As jsonb and the trail keep it."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
