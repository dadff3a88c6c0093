"""The register, and what persons allowed."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, interactions_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import personal_data_pb2 as pb
from closedloop_chassis import enums, errors, pages, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call
from closedloop_customers import accesses, provenance, records
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.leads import desk as leads
from closedloop_customers.personal import store, wire
from closedloop_customers.personal.rules import PersonalDataRules, check_purpose
from closedloop_customers.records import Standing
from closedloop_customers.wake_ups import desk as wake_ups

LAST_TIME = "infinity"
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


async def get_processing_register(request: pb.GetProcessingRegisterRequest, call: Call) -> pb.ProcessingRegister:
    return wire.register(call)


async def list_consents(request: pb.ListConsentsRequest, call: Call) -> pb.ListConsentsResponse:
    person = _person(await records.find(call.db, [records.key(request.record)]), request.record.type, request.record.id)
    call.authorize(person.owner_id, person.unit_id, person.participant_ids)
    before, before_id = pages.after(request, LAST_TIME, LAST_ID)
    params = {
        "ids": [person.id],
        "history": request.with_history,
        "before": before,
        "before_id": before_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.CONSENTS, params, into=store.Consent)
    page, token = pages.split(found, request, lambda row: (row.effective_at.isoformat(), row.id))
    await accesses.note(call, [person.id])
    return pb.ListConsentsResponse(consents=[wire.consent(row) for row in page], next_page_token=token)


async def record_consent(request: pb.RecordConsentRequest, call: Call) -> pb.Consent:
    person = _person(await records.find(call.tx, [records.key(request.record)]), request.record.type, request.record.id)
    call.authorize(person.owner_id, person.unit_id, person.participant_ids)
    rules = call.rules(PersonalDataRules)
    check_purpose(request.purpose, rules)
    at = protos.instant(request.effective_time, "effective_time") if request.HasField("effective_time") else call.now
    if at > call.now:
        raise errors.InvalidArgument(
            "TIME_IN_FUTURE", "what was said has been said", {"effective_time": "in the future"}
        )
    said = store.Consent(
        id=new_id(),
        record_type=person.type,
        record_id=person.id,
        purpose=request.purpose,
        channel=enums.word(interactions_pb2.Channel, request.channel),
        granted=request.granted,
        text_version=request.text_version.strip(),
        provenance=provenance.by_hand(call, _with_id(request.provenance)),
        recorded_by=call.actor,
        effective_at=at,
    )
    later = await call.tx.value(store.LATER, {name: getattr(said, name) for name in LATER_BY})
    store.add_consents(call.tx, [said])
    said_before = {"purpose": said.purpose, "channel": said.channel}
    call.audit(person.id, "consent", {}, {**said_before, "granted": said.granted, "text_version": said.text_version})
    if not later:
        await _obey(call, person, said, said.purpose == "" or said.purpose in rules.message_purposes)
    return wire.consent(said)


LATER_BY = ("record_id", "purpose", "channel", "effective_at")


def _with_id(given: Provenance) -> Provenance:
    return given if given.source_id else Provenance(source=given.source, source_id=new_id())


async def _obey(call: Call, person: Standing, said: store.Consent, of_messages: bool) -> None:
    """What was said holds at once: here by closed channels, in other services by ConsentChanged."""
    if person.type == "contact":
        contact = (await contacts.locked(call.tx, [person.id]))[person.id]
        phones, mails = contact.profile.get("phones", []), contact.profile.get("email_addresses", [])
        if of_messages:
            contacts.close_channels(call, [contact], said.channel, allowed=said.granted)
    else:
        lead = (await leads.locked(call.tx, [person.id]))[person.id]
        phones = [lead.profile["phone"]] if "phone" in lead.profile else []
        mails = [lead.profile["email_address"]] if "email_address" in lead.profile else []
        if of_messages and not said.granted:
            await wake_ups.ended(call, [person.id], "opted_out", "the person withdrew consent")
    if of_messages:
        await contacts.note_addresses(call, person, phones, mails, said.channel, allowed=said.granted)
    changed = events.ConsentChanged(
        record=records.reference(person.type, person.id),
        phones=phones,
        email_addresses=mails,
        purpose="" if of_messages else said.purpose,
        channel=enums.number(interactions_pb2.Channel, said.channel),
        granted=said.granted,
        effective_time=protos.timestamp(said.effective_at),
    )
    call.tell(changed, person.id)


def _person(found: dict[records.Key, Standing], type_: int, id_: str) -> Standing:
    kind = "lead" if type_ == accounts_pb2.RECORD_TYPE_LEAD else "contact"
    person = found.get((kind, id_))
    if person is None:
        raise errors.NotFound(f"{kind.upper()}_NOT_FOUND", f"no {kind} {id_}")
    return person
