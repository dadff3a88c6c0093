"""Puts facts before the people who answer for the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from closedloop.common.v1.common_pb2 import Light
from closedloop.customers.v1 import accounts_pb2, contacts_pb2
from closedloop_chassis import bulk, errors
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_customers import asking, explanations, profiles
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.records import Standing
from closedloop_customers.suggestions import store
from closedloop_customers.suggestions.rules import PROFILE_OF, Change, Suggestion, SuggestionRules, digest

CLOCK = "customers.suggestion"
SHAPES: dict[str, Any] = {"account": accounts_pb2.AccountProfile, "contact": contacts_pb2.ContactProfile}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A fact about a record that stands, as somebody or some reader tells it."""

    record: Standing
    kind: str
    changes: list[Change]
    summary: str
    quote: str
    kept: dict[str, Any]
    confidence: float


def fields_of(kind: str) -> set[str]:
    """Fields of the profile that a suggestion of the kind may name."""
    shape = SHAPES.get(PROFILE_OF.get(kind, ""))
    return set(shape.DESCRIPTOR.fields_by_name) if shape is not None else set()


def checked_profile(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values as a profile of the kind's record. Raises InvalidArgument FIELD_INVALID for what the contract does not
    allow."""
    shape = SHAPES[PROFILE_OF[kind]]
    try:
        message = profiles.fill(shape, values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise errors.InvalidArgument(
            "FIELD_INVALID", "a value is not of its field's type", {"changes": str(error)[:200]}
        ) from error
    _, refused = bulk.sift([message])
    if refused:
        raise errors.InvalidArgument(
            "FIELD_INVALID", refused[0].message, {f"changes.{refused[0].field}": refused[0].message}
        )
    return profiles.read(message)


async def present(tx: Transaction, record: Standing, kind: str) -> dict[str, Any]:
    """The fields of the record as they are now, those a job change names included. One round trip, none for what is
    new."""
    if kind in ("new_contact", "new_project"):
        return {}
    if record.type == "account":
        return dict((await accounts.locked(tx, [record.id]))[record.id].profile)
    contact = (await contacts.locked(tx, [record.id]))[record.id]
    held = contact.employments[0] if contact.employments else {}
    return {**contact.profile, "employer_name": held.get("employer_name")}


async def propose(work: Work, proposals: Sequence[Proposal]) -> list[Suggestion]:
    """Queues suggestions with a task each for who decides; a fact its source told before is left as it is. Two round
    trips."""
    rules = work.rules(SuggestionRules)
    drawn = [made(work, proposal) for proposal in proposals]
    new = await store.add(work.tx, drawn) if drawn else set()
    fresh = [suggestion for suggestion in drawn if suggestion.id in new]
    if not fresh:
        return []
    for old in await store.supersede(work.tx, list(new), work.now):
        asking.task_cleared(work, CLOCK, old, "subject_gone")
        work.clocks.cancel(CLOCK, old)
    work.clocks.start_many(CLOCK, rules.expire, [(s.id, s.owner_id, s.unit_id, {}) for s in fresh])
    for suggestion in fresh:
        work.audit(suggestion.id, "propose", {}, {"record": suggestion.record_id, "kind": suggestion.kind})
        _ask(work, suggestion)
    return fresh


def made(work: Work, proposal: Proposal) -> Suggestion:
    """The suggestion as it would be kept."""
    rules = work.rules(SuggestionRules)
    record = proposal.record
    return Suggestion(
        id=new_id(),
        record_type=record.type,
        record_id=record.id,
        account_id=record.account_id,
        kind=proposal.kind,
        state="open",
        changes=[asdict(change) for change in proposal.changes],
        summary=proposal.summary,
        quote=proposal.quote,
        provenance=proposal.kept,
        source=proposal.kept["source"],
        source_id=proposal.kept["source_id"],
        confidence=proposal.confidence,
        owner_id=record.owner_id,
        unit_id=record.unit_id,
        created_at=work.now,
        due_at=work.calendars.due(rules.decide, work.now, record.unit_id),
        decided_by="",
        decided_at=None,
        decision_reason="",
        created_contact_id=None,
        opportunity_point_id=None,
        version=1,
        digest=digest(record.type, record.id, proposal.kind, proposal.changes),
    )


def _ask(work: Work, suggestion: Suggestion) -> None:
    rule = explanations.because(work, SuggestionRules, "decide", "facts are written after a person confirmed them")
    asking.task(
        work,
        kind="confirmation",
        warning=CLOCK,
        subject_type="suggestion",
        subject_id=suggestion.id,
        title=f"待确认：{suggestion.summary}"[:200],
        description=suggestion.quote,
        assignee="owner" if suggestion.owner_id else "manager_of_owner",
        owner_id=suggestion.owner_id,
        unit_id=suggestion.unit_id,
        light=Light.LIGHT_NONE,
        account_id=suggestion.account_id or "",
        due_time=suggestion.due_at,
        rule=explanations.reference(rule),
        outcomes=("confirm", "reject"),
    )
