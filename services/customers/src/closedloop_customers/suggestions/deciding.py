"""Writes what a person confirmed, in the same transaction, citing where it was read (S30, S32)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.customers.v1 import events_pb2 as events
from closedloop_chassis import errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call
from closedloop_customers import business_actions, explanations, profiles, provenance, records
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.records import Standing
from closedloop_customers.suggestions import proposing, store
from closedloop_customers.suggestions.rules import Change, Suggestion, SuggestionRules, refuse_overtaken

PARENT = "parent_account_id"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a confirmation made, if it made a record."""

    contact_id: str | None = None
    opportunity_point_id: str | None = None


async def apply(call: Call, suggestion: Suggestion, changes: list[Change], record: Standing) -> Effect:
    """Raises Aborted RECORD_CHANGED, AlreadyExists DUPLICATE_CONTACT or DUPLICATE_ACCOUNT, InvalidArgument
    FIELD_INVALID."""
    if any(change.field == PARENT for change in changes):
        accounts.hold_tree(call)
    refuse_overtaken(changes, await proposing.present(call.tx, record, suggestion.kind))
    values = {change.field: change.confirmed for change in changes}
    action = cited(call, suggestion)
    match suggestion.kind:
        case "job_change":
            await _job_change(call, record, values, action)
        case "contact_detail":
            await _contact_detail(call, record, values, action)
        case "account_detail":
            await _account_detail(call, record, values, action)
        case "new_contact":
            return Effect(contact_id=await _new_contact(call, suggestion, record, values, action))
        case "new_project":
            return Effect(opportunity_point_id=_new_project(call, suggestion, record, values))
    return Effect()


def cited(call: Call, suggestion: Suggestion) -> str:
    """The mail or ticket the fact was read from; the suggestion itself where its source is no business action."""
    kind = call.rules(business_actions.BusinessActionRules).kinds.get(suggestion.source)
    if kind is not None and kind.use == "change":
        return business_actions.text(
            suggestion.source, suggestion.source_id, f"suggestion {suggestion.id}", suggestion.created_at
        )
    return business_actions.text(
        "suggestion", suggestion.id, f"{suggestion.source} {suggestion.source_id}", suggestion.created_at
    )


async def _job_change(call: Call, record: Standing, values: dict[str, Any], action: str) -> None:
    contact = (await contacts.locked(call.tx, [record.id]))[record.id]
    told = values.get("change_date")
    try:
        day = date.fromisoformat(told) if told else None
    except (TypeError, ValueError) as error:
        raise errors.InvalidArgument(
            "FIELD_INVALID", "not a day as 2026-01-05", {"changes.change_date": str(told)}
        ) from error
    # Without a word on the employer it is a move inside the house.
    account_id = "" if "employer_name" in values else contact.account_id
    employer, title = str(values.get("employer_name") or ""), str(values.get("job_title") or "")
    to = contacts.JobChange(day, account_id, employer, title)
    contacts.change_job(call, contact, to, action)


async def _contact_detail(call: Call, record: Standing, values: dict[str, Any], action: str) -> None:
    contact = (await contacts.locked(call.tx, [record.id]))[record.id]
    profile = contacts.checked(
        call, profiles.merged(contact.profile, proposing.checked_profile("contact_detail", values)), contact.profile
    )
    fresh = set(contacts.keys_of(call, profile)) - set(contacts.keys_of(call, contact.profile))
    if fresh:
        await contacts.refuse_twins(call, fresh, own_id=contact.id)
    contacts.change(call, [(contact, contacts.corrected(call, contact, profile))], action)


async def _account_detail(call: Call, record: Standing, values: dict[str, Any], action: str) -> None:
    account = (await accounts.locked(call.tx, [record.id]))[record.id]
    profile = accounts.checked(
        call, profiles.merged(account.profile, proposing.checked_profile("account_detail", values)), account.profile
    )
    fresh = set(accounts.keys_of(call, profile)) - set(accounts.keys_of(call, account.profile))
    if fresh:
        await accounts.refuse_twins(call, profile, fresh, own_id=account.id)
    after = replace(account, profile=profile)
    if PARENT in values:
        after = await accounts.hung(call, after)
    accounts.change(call, [(account, after)], action)


async def _new_contact(
    call: Call, suggestion: Suggestion, record: Standing, values: dict[str, Any], action: str
) -> str:
    profile = contacts.checked(call, proposing.checked_profile("new_contact", values))
    if not profile.get("name"):
        raise errors.InvalidArgument("FIELD_INVALID", "a contact has a name", {"changes.name": "value is required"})
    await contacts.refuse_twins(call, contacts.keys_of(call, profile))
    source = {**suggestion.provenance, "source_id": f"suggestion:{suggestion.id}"}
    contact = contacts.made(call, record, profile, source, action)
    contacts.create(call, [contact], action)
    return contact.id


def _new_project(call: Call, suggestion: Suggestion, record: Standing, values: dict[str, Any]) -> str:
    """A confirmed project is an opportunity point that needs no second decision; the funnel opens it (S35)."""
    id_ = new_id()
    need = ": ".join(str(part) for part in (values.get("project_name"), values.get("need")) if part)
    lines = values.get("product_lines") or []
    rule = explanations.because(
        call, SuggestionRules, "new_project", f"read from {suggestion.source}, confirmed by {call.actor}"
    )
    contact_id = suggestion.provenance.get("contact_id")
    call.tx.do(
        store.ADD_POINT,
        {
            "id": id_,
            "account_id": record.id,
            "contact_id": contact_id,
            "owner_id": record.owner_id,
            "unit_id": record.unit_id,
            "need": need,
            "quote": suggestion.quote,
            "rule": Jsonb(rule),
            "product_lines": lines if isinstance(lines, list) else [str(lines)],
            "provenance": Jsonb(suggestion.provenance),
            "now": call.now,
            "decided_by": call.actor,
        },
    )
    found = events.OpportunityPointFound(
        opportunity_point_id=id_,
        account_id=record.id,
        contact_id=contact_id or "",
        ownership=records.ownership(record.owner_id, record.unit_id),
        need=need,
        product_lines=lines if isinstance(lines, list) else [str(lines)],
        provenance=provenance.to_proto(suggestion.provenance),
        decide_time=protos.timestamp(call.now),
    )
    call.tell(found, id_)
    return id_
