"""Contacts as protobuf."""

from __future__ import annotations

from datetime import date
from typing import Any

from closedloop.customers.v1 import contacts_pb2 as pb
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import interactions_pb2
from closedloop_chassis import enums, etags, protos
from closedloop_customers import business_actions, profiles, provenance, records
from closedloop_customers.contacts.rules import Contact


def to_proto(contact: Contact, *, whole: bool = True) -> pb.Contact:
    """`whole`: with employments."""
    return pb.Contact(
        id=contact.id,
        account_id=contact.account_id,
        profile=profiles.fill(pb.ContactProfile, contact.profile),
        state=enums.number(pb.ContactState, contact.state),
        ownership=records.ownership(contact.owner_id, contact.unit_id),
        employments=[_employment(held) for held in contact.employments] if whole else (),
        closed_channels=_channels(contact),
        provenances=[provenance.to_proto(kept) for kept in contact.provenances],
        last_verify_time=protos.timestamp(contact.last_verify_at),
        last_interaction_time=protos.timestamp(contact.last_interaction_at),
        merged_into_id=contact.merged_into_id or "",
        create_time=protos.timestamp(contact.created_at),
        update_time=protos.timestamp(contact.updated_at),
        version=contact.version,
        etag=etags.of(contact.version),
    )


def changed(contact: Contact) -> events.ContactChanged:
    profile = contact.profile
    return events.ContactChanged(
        contact_id=contact.id,
        account_id=contact.account_id,
        name=profile["name"],
        job_title=profile.get("job_title", ""),
        phones=profile.get("phones", ()),
        email_addresses=profile.get("email_addresses", ()),
        wechat_id=profile.get("wechat_id", ""),
        language_code=profile.get("language_code", ""),
        time_zone=profile.get("time_zone", ""),
        state=enums.number(pb.ContactState, contact.state),
        key_contact=profile.get("key_contact", False),
        closed_channels=_channels(contact),
        merged_into_id=contact.merged_into_id or "",
        version=contact.version,
    )


def _channels(contact: Contact) -> list[Any]:
    return [enums.number(interactions_pb2.Channel, channel) for channel in contact.closed_channels]


def _employment(held: dict[str, Any]) -> pb.Employment:
    def day(name: str) -> Any:
        return protos.date_proto(date.fromisoformat(held[name])) if held.get(name) else None

    return pb.Employment(
        account_id=held.get("account_id", ""),
        employer_name=held.get("employer_name", ""),
        job_title=held.get("job_title", ""),
        start_date=day("start_date"),
        end_date=day("end_date"),
        business_action=business_actions.to_proto(held.get("business_action", "")),
    )
