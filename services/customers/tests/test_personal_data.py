"""Personal data: what it is kept for, what persons allowed, export, erasure, and who looked (PIPL)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import (
    accounts_pb2,
    contacts_pb2,
    decision_chain_pb2,
    identity_pb2,
    interactions_pb2,
    leads_pb2,
    opportunity_points_pb2,
    playbooks_pb2,
    reminders_pb2,
    suggestions_pb2,
    visit_brief_pb2,
    wake_ups_pb2,
)
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import personal_data_pb2 as pb
from closedloop.options.v1 import options_pb2
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import contract, protos
from closedloop_chassis.events import upkeep
from closedloop_chassis.events.upkeep import RetentionRules
from closedloop_chassis.ids import new_id
from closedloop_customers.personal.places import IMPERSONAL, PLACES
from closedloop_customers.personal.rules import PersonalDataRules
from closedloop_customers.service import SERVICE

from . import test_follow_up as following
from .conftest import House, patiently

DAYS = timedelta(days=2)
ANY_STEP = [value for value in playbooks_pb2.PlaybookStepState.values() if value]
PHONE, MAIL, NAME = "13812345678", "wang.fang@example.cn", "王芳芳"
# Everything by which this person could be told.
TRACES = ("12345678", "wang.fang", NAME, "采购部长", "wangff")


def person(type_: str, id_: str) -> accounts_pb2.RecordReference:
    return accounts_pb2.RecordReference(type=accounts_pb2.RecordType.Value(f"RECORD_TYPE_{type_.upper()}"), id=id_)


CREATING = "closedloop.customers.v1.AccountService.CreateAccount"


async def known(house: House, rid: Any) -> tuple[contacts_pb2.Contact, leads_pb2.Lead]:
    """A person who is a contact, has asked before as a lead, and was spoken with."""
    account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(), profile=accounts_pb2.AccountProfile(name="华东精密", product_lines=["vision"])
        )
    )
    posted = Struct()
    posted.update({"name": NAME, "tel": PHONE})
    lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(
                company_name="华东精密",
                contact_name=NAME,
                phone=f"+86 {PHONE}",
                need=f"{NAME}要报价",
                region_code="310000",
            ),
            provenance=Provenance(source="web_form", source_id="f-1"),
            consents=[leads_pb2.ConsentGrant(purpose="sales_contact", text_version="2026-1")],
            payload=posted,
        )
    )
    held = await house.ops.leads.CloseLead(
        leads_pb2.CloseLeadRequest(
            request_id=rid(), id=lead.id, etag=lead.etag, outcome=leads_pb2.LEAD_OUTCOME_LOST, reason="no_budget"
        )
    )
    contact = await house.rep1.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(),
            account_id=account.id,
            profile=contacts_pb2.ContactProfile(
                name=NAME, job_title="采购部长", phones=[PHONE], email_addresses=[MAIL], wechat_id="wangff"
            ),
        )
    )
    row = interactions_pb2.InteractionRow(
        record=person("contact", contact.id),
        channel=interactions_pb2.CHANNEL_PHONE,
        direction=interactions_pb2.INTERACTION_DIRECTION_INBOUND,
        occur_time=protos.timestamp(house.live.now),
        summary=f"{NAME}说下周再定",
        provenance=Provenance(source="crm", source_id="i-1"),
    )
    await house.rep1.interactions.BulkRecordInteractions(
        interactions_pb2.BulkRecordInteractionsRequest(request_id=rid(), rows=[row])
    )
    return contact, held


async def opened(house: House, rid: Any, kind: str, **by: Any) -> pb.PersonalDataRequest:
    wanted = pb.PersonalDataRequestKind.Value(f"PERSONAL_DATA_REQUEST_KIND_{kind}")
    made: pb.PersonalDataRequest = await house.ops.personal.OpenPersonalDataRequest(
        pb.OpenPersonalDataRequestRequest(request_id=rid(), kind=wanted, requester=f"{NAME}来电", **by)
    )
    return made


def decide(rid: Any, one: pb.PersonalDataRequest, **fields: Any) -> pb.DecidePersonalDataRequestRequest:
    whole = {"decision": pb.PERSONAL_DATA_REQUEST_STATE_DONE, "identity_proof": "身份证核对", **fields}
    return pb.DecidePersonalDataRequestRequest(request_id=rid(), id=one.id, etag=one.etag, **whole)


async def kept(house: House) -> str:
    """Every row of every table of the service but what has a retention of its own: events on their way or applied, and
    what the callers' own last answers are repeated from."""
    tables = await house.live.db.all(
        """SELECT table_name AS name FROM information_schema.tables
            WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
              AND table_name NOT IN ('outbox', 'inbox', 'idempotency')"""
    )
    texts = [await house.live.db.value(f'SELECT string_agg(t::text, chr(10)) FROM "{t["name"]}" t') for t in tables]
    return "\n".join(text for text in texts if text)


def named(data: bytes) -> bool:
    return any(trace.encode() in data for trace in TRACES)


async def parked(house: House, subject: str, phone: str) -> None:
    """An event of another service that failed for good."""
    speaks = approvals.TaskSettled(comment=f"回电 {phone}")
    tx = house.live.process.database.transaction()
    tx.do(
        """INSERT INTO inbox (id, source, type, subject, sequence, time, data, slot, state, attempts, parked_at)
           VALUES (%(id)s, 'approvals', %(type)s, %(subject)s, 9999, clock_timestamp(), %(data)s, 0, 2, 8,
                   clock_timestamp())""",
        {
            "id": new_id(),
            "type": "closedloop.approvals.task.settled.v1",
            "subject": subject,
            "data": speaks.SerializeToString(),
        },
    )
    await tx.commit()


async def test_what_is_kept_of_people_is_registered_field_by_field(house: House) -> None:
    register = await house.rep1.personal.GetProcessingRegister(pb.GetProcessingRegisterRequest())
    by_field = {entry.field.removeprefix("closedloop.customers.v1."): entry for entry in register.entries}
    phones = by_field["ContactProfile.phones"]
    assert (list(phones.purposes), phones.legal_ground) == (["contract", "service"], "contract")
    assert phones.retention.ToTimedelta() == timedelta(days=1825)
    assert set(phones.recipients) == {"funnel", "integrations"}
    assert not by_field["ContactProfile.note"].recipients
    assert by_field["Interaction.summary"].legal_ground == "legitimate"
    assert not by_field["Interaction.summary"].HasField("retention")
    assert {"LeadProfile.phone", "Reminder.title", "ChecklistItem.answer"} <= set(by_field)
    assert register.rule.rulebook == "customers.personal_data"
    with pytest.raises(ValueError, match="purposes that nothing explains"):
        PersonalDataRules(message_purposes={"curiosity"})


async def test_every_place_a_person_is_named_in_is_exported_and_emptied(house: House) -> None:
    rows = await house.live.db.all(
        """SELECT table_name || '.' || column_name AS name FROM information_schema.columns
            WHERE table_schema = 'public' AND data_type = 'uuid'
              AND column_name ~ '^(contact|lead|record|merged_into|created_contact)_id$'
              AND table_name || '.' || column_name <> 'account.merged_into_id'"""
    )
    listed = {f"{place.table}.{place.column}" for place in PLACES}
    assert {row["name"] for row in rows} - listed - IMPERSONAL == set()


@pytest.mark.mission("S27", "S73")
async def test_a_consent_withdrawn_closes_channels_at_once_everywhere(house: House, rid: Any) -> None:
    contact, lead = await known(house, rid)

    def said(**fields: Any) -> pb.RecordConsentRequest:
        return pb.RecordConsentRequest(request_id=rid(), record=person("contact", contact.id), **fields)

    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_PURPOSE"):
        await house.rep1.personal.RecordConsent(said(purpose="curiosity", granted=True))
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.personal.RecordConsent(said(granted=False))
    await house.rep1.personal.RecordConsent(said(purpose="marketing", granted=True, text_version="2026-1"))
    await house.live.advance(minutes=1)
    await house.rep1.personal.RecordConsent(said(purpose="marketing", channel=interactions_pb2.CHANNEL_SMS))
    await house.live.advance(minutes=1)
    # Told late: what was said later stays in force.
    late = protos.timestamp(house.live.now - timedelta(minutes=2))
    await house.rep1.personal.RecordConsent(
        said(purpose="marketing", channel=interactions_pb2.CHANNEL_SMS, granted=True, effective_time=late)
    )
    held = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert list(held.closed_channels) == [interactions_pb2.CHANNEL_SMS]
    told = await house.live.told(events.ConsentChanged)
    assert [(t.channel, t.granted, list(t.phones), list(t.email_addresses)) for t in told] == [
        (interactions_pb2.CHANNEL_UNSPECIFIED, True, [PHONE], [MAIL]),
        (interactions_pb2.CHANNEL_SMS, False, [PHONE], [MAIL]),
    ]
    asked = pb.ListConsentsRequest(record=person("contact", contact.id))
    now = (await house.rep1.personal.ListConsents(asked)).consents
    assert [(c.channel, c.granted) for c in now] == [
        (interactions_pb2.CHANNEL_SMS, False),
        (interactions_pb2.CHANNEL_UNSPECIFIED, True),
    ]
    asked.with_history = True
    asked.page_size = 2
    first = await house.rep1.personal.ListConsents(asked)
    asked.page_token = first.next_page_token
    assert len((await house.rep1.personal.ListConsents(asked)).consents) == 1
    # What the inquiry brought along counts as said.
    (brought,) = (
        await house.ops.personal.ListConsents(pb.ListConsentsRequest(record=person("lead", lead.id)))
    ).consents
    assert (brought.purpose, brought.granted, brought.text_version) == ("sales_contact", True, "2026-1")


async def test_a_person_sees_and_takes_along_what_we_keep(house: House, rid: Any) -> None:
    contact, lead = await known(house, rid)
    with house.live.refused("NOT_FOUND", "PERSON_NOT_FOUND"):
        await opened(house, rid, "ACCESS", phones=["13900000000"])
    one = await opened(house, rid, "ACCESS", phones=["１３８ 1234 5678"])
    assert [(r.type, r.id) for r in one.records] == [
        (accounts_pb2.RECORD_TYPE_CONTACT, contact.id),
        (accounts_pb2.RECORD_TYPE_LEAD, lead.id),
    ], "a closed lead is found by its phone as well"
    with house.live.refused("FAILED_PRECONDITION", "REQUEST_OPEN"):
        await opened(house, rid, "ACCESS", email_addresses=[MAIL.upper()])
    with house.live.refused("FAILED_PRECONDITION", "NOT_GRANTED"):
        await house.ops.personal.ExportPersonalData(pb.ExportPersonalDataRequest(id=one.id))
    with house.live.refused("FAILED_PRECONDITION", "IDENTITY_NOT_VERIFIED"):
        await house.ops.personal.DecidePersonalDataRequest(decide(rid, one, identity_proof=" "))
    done = await house.ops.personal.DecidePersonalDataRequest(decide(rid, one))
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_DECIDED"):
        await house.ops.personal.DecidePersonalDataRequest(decide(rid, done))
    items, token = [], ""
    while True:
        page = await house.ops.personal.ExportPersonalData(
            pb.ExportPersonalDataRequest(id=one.id, page_size=3, page_token=token)
        )
        items += page.items
        token = page.next_page_token
        if not token:
            break
    by_place = {(item.record.partition(":")[0], item.field): item for item in items}
    assert by_place["contact", "profile"].value.struct_value["wechat_id"] == "wangff"
    assert by_place["inquiry", "payload"].value.struct_value["tel"] == PHONE
    said = {item.value.string_value for item in items if (item.record[:12], item.field) == ("interaction:", "summary")}
    assert said == {f"{NAME}说下周再定", f"{NAME}要报价"}, "the inquiry is a touch of the customer, too"
    assert list(by_place["lead", "profile"].purposes) == ["sales_contact"]
    assert by_place["lead", "profile"].provenance.source == "web_form"
    with house.live.refused("PERMISSION_DENIED"):
        await house.rep1.personal.ExportPersonalData(pb.ExportPersonalDataRequest(id=one.id))
    await house.live.advance(days=31)
    with house.live.refused("FAILED_PRECONDITION", "EXPORT_EXPIRED"):
        await house.ops.personal.ExportPersonalData(pb.ExportPersonalDataRequest(id=one.id))


async def test_an_erased_person_is_nowhere(house: House, rid: Any) -> None:
    contact, lead = await known(house, rid)
    made_twice = contacts_pb2.CreateContactRequest(
        request_id=rid(),
        account_id=contact.account_id,
        profile=contacts_pb2.ContactProfile(name=NAME, phones=[PHONE]),
        not_duplicate_reason="made twice on purpose",
    )
    twin = await house.rep1.contacts.CreateContact(made_twice)
    # Colleagues wrote of her under her company, and somebody else is called as she is.
    unsaid = interactions_pb2.InteractionRow(
        record=person("account", contact.account_id),
        channel=interactions_pb2.CHANNEL_VISIT,
        direction=interactions_pb2.INTERACTION_DIRECTION_OUTBOUND,
        occur_time=protos.timestamp(house.live.now),
        summary=f"拜访，{NAME}不在，约周五",
        provenance=Provenance(source="crm", source_id="i-2"),
    )
    await house.rep1.interactions.BulkRecordInteractions(
        interactions_pb2.BulkRecordInteractionsRequest(request_id=rid(), rows=[unsaid])
    )
    elsewhere = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=rid(), profile=accounts_pb2.AccountProfile(name=f"{NAME}商行"))
    )
    before = await kept(house)
    assert [trace for trace in TRACES if trace not in before] == []
    for subject, number in (("theirs", PHONE), ("others", "13900000000")):
        await parked(house, subject, number)
    one = await opened(house, rid, "ERASURE", records=[person("contact", contact.id)])
    assert {r.id for r in one.records} == {contact.id, twin.id, lead.id}
    told_before = {row["id"] for row in await house.live.db.all("SELECT id FROM outbox")}
    done = await house.ops.personal.DecidePersonalDataRequest(decide(rid, one))
    assert (done.state, done.requester) == (pb.PERSONAL_DATA_REQUEST_STATE_DONE, "")
    left = await kept(house)
    found = [line for line in left.splitlines() if any(trace in line for trace in TRACES)]
    assert [line for line in found if elsewhere.id not in line and f"{NAME}商行" not in line] == []
    assert found, "another company keeps its name"
    assert "拜访，（已删除）不在，约周五" in left
    with house.live.refused("FAILED_PRECONDITION", "CONTACT_ERASED"):
        await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    (told,) = await house.live.told(events.PersonErased)
    assert told.personal_data_request_id == one.id
    assert hashlib.sha256(f"+86{PHONE}".encode()).digest() in told.address_digests
    assert [(name.sha256, name.length) for name in told.name_digests] == [(hashlib.sha256(NAME.encode()).digest(), 3)]
    assert list(told.account_ids) == [contact.account_id]
    # What could not be applied and speaks of the person is gone; what speaks of others waits.
    inbox = {row["subject"]: row for row in await house.live.db.all("SELECT subject, state, data, error FROM inbox")}
    assert (inbox["theirs"]["state"], inbox["theirs"]["data"], inbox["theirs"]["error"]) == (1, b"", None)
    assert inbox["others"]["state"] == 2
    assert b"13900000000" in inbox["others"]["data"]
    # What is told from now on names nobody; applied events that still do are gone with their retention.
    after = [row for row in await house.live.db.all("SELECT id, data FROM outbox") if row["id"] not in told_before]
    assert after
    assert [row for row in after if named(row["data"])] == []
    # What callers were answered is forgotten at once, and nobody else's: who asks again hears that it was done.
    answers = await house.live.db.all("SELECT method, response FROM idempotency")
    assert {row["method"] for row in answers if named(row["response"])} == {CREATING}
    assert any(row["method"] == "forgotten" for row in answers)
    assert len([row for row in answers if row["method"] != "forgotten"]) > 1
    with house.live.refused("FAILED_PRECONDITION", "ANSWER_FORGOTTEN"):
        await house.rep1.contacts.CreateContact(made_twice)
    with house.live.refused("FAILED_PRECONDITION", "LEAD_ERASED"):
        reopen = leads_pb2.ReopenLeadRequest(request_id=rid(), id=lead.id, reason="再问问")
        reopen.etag = (await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))).etag
        await house.ops.leads.ReopenLead(reopen)
    keeping = RetentionRules()
    await house.live.db.all(
        f"UPDATE idempotency SET created_at = created_at - interval '{keeping.answer_hours} hours' RETURNING 1"
    )
    await house.live.db.all(
        f"""UPDATE inbox SET applied_at = applied_at - interval '{keeping.applied_event_days} days'
             WHERE state = 1 RETURNING 1"""
    )
    await upkeep.forget(house.live.process)
    assert await house.live.db.all("SELECT response FROM idempotency") == []
    assert {row["subject"] for row in await house.live.db.all("SELECT subject FROM inbox")} == {"others"}
    # An import that still knows the person does not bring them back.
    again = await house.rep1.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(), account_id=contact.account_id, profile=contacts_pb2.ContactProfile(name="别人")
        )
    )
    assert again.id not in {contact.id, twin.id}


async def test_who_is_erased_while_being_woken_hears_no_more_and_their_lead_is_nobodys_work(
    house: House, rid: Any
) -> None:
    customer, contact = await following.customer(house, rid, product_lines=["vision"])
    lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(contact_name=NAME, phone=PHONE, region_code="310000", need="报价"),
            provenance=Provenance(source="web_form", source_id="f-9"),
        )
    )
    await house.live.advance(hours=2)
    lead = await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))
    assert lead.escalation_level == 1
    by_hand = wake_ups_pb2.StartWakeUpRequest(request_id=rid(), record=following.of(customer))
    woken = await house.rep1.wake_ups.StartWakeUp(by_hand)
    one = await opened(house, rid, "ERASURE", records=[person("contact", contact.id), person("lead", lead.id)])
    await house.ops.personal.DecidePersonalDataRequest(decide(rid, one))
    # The wake-up stops and the customer is listened for again after a rest; the lead is closed with all that waited for it.
    ended = await house.ops.wake_ups.GetWakeUp(wake_ups_pb2.GetWakeUpRequest(id=woken.id))
    assert (ended.state, ended.end_reason) == (wake_ups_pb2.WAKE_UP_STATE_STOPPED, "the person was erased")
    closed = await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))
    assert (closed.stage, closed.outcome) == (leads_pb2.LEAD_STAGE_CLOSED, leads_pb2.LEAD_OUTCOME_INVALID)
    assert closed.close_reason == "person_erased"
    assert [told.lead_id for told in await house.live.told(events.LeadClosed)] == [lead.id]
    assert {task.cause_key for task in await house.live.told(approvals.TaskWithdrawn)} >= {
        f"customers.first_response:{lead.id}"
    }
    clocks = await house.live.db.all("SELECT kind, subject FROM clock WHERE state = 'open'")
    assert [(c["kind"], c["subject"]) for c in clocks if c["subject"] in (lead.id, woken.id)] == []
    assert [c["kind"] for c in clocks if c["subject"] == customer.id] == ["customers.silence"]
    asked = len(await house.live.told(approvals.TaskRequested))
    await house.live.advance(days=8)
    assert len(await following.messages(house)) == 1
    assert len(await house.live.told(approvals.TaskRequested)) == asked


async def test_what_the_law_wants_kept_is_kept_and_what_nothing_allows_is_not(house: House, rid: Any) -> None:
    _, lead = await known(house, rid)
    reopened = await house.ops.leads.ReopenLead(
        leads_pb2.ReopenLeadRequest(request_id=rid(), id=lead.id, etag=lead.etag, reason="又来了")
    )
    await house.ops.leads.CloseLead(
        leads_pb2.CloseLeadRequest(
            request_id=rid(),
            id=lead.id,
            etag=reopened.etag,
            outcome=leads_pb2.LEAD_OUTCOME_WON,
            reason="deal_made",
            deal_reference="HT-1",
        )
    )
    one = await opened(house, rid, "ERASURE", phones=[PHONE])
    with house.live.refused("FAILED_PRECONDITION", "RETENTION_DUTY"):
        await house.ops.personal.DecidePersonalDataRequest(decide(rid, one))
    with house.live.refused("INVALID_ARGUMENT", "REASON_MISSING"):
        refused = pb.PERSONAL_DATA_REQUEST_STATE_REFUSED
        await house.ops.personal.DecidePersonalDataRequest(decide(rid, one, decision=refused))
    await house.ops.personal.DecidePersonalDataRequest(
        decide(rid, one, excluded_records=[person("lead", lead.id)], reason="合同存续")
    )
    assert "12345678" in await kept(house)
    # After the duty and the retention nobody has to ask.
    await house.live.db.all("UPDATE lead SET closed_at = closed_at - interval '1095 days' RETURNING id")
    await house.live.hear(targets.OrgUnitChanged(unit_id="co", kind="company", name="总公司", active=True), "co")
    await house.live.advance(days=1, minutes=1)
    assert "12345678" not in await kept(house)


# Answers with fields that are personal, yet of nobody who is a customer's: a company's numbers, our own people, hints of
# what was changed, who asked for their data (whose records are noted as they are shown).
OF_NOBODY = frozenset(
    {
        "GetAccount", "ListAccounts", "ListAccountChanges", "ListSellers", "GetPersonalDataRequest",
        "ListPersonalDataRequests",
    }
)  # fmt: skip


def showing() -> set[str]:
    """Reads whose answers hold a field that the contract marks as personal."""

    def personal(message: Any, seen: set[str]) -> bool:
        if message.full_name in seen:
            return False
        seen.add(message.full_name)
        return any(
            field.GetOptions().Extensions[options_pb2.personal]
            or (field.message_type is not None and personal(field.message_type, seen))
            for field in message.fields
        )

    services = {rpcs.service for slice_ in SERVICE.slices for rpcs in slice_.rpcs}
    methods = [method for service in services for method in contract.methods(service)]
    return {m.name for m in methods if not m.mutates and personal(m.response.DESCRIPTOR, set())}


async def test_every_look_at_a_person_is_noted(house: House, rid: Any) -> None:
    contact, lead = await known(house, rid)
    one, account = person("contact", contact.id), person("account", contact.account_id)
    friend = await house.rep1.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(), account_id=contact.account_id, profile=contacts_pb2.ContactProfile(name=NAME)
        )
    )
    await house.live.advance(days=8)
    (woken,) = (await house.rep1.wake_ups.ListWakeUps(wake_ups_pb2.ListWakeUpsRequest(record=account))).wake_ups
    agreed = await house.rep1.reminders.CreateReminder(
        reminders_pb2.CreateReminderRequest(
            request_id=rid(), record=one, title="演示", agreed_date=protos.date_proto(house.live.now.date() + DAYS)
        )
    )
    need = await house.rep1.points.CreateOpportunityPoint(
        opportunity_points_pb2.CreateOpportunityPointRequest(
            request_id=rid(), account_id=contact.account_id, contact_id=contact.id, need="要非标接口"
        )
    )
    proposed = await house.ops.suggestions.ProposeSuggestion(
        suggestions_pb2.ProposeSuggestionRequest(
            request_id=rid(),
            record=one,
            kind=suggestions_pb2.SUGGESTION_KIND_JOB_CHANGE,
            changes=[suggestions_pb2.SuggestedChange(field="job_title", proposed=Value(string_value="总监"))],
            summary="升职",
            quote="我升任总监了",
            provenance=Provenance(source="mail", source_id="m-9"),
            confidence_ratio=0.9,
        )
    )
    knows = decision_chain_pb2.RelatePeopleRequest(
        request_id=rid(),
        account_id=contact.account_id,
        to=decision_chain_pb2.PersonReference(contact_id=contact.id),
        kind=decision_chain_pb2.RELATION_KIND_KNOWS,
        business_action=accounts_pb2.BusinessAction(kind="visit"),
    )
    getattr(knows, "from").person_id = "rep1"
    await house.rep1.chain.RelatePeople(knows)
    await house.ops.identity.ScanDuplicates(
        identity_pb2.ScanDuplicatesRequest(request_id=rid(), record_type=accounts_pb2.RECORD_TYPE_CONTACT)
    )
    inquiry = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(
                company_name="苏州远见", phone="13800138001", region_code="310000", need="报价"
            ),
            provenance=Provenance(source="web_form", source_id="f-2"),
        )
    )
    asked = await opened(house, rid, "ACCESS", phones=[PHONE])
    await house.ops.personal.DecidePersonalDataRequest(decide(rid, asked))
    looks: dict[str, tuple[Any, Any, str]] = {
        "GetContact": (house.m1.contacts, contacts_pb2.GetContactRequest(id=contact.id), contact.id),
        "ListContacts": (house.m1.contacts, contacts_pb2.ListContactsRequest(account_id=contact.account_id), contact.id),
        "GetDecisionChain": (
            house.m1.chain, decision_chain_pb2.GetDecisionChainRequest(account_id=contact.account_id), contact.id
        ),
        "FindIntroductions": (
            house.m1.chain, decision_chain_pb2.FindIntroductionsRequest(contact_id=contact.id), contact.id
        ),
        "FindDuplicates": (house.m1.identity, identity_pb2.FindDuplicatesRequest(record=one), contact.id),
        "ListDuplicatePairs": (house.m1.identity, identity_pb2.ListDuplicatePairsRequest(), friend.id),
        "ListInteractions": (
            house.m1.interactions, interactions_pb2.ListInteractionsRequest(record=account), contact.id
        ),
        "GetLead": (house.ops.leads, leads_pb2.GetLeadRequest(id=lead.id), lead.id),
        "ListLeads": (house.ops.leads, leads_pb2.ListLeadsRequest(), lead.id),
        "GetOpportunityPoint": (
            house.m1.points, opportunity_points_pb2.GetOpportunityPointRequest(id=need.id), contact.id
        ),
        "ListOpportunityPoints": (
            house.m1.points, opportunity_points_pb2.ListOpportunityPointsRequest(), contact.id
        ),
        "ExportPersonalData": (
            house.ops.personal, pb.ExportPersonalDataRequest(id=asked.id, page_size=1000), contact.id
        ),
        "GetGuidance": (
            house.ops.playbooks, playbooks_pb2.GetGuidanceRequest(record=person("lead", inquiry.id)), inquiry.id
        ),
        "ListPlaybookSteps": (house.ops.playbooks, playbooks_pb2.ListPlaybookStepsRequest(states=ANY_STEP), inquiry.id),
        "GetReminder": (house.m1.reminders, reminders_pb2.GetReminderRequest(id=agreed.id), contact.id),
        "ListReminders": (house.m1.reminders, reminders_pb2.ListRemindersRequest(), contact.id),
        "GetSuggestion": (house.m1.suggestions, suggestions_pb2.GetSuggestionRequest(id=proposed.id), contact.id),
        "ListSuggestions": (house.m1.suggestions, suggestions_pb2.ListSuggestionsRequest(), contact.id),
        "GetVisitBrief": (
            house.m1.brief, visit_brief_pb2.GetVisitBriefRequest(account_id=contact.account_id), contact.id
        ),
        "GetWakeUp": (house.m1.wake_ups, wake_ups_pb2.GetWakeUpRequest(id=woken.id), contact.id),
        "ListWakeUps": (house.m1.wake_ups, wake_ups_pb2.ListWakeUpsRequest(), contact.id),
    }  # fmt: skip
    assert showing() - OF_NOBODY == set(looks), "a read that shows people and is not tried here"
    for method, (stub, request, shown) in looks.items():
        await patiently(getattr(stub, method), request)
        noted = await house.auditor.personal.ListPersonalDataAccesses(
            pb.ListPersonalDataAccessesRequest(
                record=person("lead" if shown in (lead.id, inquiry.id) else "contact", shown)
            )
        )
        assert method in {look.method for look in noted.accesses}, method


async def test_looks_are_noted_and_a_forgotten_request_is_somebodys_task(house: House, rid: Any) -> None:
    contact, lead = await known(house, rid)
    await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    await house.m1.contacts.ListContacts(contacts_pb2.ListContactsRequest(account_id=contact.account_id))
    await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))
    asked = visit_brief_pb2.GetVisitBriefRequest(account_id=contact.account_id)
    await patiently(house.m1.brief.GetVisitBrief, asked)

    async def looks(record: accounts_pb2.RecordReference, **fields: Any) -> list[tuple[str, str]]:
        answer = await house.auditor.personal.ListPersonalDataAccesses(
            pb.ListPersonalDataAccessesRequest(record=record, **fields)
        )
        return [(look.actor_id, look.method) for look in answer.accesses]

    assert sorted(await looks(person("contact", contact.id))) == [
        ("m1", "GetVisitBrief"),
        ("m1", "ListContacts"),
        ("rep1", "GetContact"),
    ]
    assert await looks(person("lead", lead.id)) == [("ops", "GetLead")]
    with house.live.refused("PERMISSION_DENIED"):
        await house.rep1.personal.ListPersonalDataAccesses(
            pb.ListPersonalDataAccessesRequest(record=person("contact", contact.id))
        )
    one = await opened(house, rid, "ACCESS", phones=[PHONE])
    listed = await house.auditor.personal.ListPersonalDataRequests(pb.ListPersonalDataRequestsRequest())
    assert [r.id for r in listed.requests] == [one.id]
    got = await house.ops.personal.GetPersonalDataRequest(pb.GetPersonalDataRequestRequest(id=one.id))
    assert got == one
    await house.live.move_to(protos.instant(one.due_time) + timedelta(minutes=1))
    tasks = [t.content for t in await house.live.told(approvals.TaskRequested)]
    assert [(t.subject_id, t.assignee_id) for t in tasks if t.subject_type == "personal_data_request"] == [
        (one.id, "boss"),
        (one.id, "boss"),
    ]
