"""Who may do what to a request, and what becomes of it: the acts of people, without their transport."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from closedloop_approvals.requests import rules
from closedloop_approvals.requests.copies import replace
from closedloop_approvals.requests.ledger import Change, stand_ins
from closedloop_approvals.requests.route import OPEN, Placement, Route, Signer
from closedloop_approvals.requests.store import Held, Request
from closedloop_approvals.requests.trail import Entry
from closedloop_chassis import errors

Verdict = Literal["approve", "reject", "return"]
PAST = {"approve": "approved", "reject": "rejected", "return": "returned"}


@dataclass(frozen=True, slots=True)
class Seat:
    """Where the one who acts sits: which step asks, and whose signature it is."""

    step: int
    person_id: str
    signer: Signer

    def on_behalf_of(self, actor: str) -> str:
        return self.person_id if self.person_id != actor else ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a signer answers."""

    verdict: Verdict
    comment: str = ""
    step: int = 0
    on_behalf_of: str = ""
    conditions: str = ""
    return_to_step: int = 0
    come_back_here: bool = False
    attachments: tuple[dict[str, Any], ...] = ()


def seat(held: Held, actor: str, step: int = 0, on_behalf_of: str = "") -> Seat:
    """The signature that is asked of the actor now, in their own name first, else of somebody they stand in for.

    Raises PermissionDenied OWN_REQUEST or NOT_A_SIGNER, FailedPrecondition ALREADY_DECIDED or STEP_NOT_ACTIVE,
    InvalidArgument STEP_AMBIGUOUS.
    """
    request = held.request
    if actor in request.parties:
        raise errors.PermissionDenied("OWN_REQUEST", "nobody decides a request they submitted, opened or own")
    mine = _names(held, actor, on_behalf_of)
    ever = {signer.person_id for held_step in request.route.steps for signer in held_step.signers}
    if not ever & set(mine):
        raise errors.PermissionDenied(
            "NOT_A_SIGNER", f"{actor} is not asked to sign this, neither in person nor for another"
        )
    if request.state not in OPEN:
        raise errors.FailedPrecondition("ALREADY_DECIDED", f"this request is {request.state}", state=request.state)
    for person_id in mine:
        asked = rules.rows_of(request.route, {person_id}, step)
        if person_id != actor:
            asked = _not_countersigning_oneself(request.route, asked, actor)
        if len(asked) > 1:
            steps = ", ".join(map(str, asked))
            raise errors.InvalidArgument(
                "STEP_AMBIGUOUS", f"steps {steps} ask you; say which", {"step": f"one of {steps}"}
            )
        for number, signers in asked.items():
            return Seat(number, person_id, signers[0])
    raise errors.FailedPrecondition(
        "STEP_NOT_ACTIVE", "your signature is not asked now: it was given, it is not needed, or its turn has not come"
    )


def _not_countersigning_oneself(route: Route, asked: dict[int, list[Signer]], actor: str) -> dict[int, list[Signer]]:
    """Without the steps where the actor has, or gave, or will be asked for another signature: two are two people's. So are
    those of two tiers: who signed on another step signs there for nobody else.

    Raises PermissionDenied NOT_A_SIGNER when nothing else is left.
    """
    left: dict[int, list[Signer]] = {}
    signed = [step.number for step in route.steps if any(_signed(s, actor) for s in step.signers)]
    for number, signers in asked.items():
        slots = {signer.slot for signer in signers}
        others = [s for s in route.steps[number - 1].signers if s.slot not in slots]
        elsewhere = any(step != number for step in signed)
        if not elsewhere and not any(_asked(s, actor) or _signed(s, actor) for s in others):
            left[number] = signers
    if asked and not left:
        raise errors.PermissionDenied(
            "NOT_A_SIGNER", f"{actor} signs this in another place already; a countersignature is another person's"
        )
    return left


def _asked(signer: Signer, person_id: str) -> bool:
    """Now, or when the turn comes."""
    return signer.state in rules.WANTED and signer.person_id == person_id


def _signed(signer: Signer, person_id: str) -> bool:
    """In person or for another."""
    return signer.state == "approved" and (signer.signed_by or signer.person_id) == person_id


def _names(held: Held, actor: str, on_behalf_of: str) -> list[str]:
    """The people for whom the actor may sign: themselves first."""
    for_others = [s.delegator_id for s in held.stand_ins if actor in stand_ins(held.request, s.delegator_id, [s])]
    if not on_behalf_of:
        return [actor, *dict.fromkeys(for_others)]
    return [on_behalf_of] if on_behalf_of in (actor, *for_others) else []


def decide(held: Held, actor: str, decision: Decision, now: datetime) -> Change:
    """Raises as `seat` does, InvalidArgument COMMENT_REQUIRED, CONDITIONS_WITHOUT_APPROVAL or RETURN_TARGET_INVALID."""
    request = held.request
    at = seat(held, actor, decision.step, decision.on_behalf_of)
    _complete(decision)
    if decision.verdict == "return":
        route = rules.send_back(
            request.route,
            at.step,
            at.person_id,
            actor,
            decision.return_to_step,
            decision.come_back_here,
            decision.comment,
            now,
        )
    else:
        route = rules.answer(request.route, at.step, at.person_id, actor, decision.verdict, decision.comment, now)
    changes: dict[str, Any] = {"route": route}
    if decision.conditions:
        changes["conditions"] = "\n".join(filter(None, (request.conditions, decision.conditions)))
    on_behalf_of = at.on_behalf_of(actor)
    if route.state in ("approved", "rejected"):
        changes |= {"decided_by": actor, "decided_for": on_behalf_of}
    after = replace(request, **changes)
    entry = Entry(
        action=PAST[decision.verdict],
        actor_id=actor,
        on_behalf_of=on_behalf_of,
        step=at.step,
        comment=decision.comment,
        conditions=decision.conditions,
        attachments=decision.attachments,
        rule=request.step_rules.get(at.step),
    )
    return Change(request, after, decision.verdict, (entry,), held.stand_ins)


def _complete(decision: Decision) -> None:
    if decision.verdict != "approve" and not decision.comment.strip():
        raise errors.InvalidArgument("COMMENT_REQUIRED", "say why you reject or return it", {"comment": "is needed"})
    if decision.conditions and decision.verdict != "approve":
        violations = {"conditions": "only with an approval"}
        raise errors.InvalidArgument("CONDITIONS_WITHOUT_APPROVAL", "only an approval has conditions", violations)
    if (decision.return_to_step or decision.come_back_here) and decision.verdict != "return":
        violations = {"return_to_step": "only with a return"}
        raise errors.InvalidArgument("RETURN_TARGET_INVALID", "only a return has a target", violations)


def recall(request: Request, actor: str, reason: str, now: datetime) -> Change:
    """Raises PermissionDenied NOT_THE_SUBMITTER, FailedPrecondition ALREADY_DECIDED."""
    if actor not in (request.submitter_id, request.opened_by):
        raise errors.PermissionDenied("NOT_THE_SUBMITTER", "only who submitted it takes it back")
    if request.state not in OPEN:
        raise errors.FailedPrecondition("ALREADY_DECIDED", f"this request is {request.state}", state=request.state)
    after = replace(request, route=rules.close(request.route, "recalled", now))
    return Change(request, after, "recall", (Entry("recalled", actor, comment=reason),))


def withdraw(request: Request, actor: str, reason: str, now: datetime) -> Change:
    """By the origin: the subject changed or is gone; an approval already given no longer clears."""
    after = replace(request, route=rules.close(request.route, "withdrawn", now))
    return Change(request, after, "withdraw", (Entry("withdrawn", actor, comment=reason),))


def add_signer(
    held: Held, actor: str, step: int, person_id: str, placement: Placement, reason: str, now: datetime
) -> Change:
    """Raises as `seat` does, InvalidArgument SIGNER_IS_SUBMITTER, AlreadyExists ALREADY_A_SIGNER."""
    request = held.request
    at = seat(held, actor, step)
    _fit(request, person_id)
    route = rules.add_signer(
        request.route, at.step, at.signer, person_id, placement, f"added by {at.person_id}: {reason}", now
    )
    entry = Entry("signer_added", actor, at.on_behalf_of(actor), at.step, reason, (person_id,))
    return Change(request, replace(request, route=route), "add_signer", (entry,), held.stand_ins)


def hand_over(held: Held, actor: str, giver: str, step: int, person_id: str, reason: str, now: datetime) -> Change:
    """Raises as `seat` does for the giver, InvalidArgument SIGNER_IS_SUBMITTER, AlreadyExists ALREADY_A_SIGNER.

    Who stands in signs, and gives nothing on: what was delegated to him goes no further. Nor does a seat go to who has one
    on another step: two tiers would be one person.
    """
    request = held.request
    at = seat(Held(request, []), giver, step)
    _fit(request, person_id)
    for other in request.route.steps:
        if other.number != at.step and any(_asked(s, person_id) or _signed(s, person_id) for s in other.signers):
            raise errors.AlreadyExists("ALREADY_A_SIGNER", f"{person_id} signs on step {other.number}")
    route = rules.hand_over(request.route, at.step, giver, person_id, f"handed over by {actor}: {reason}", now)
    entry = Entry("handed_over", actor, at.on_behalf_of(actor), at.step, reason, (person_id,))
    return Change(request, replace(request, route=route), "hand_over", (entry,), held.stand_ins)


def _fit(request: Request, person_id: str) -> None:
    if person_id in request.parties:
        violations = {"person_id": "is a party to the matter"}
        raise errors.InvalidArgument("SIGNER_IS_SUBMITTER", f"{person_id} submitted, opened or owns this", violations)
