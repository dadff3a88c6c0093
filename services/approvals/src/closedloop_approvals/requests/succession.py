"""Who signs in the place of somebody who left the company, or is no longer of the department that must sign."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from closedloop_approvals import signatories
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.requests import messages, rules
from closedloop_approvals.requests.copies import replace
from closedloop_approvals.requests.ledger import SELF, Change
from closedloop_approvals.requests.route import Signer
from closedloop_approvals.requests.store import Held, Request
from closedloop_approvals.requests.trail import Entry
from closedloop_approvals.signatories import About
from closedloop_chassis.work import Work

ROLE = "role:"


def left(
    held: Held, gone: str, manager_id: str, never: Collection[str], work: Work, why: str = "has left"
) -> Change | None:
    """The next up the line signs for somebody who is gone; `never` are those who go with him."""

    def above(_: Signer, taken: Collection[str]) -> Sequence[str]:
        others = held.request.parties | {*never, *taken, gone}
        to = signatories.next_above(gone, work.org, others) or (manager_id if manager_id not in others else "")
        return (to,) if to else ()

    found = rules.succeed(held.request.route, gone, lambda _: True, above, work.now, f"{gone} {why}")
    return _change(held, gone, found, f"{gone} {why}", work)


def out_of_role(held: Held, person_id: str, has: Collection[str], never: Collection[str], work: Work) -> Change | None:
    """Finance signs as finance: who went elsewhere leaves the seat to those who are there now, of an empty department to
    the next above him. `has` is what he is today. A signature given before stays one.
    """

    def lost(signer: Signer) -> bool:
        return signer.reason.startswith(ROLE) and signer.reason.removeprefix(ROLE) not in has

    def colleagues(signer: Signer, taken: Collection[str]) -> Sequence[str]:
        request = held.request
        book = work.rules(ApprovalPolicyRules)
        others = request.parties | {*never, *taken, person_id}
        about = About(request.owner_id, request.unit_id, request.submitter_id)
        found = signatories.find(signer.reason, about, work.org, book.titles, others)
        if not found and (above := signatories.next_above(person_id, work.org, others)):
            return [above]
        return [candidate.person_id for candidate in found[: book.most_per_word]]

    words = sorted({s.reason for step in held.request.route.steps for s in step.signers if s.person_id == person_id})
    comment = f"{person_id} is no longer {', '.join(word for word in words if word.startswith(ROLE))}"
    found = rules.succeed(held.request.route, person_id, lost, colleagues, work.now)
    return _change(held, person_id, found, comment, work)


def nobody_gone(change: Change, work: Work) -> Change:
    """Steps that are asked again may ask somebody who left after he had signed: the next of the line is asked instead."""
    if change.before is None:
        return change
    for person_id in {signer.person_id for _, signer in rules.newly_asked(change.before.route, change.after.route)}:
        person = work.org.person(person_id)
        if person is None or person.active:
            continue
        further = left(Held(change.after, list(change.stand_ins)), person_id, "", (), work)
        if further is not None:
            change = joined(change, further)
    return change


def joined(one: Change, further: Change) -> Change:
    """Both as one: what `further` did began where `one` had ended."""
    return replace(one, after=further.after, entries=(*one.entries, *further.entries))


def _change(held: Held, gone: str, found: rules.Succession, comment: str, work: Work) -> Change | None:
    request: Request = held.request
    if found.vacant:
        # Operations find whoever shall sign, and hand it over.
        work.tell(messages.signer_missing(request, gone, comment), request.id)
    if not found.followers:
        return None
    entries = tuple(
        Entry("rerouted", SELF, step=number, comment=comment, person_ids=people)
        for number, people in found.followers.items()
    )
    return Change(request, replace(request, route=found.route), "reroute", entries, held.stand_ins)
