"""Personal data as protobuf."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from closedloop.customers.v1 import (
    accounts_pb2,
    contacts_pb2,
    decision_chain_pb2,
    events_pb2,
    interactions_pb2,
    leads_pb2,
    opportunity_points_pb2,
    playbooks_pb2,
    reminders_pb2,
    suggestions_pb2,
    wake_ups_pb2,
)
from closedloop.customers.v1 import (
    personal_data_pb2 as pb,
)
from closedloop_chassis import contract, enums, etags, protos
from closedloop_chassis.work import Work
from closedloop_customers import explanations, profiles, provenance, records
from closedloop_customers.personal.places import Item
from closedloop_customers.personal.rules import PersonalDataRules
from closedloop_customers.personal.store import Consent, Request

FILES = (
    accounts_pb2, contacts_pb2, decision_chain_pb2, interactions_pb2, leads_pb2, opportunity_points_pb2, pb,
    playbooks_pb2, reminders_pb2, suggestions_pb2, wake_ups_pb2,
)  # fmt: skip
# What is told of contacts to others, by field name.
TOLD = events_pb2.ContactChanged


@cache
def personal_fields() -> tuple[tuple[str, str], ...]:
    """(message, field) of all that the contracts mark as personal and that is kept, not only asked for."""
    return tuple(
        (message.name, field.name)
        for file in FILES
        for message in file.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if contract.is_personal(field) and not message.name.endswith(("Request", "Response", "Row"))
    )


def register(work: Work) -> pb.ProcessingRegister:
    rules = work.rules(PersonalDataRules)
    told = {field.name for field in TOLD.DESCRIPTOR.fields if contract.is_personal(field)}
    listeners = contract.route(TOLD).consumers
    entries = []
    for message, field in personal_fields():
        found = rules.of(message, field)
        kept = None if found.retention_days is None else protos.duration(timedelta(days=found.retention_days))
        entries.append(
            pb.ProcessingEntry(
                field=f"closedloop.customers.v1.{message}.{field}",
                purposes=found.purposes,
                legal_ground=found.legal_ground,
                retention=kept,
                recipients=listeners if message == "ContactProfile" and field in told else (),
            )
        )
    why = explanations.because(work, PersonalDataRules, "processing", "the contracts say what is personal")
    return pb.ProcessingRegister(entries=entries, rule=explanations.reference(why))


def consent(row: Consent) -> pb.Consent:
    return pb.Consent(
        id=row.id,
        record=records.reference(row.record_type, row.record_id),
        purpose=row.purpose,
        channel=enums.number(interactions_pb2.Channel, row.channel),
        granted=row.granted,
        text_version=row.text_version,
        provenance=provenance.to_proto(row.provenance),
        recorded_by=row.recorded_by,
        effective_time=protos.timestamp(row.effective_at),
    )


def request(row: Request) -> pb.PersonalDataRequest:
    return pb.PersonalDataRequest(
        id=row.id,
        kind=enums.number(pb.PersonalDataRequestKind, row.kind),
        state=enums.number(pb.PersonalDataRequestState, row.state),
        records=[records.reference(type_, id_) for type_, id_ in row.records],
        requester=row.requester,
        open_time=protos.timestamp(row.opened_at),
        due_time=protos.timestamp(row.due_at),
        decided_by=row.decided_by,
        decide_time=protos.timestamp(row.decided_at),
        decision_reason=row.decision_reason,
        export_until_time=protos.timestamp(row.export_until),
        etag=etags.of(row.version),
    )


def item(one: Item, rules: PersonalDataRules) -> pb.PersonalDataItem:
    """A profile or a set of answers is shown as the document it is."""
    value: Any = one.value
    return pb.PersonalDataItem(
        record=f"{one.place.name}:{one.key}",
        field=one.field,
        value=profiles.to_value(value),
        purposes=rules.of(one.place.message, one.field).purposes,
        provenance=provenance.to_proto(one.provenance) if one.provenance else None,
        time=protos.timestamp(one.time),
    )
