"""LeadService."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary, Light
from closedloop.customers.v1 import interactions_pb2
from closedloop.customers.v1 import leads_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos, structs
from closedloop_chassis.data import patterns
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import (
    accesses,
    asking,
    business_actions,
    codes,
    custom_fields,
    identifiers,
    profiles,
    provenance,
    records,
)
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.contacts import desk as contacts
from closedloop_customers.interactions import desk as interactions
from closedloop_customers.leads import bulk, desk, intake, pausing, report, rules, store, wire
from closedloop_customers.leads.rules import CloseReasonRules, Lead, LeadRules, ResponseRules
from closedloop_customers.reminders import desk as reminders
from closedloop_customers.territories import desk as territories
from closedloop_customers.wake_ups import silence

rpcs = Rpcs("closedloop.customers.v1.LeadService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def intake_lead(request: pb.IntakeLeadRequest, call: Call) -> pb.Lead:
    kept = provenance.by_hand(call, request.provenance)
    inquiry = await _linked_up(call, intake.read(call, request, kept))
    taken = await intake.take_one(call, inquiry)
    id_ = taken.lead_of[inquiry.source]
    lead = taken.made.get(id_) or taken.joined.get(id_) or await store.get(call.tx, id_)
    assert lead is not None
    return wire.to_proto(lead) if call.scope.covers(lead.owner_id, lead.unit_id) else wire.for_strangers(lead)


@rpcs.method
async def bulk_intake_leads(request: pb.BulkIntakeLeadsRequest, call: Call) -> BulkSummary:
    return await bulk.take_in(request, call)


@rpcs.method
async def get_lead(request: pb.GetLeadRequest, call: Call) -> pb.Lead:
    if request.WhichOneof("key") == "id":
        lead = await store.get(call.db, request.id)
    else:
        lead = await store.get_by_source(call.db, request.provenance.source, request.provenance.source_id)
    if lead is None:
        raise errors.NotFound("LEAD_NOT_FOUND", f"no lead {request.id or request.provenance.source_id}")
    call.authorize(lead.owner_id, lead.unit_id)
    await accesses.note(call, [lead.id])
    return wire.to_proto(
        lead,
        await store.submissions(call.db, lead.id),
        await store.transitions(call.db, lead.id),
        (await store.needs(call.db, [lead.id])).get(lead.id, ()),
    )


@rpcs.method
async def list_leads(request: pb.ListLeadsRequest, call: Call) -> pb.ListLeadsResponse:
    order = enums.word(pb.LeadOrder, request.order)
    after_key, after_id = pages.after(request, store.ORDERS[order][1], FIRST_ID)
    begins, ends = protos.bounds(request.received)
    asked = {"phone": request.query, "email_address": request.query} if request.query else {}
    params = {
        **records.filters(request, call),
        "words": [patterns.containing(word) for word in request.query.lower().split()] or ["%"],
        "keys": desk.keys_of(call, asked),
        "territory": await territories.spec(call, request.territory_id),
        "stages": enums.words(pb.LeadStage, request.stages) or None,
        "outcomes": enums.words(pb.LeadOutcome, request.outcomes) or None,
        "sources": list(request.sources) or None,
        "campaign": request.campaign,
        "account_id": request.account_id or None,
        "responded": request.responded if request.HasField("responded") else None,
        "lights": [enums.word(Light, n) for n in range(request.minimum_light, 5)]
        if request.minimum_light > 1
        else None,
        "start": begins,
        "end": ends,
        "updated_since": protos.instant(request.updated_since_time) if request.HasField("updated_since_time") else None,
        "custom_fields": call.rules(custom_fields.FieldRules).path(
            "lead", structs.plain(request.custom_fields), request.custom_field_ranges
        ),
        "after_key": after_key,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, order, params)
    page, token = pages.split(found, request, lambda row: (row[1], row[0].id))
    await accesses.note(call, [lead.id for lead, _ in page])
    needs = await store.needs(call.db, [lead.id for lead, _ in page])
    leads = [wire.to_proto(lead, needs=needs.get(lead.id, ())) for lead, _ in page]
    return pb.ListLeadsResponse(leads=leads, next_page_token=token)


@rpcs.method
async def update_lead(request: pb.UpdateLeadRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id, with_keys=True)
    etags.check(request.etag, old.version)
    rules.check_open(old)
    action = business_actions.cited(call, request.business_action)
    paths = set(request.update_mask.paths)
    links = {"account_id", "contact_id"} & paths
    profile = profiles.masked(old.profile, profiles.read(request.profile), paths - links, pb.LeadProfile)
    codes.check(profile, call.rules(codes.CodeRules), call.org)
    identifiers.check_ways(profile, call.rules(identifiers.MatchingRules), old.profile)
    custom_fields.check("lead", profile, call.rules(custom_fields.FieldRules))
    new = replace(old, profile=profile)
    if "account_id" in links:
        new = replace(new, account_id=await _linked(call, "account", request.account_id))
    if "contact_id" in links:
        new = replace(new, contact_id=await _linked(call, "contact", request.contact_id))
    if links and new.contact_id:
        person = await _person(call, new.contact_id)
        if "account_id" not in links and new.account_id is None:
            new = replace(new, account_id=person.account_id)
        records.check_of(person, new.account_id)
    if (keys := desk.keys_of(call, profile)) != desk.keys_of(call, old.profile):
        store.give_up_keys(call.tx, [old.id])
        store.take_keys(call.tx, old.id, keys)
    (after,) = desk.save(call, [(old, new)], "update", business_action=action)
    return wire.to_proto(after)


@rpcs.method
async def record_response(request: pb.RecordResponseRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id)
    rules.check_open(old)
    settings = call.rules(ResponseRules)
    at = protos.instant(request.respond_time, "respond_time") if request.HasField("respond_time") else call.now
    rules.check_response(old, request.content, at, call.now, settings)
    responder = _responder(call, request)
    kept = provenance.by_hand(call, request.provenance)
    touch = interactions.Touch(
        kept=kept,
        channel=enums.word(interactions_pb2.Channel, request.channel),
        direction="outbound",
        action="response" if request.reached else "attempt",
        occurred_at=at,
        person_id=responder,
        summary=request.content,
        lead_id=old.id,
        account_id=old.account_id,
        contact_id=old.contact_id,
        effective=request.reached,
    )
    if not await interactions.record(call, [touch]):
        return wire.to_proto(old)
    new = rules.responded(old, at, request.reached, settings)
    if request.reached:
        new = replace(new, last_interaction_at=max(at, old.last_interaction_at or at))
    (after,) = desk.save(call, [(old, new)], "respond", "first response")
    if after.responded_at is not None and old.responded_at is None:
        call.tell(wire.responded(after, request.channel), after.id)
    desk.answered(call, old, after)
    if request.reached and old.responded_at is not None:
        desk.answered_again(call, after)
    if request.HasField("next_contact_date"):
        await _agree_next(call, after, request)
    return wire.to_proto(after)


@rpcs.method
async def advance_lead(request: pb.AdvanceLeadRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id)
    etags.check(request.etag, old.version)
    new = rules.advanced(old, enums.word(pb.LeadStage, request.stage), call.rules(LeadRules))
    (after,) = desk.save(call, [(old, new)], "advance", request.reason)
    return wire.to_proto(after)


@rpcs.method
async def convert_lead(request: pb.ConvertLeadRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id)
    etags.check(request.etag, old.version)
    rules.check_convertible(old)
    action = business_actions.text("lead", old.id, request.not_duplicate_reason, call.now)
    account_id = await _account_for(call, old, request, action)
    contact_id = await _contact_for(call, old, request, account_id, action)
    stage = call.rules(LeadRules).converted_stage
    new = replace(old, account_id=account_id, contact_id=contact_id, converted_at=call.now, stage=stage)
    (after,) = desk.save(call, [(old, new)], "convert", "converted", action)
    await interactions.taken_along(call, after.id, account_id, contact_id)
    # From here on the account is listened to, not the lead; who asked again and got no answer still waits for it.
    call.clocks.meet(silence.KIND, old.id)
    needs = (await store.needs(call.tx, [after.id])).get(after.id, ())
    call.tell(wire.converted(after, request, needs), after.id)
    return wire.to_proto(after)


@rpcs.method
async def close_lead(request: pb.CloseLeadRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id, with_keys=True)
    etags.check(request.etag, old.version)
    outcome = enums.word(pb.LeadOutcome, request.outcome)
    rules.check_closing(old, outcome, request.reason, request.deal_reference, call.rules(CloseReasonRules))
    note = "; ".join(filter(None, (request.reason, request.deal_reference, request.note)))
    (after,) = desk.save(call, [(old, rules.closed(old, outcome, request.reason, call.now))], "close", note)
    desk.ended(call, after)
    assignment.end(call, "lead", [after.id])
    call.tell(wire.closed(after), after.id)
    return wire.to_proto(after)


@rpcs.method
async def reopen_lead(request: pb.ReopenLeadRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id)
    etags.check(request.etag, old.version)
    if await call.tx.value(store.IS_ERASED, {"id": old.id}):
        raise errors.FailedPrecondition("LEAD_ERASED", "whom it was about has been erased; nobody is left to answer")
    opened = replace(rules.reopened(old, call.now, call.rules(LeadRules)), historical=False)
    person = call.org.person(old.owner_id)
    if person is not None and person.active:
        (row,) = assignment.hold(
            call, "lead", [(old.id, person.id, person.unit_id)], "manual", "had it before", request.reason, {}
        )
        choice = assignment.Choice(row.owner_id, row.unit_id, row.rule)
    else:
        choice = (await assignment.by_rules(call, "lead", [desk.subject(opened)], reason=request.reason, previous={}))[
            old.id
        ]
    (after,) = desk.save(call, [(old, desk.owed(call, opened, choice))], "reopen", request.reason)
    store.take_keys(call.tx, after.id, desk.keys_of(call, after.profile))
    if after.responded_at is None:
        desk.start_response_clocks(call, [after])
        call.clocks.start(
            desk.UNANSWERED,
            after.id,
            call.rules(ResponseRules).unanswered,
            owner_id=after.owner_id,
            unit_id=after.unit_id,
        )
    else:
        silence.watch(call, "lead", [(after.id, after.owner_id, after.unit_id)])
    desk.tell_assigned(call, after, "", "manual")
    return wire.to_proto(after)


@rpcs.method
async def pause_lead(request: pb.PauseLeadRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id)
    etags.check(request.etag, old.version)
    until = protos.instant(request.until_time, "until_time")
    rules.check_pause(old, until, call.now, call.rules(LeadRules))
    return wire.to_proto(await pausing.pause(call, old, until, request.reason))


@rpcs.method
async def resume_lead(request: pb.ResumeLeadRequest, call: Call) -> pb.Lead:
    old = await _held(call, request.id)
    etags.check(request.etag, old.version)
    if old.paused_until is None:
        raise errors.FailedPrecondition("LEAD_NOT_PAUSED", "its clocks are running")
    return wire.to_proto(await pausing.resume(call, old))


@rpcs.method
async def get_response_report(request: pb.GetResponseReportRequest, call: Call) -> pb.ResponseReport:
    return await report.measure(request, call)


async def _held(call: Call, id: str, *, with_keys: bool = False) -> Lead:
    lead = (await (store.lock_with_keys if with_keys else store.lock)(call.tx, [id])).get(id)
    if lead is None:
        raise errors.NotFound("LEAD_NOT_FOUND", f"no lead {id}")
    call.authorize(lead.owner_id, lead.unit_id)
    return lead


async def _linked_up(call: Call, inquiry: intake.Inquiry) -> intake.Inquiry:
    """With the customer it says it is of, which its caller may see; a person brings their account."""
    account_id = await _linked(call, "account", inquiry.account_id or "")
    if not inquiry.contact_id:
        return replace(inquiry, account_id=account_id)
    person = await _person(call, inquiry.contact_id)
    if account_id is not None:
        records.check_of(person, account_id)
    return replace(inquiry, account_id=person.account_id, contact_id=person.id)


async def _linked(call: Call, type_: str, id_: str) -> str | None:
    return (await _within_reach(call, type_, id_)).id if id_ else None


async def _person(call: Call, id_: str) -> records.Standing:
    return await _within_reach(call, "contact", id_)


async def _within_reach(call: Call, type_: str, id_: str) -> records.Standing:
    found = (await records.find(call.tx, [(type_, id_)])).get((type_, id_))
    if found is None:
        raise errors.NotFound(f"{type_.upper()}_NOT_FOUND", f"no {type_} {id_}")
    call.authorize(found.owner_id, found.unit_id, found.participant_ids)
    return found


def _responder(call: Call, request: pb.RecordResponseRequest) -> str:
    if request.responder_id:
        records.person_unit(call, request.responder_id, "responder_id")
        return request.responder_id
    if call.caller.roles <= {"service", "integration"}:
        raise errors.InvalidArgument(
            "RESPONDER_MISSING", "a program says who answered", {"responder_id": "value is required"}
        )
    return call.caller.subject


async def _agree_next(call: Call, lead: Lead, request: pb.RecordResponseRequest) -> None:
    """An agreed talk is on the owner's list for that morning, and reminded of (S26)."""
    day = protos.day(request.next_contact_date, "next_contact_date")
    if day < call.home.today(lead.unit_id):
        raise errors.InvalidArgument("TIME_IN_PAST", "an agreed talk lies ahead", {"next_contact_date": "in the past"})
    asking.task(
        call,
        kind="follow_up",
        warning="customers.next_contact",
        subject_type="lead",
        subject_id=lead.id,
        title=f"跟进 {lead.title}",
        description=request.content,
        assignee="owner",
        owner_id=lead.owner_id,
        unit_id=lead.unit_id,
        light=Light.LIGHT_NONE,
        due_time=call.home.morning(day, lead.unit_id),
        account_id=lead.account_id or "",
    )
    standing = (await records.find(call.tx, [("lead", lead.id)]))["lead", lead.id]
    await reminders.agree_next(call, standing, "lead_response", f"跟进 {lead.title}"[:500], day)


async def _account_for(call: Call, lead: Lead, request: pb.ConvertLeadRequest, action: str) -> str:
    wanted = request.account_id or ("" if request.WhichOneof("account") == "new_account" else lead.account_id or "")
    if not wanted and request.WhichOneof("account") is None and request.contact_id:
        wanted = (await _person(call, request.contact_id)).account_id or ""
    if wanted:
        return await _linked(call, "account", wanted) or wanted
    shared = ("region_code", "industry", "product_lines", "time_zone")
    of_lead = {"name": lead.profile.get("company_name", "")} | {k: lead.profile[k] for k in shared if k in lead.profile}
    profile = profiles.completed(profiles.read(request.new_account, "new_account"), _set(of_lead))
    if not profile.get("name"):
        raise errors.InvalidArgument(
            "NAME_MISSING", "say the name of the account", {"new_account.name": "value is required"}
        )
    profile = accounts.checked(call, profile)
    await accounts.refuse_twins(call, profile, accounts.keys_of(call, profile), request.not_duplicate_reason)
    source = {**lead.provenance, "source_id": f"lead:{lead.id}"}
    account = await accounts.hung(call, accounts.made(call, profile, lead.owner_id, lead.unit_id, source))
    accounts.create(call, [account], action)
    assignment.hold(call, "account", [(account.id, lead.owner_id, lead.unit_id)], "brought", "its lead was theirs")
    return account.id


async def _contact_for(call: Call, lead: Lead, request: pb.ConvertLeadRequest, account_id: str, action: str) -> str:
    wanted = request.contact_id or ("" if request.WhichOneof("contact") == "new_contact" else lead.contact_id or "")
    if wanted:
        person = await _person(call, wanted)
        records.check_of(person, account_id)
        return person.id
    of_lead: dict[str, Any] = {
        "name": lead.profile.get("contact_name", ""),
        "job_title": lead.profile.get("job_title", ""),
        "phones": [lead.profile["phone"]] if "phone" in lead.profile else [],
        "email_addresses": [lead.profile["email_address"]] if "email_address" in lead.profile else [],
        "wechat_id": lead.profile.get("wechat_id", ""),
        "language_code": lead.profile.get("language_code", ""),
        "time_zone": lead.profile.get("time_zone", ""),
    }
    profile = profiles.completed(profiles.read(request.new_contact, "new_contact"), _set(of_lead))
    if not profile.get("name"):
        raise errors.InvalidArgument(
            "NAME_MISSING", "say the name of the contact", {"new_contact.name": "value is required"}
        )
    profile = contacts.checked(call, profile)
    await contacts.refuse_twins(call, contacts.keys_of(call, profile), request.not_duplicate_reason)
    found = await records.find(call.tx, [("account", account_id)])
    source = {**lead.provenance, "source_id": f"lead:{lead.id}"}
    contact = contacts.made(call, found["account", account_id], profile, source, action)
    contacts.create(call, [contact], action)
    return contact.id


def _set(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
