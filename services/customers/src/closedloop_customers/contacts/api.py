"""ContactService."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.customers.v1 import contacts_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos, structs
from closedloop_chassis.data import patterns
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import accesses, business_actions, profiles, provenance, records
from closedloop_customers.contacts import bulk, desk, store, wire
from closedloop_customers.contacts.rules import Contact, compact
from closedloop_customers.custom_fields import FieldRules

rpcs = Rpcs("closedloop.customers.v1.ContactService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def get_contact(request: pb.GetContactRequest, call: Call) -> pb.Contact:
    contact = await store.get(call.db, request.id)
    if contact is None:
        raise errors.NotFound("CONTACT_NOT_FOUND", f"no contact {request.id}")
    call.authorize(contact.owner_id, contact.unit_id, contact.participant_ids)
    _refuse_erased(contact)
    await accesses.note(call, [contact.id])
    return wire.to_proto(contact)


@rpcs.method
async def list_contacts(request: pb.ListContactsRequest, call: Call) -> pb.ListContactsResponse:
    path = call.rules(FieldRules).path("contact", structs.plain(request.custom_fields), request.custom_field_ranges)
    narrowed = request.account_id or request.query or request.states or request.HasField("updated_since_time") or path
    if not narrowed and not call.scope.company:
        raise errors.InvalidArgument(
            "FILTER_MISSING",
            "say an account, words to look for, states, own fields, or since when",
            {"account_id": "one of account_id, query, states, custom_fields, updated_since_time is required"},
        )
    (after_id,) = pages.after(request, FIRST_ID)
    begins = patterns.beginning(compact(request.query.strip().lower()))
    params = {
        **records.filters(request, call),
        "account_id": request.account_id or None,
        "begins": begins,
        "word_begins": f"% {begins}",
        "states": enums.words(pb.ContactState, request.states) or None,
        "key_contact": request.key_contact if request.HasField("key_contact") else None,
        "updated_since": protos.instant(request.updated_since_time) if request.HasField("updated_since_time") else None,
        "custom_fields": path,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    page, token = pages.split(await store.page(call.db, params), request, lambda contact: (contact.id,))
    await accesses.note(call, [contact.id for contact in page])
    return pb.ListContactsResponse(
        contacts=[wire.to_proto(contact, whole=False) for contact in page], next_page_token=token
    )


@rpcs.method
async def create_contact(request: pb.CreateContactRequest, call: Call) -> pb.Contact:
    account = (await records.find(call.tx, [("account", request.account_id)])).get(("account", request.account_id))
    if account is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {request.account_id}")
    records.may_change(call, account.owner_id, account.unit_id, account.participant_ids)
    profile = desk.checked(call, profiles.read(request.profile))
    source = provenance.by_hand(call, request.provenance)
    await desk.refuse_twins(call, desk.keys_of(call, profile), request.not_duplicate_reason)
    action = business_actions.text("creation", note=request.not_duplicate_reason)
    contact = desk.made(call, account, profile, source, action)
    desk.create(call, [contact], action)
    return wire.to_proto(contact)


@rpcs.method
async def update_contact(request: pb.UpdateContactRequest, call: Call) -> pb.Contact:
    old = await _held(call, request.id)
    etags.check(request.etag, old.version)
    profile = profiles.masked(old.profile, profiles.read(request.profile), request.update_mask.paths, pb.ContactProfile)
    if not profile.get("name"):
        raise errors.InvalidArgument("NAME_MISSING", "a contact has a name", {"profile.name": "value is required"})
    new = desk.corrected(call, old, desk.checked(call, profile, old.profile))
    fresh = set(desk.keys_of(call, profile)) - set(desk.keys_of(call, old.profile))
    if fresh:
        await desk.refuse_twins(call, fresh, own_id=old.id)
    use: business_actions.Use = "confirm" if profile == old.profile else "change"
    (after,) = desk.change(call, [(old, new)], business_actions.cited(call, request.business_action, use))
    return wire.to_proto(after)


@rpcs.method
async def record_job_change(request: pb.RecordJobChangeRequest, call: Call) -> pb.Contact:
    old = await _held(call, request.id)
    etags.check(request.etag, old.version)
    action = business_actions.cited(call, request.business_action)
    day = protos.day(request.change_date, "change_date") if request.HasField("change_date") else None
    account_id = request.new_account_id
    if account_id:
        found = (await records.find(call.tx, [("account", account_id)])).get(("account", account_id))
        if found is None:
            raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {account_id}")
        account_id = found.id
    to = desk.JobChange(day, account_id, request.new_employer_name.strip(), request.new_job_title.strip())
    return wire.to_proto(desk.change_job(call, old, to, action))


@rpcs.method
async def bulk_upsert_contacts(request: pb.BulkUpsertContactsRequest, call: Call) -> BulkSummary:
    return await bulk.upsert(request, call)


async def _held(call: Call, id: str) -> Contact:
    contact = (await store.lock(call.tx, [id])).get(id)
    if contact is None:
        raise errors.NotFound("CONTACT_NOT_FOUND", f"no contact {id}")
    records.may_change(call, contact.owner_id, contact.unit_id, contact.participant_ids)
    _refuse_erased(contact)
    if contact.merged_into_id:
        raise errors.FailedPrecondition(
            "CONTACT_MERGED", f"it is part of {contact.merged_into_id} now", contact_id=contact.merged_into_id
        )
    return contact


def _refuse_erased(contact: Contact) -> None:
    if contact.state == "erased":
        raise errors.FailedPrecondition(
            "CONTACT_ERASED", "this person was erased at their own wish; only the id is left"
        )
