"""Contacts through the public contract."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, interactions_pb2
from closedloop.customers.v1 import contacts_pb2 as pb
from closedloop.customers.v1 import events_pb2 as events
from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import protos

from .conftest import House

LI = pb.ContactProfile(
    name="李伟",
    job_title="采购经理",
    phones=["138 0013 8000"],
    email_addresses=["Li.Wei@hdjm.example.cn"],
    key_contact=True,
)


async def make(house: House, rid: Any, profile: pb.ContactProfile = LI) -> pb.Contact:
    account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(
            request_id=rid(), profile=accounts_pb2.AccountProfile(name="华东精密"), not_duplicate_reason="test"
        )
    )
    contact: pb.Contact = await house.rep1.contacts.CreateContact(
        pb.CreateContactRequest(request_id=rid(), account_id=account.id, profile=profile)
    )
    return contact


def update(contact: pb.Contact, rid: Any, paths: list[str], **fields: Any) -> pb.UpdateContactRequest:
    return pb.UpdateContactRequest(
        request_id=rid(),
        id=contact.id,
        etag=contact.etag,
        update_mask=FieldMask(paths=paths),
        business_action=accounts_pb2.BusinessAction(kind="call"),
        **fields,
    )


async def test_a_contact_belongs_to_its_account(house: House, rid: Any) -> None:
    contact = await make(house, rid)
    assert contact.ownership.owner_id == "rep1"
    assert contact.state == pb.CONTACT_STATE_CURRENT
    assert contact.employments[0].account_id == contact.account_id
    assert contact.employments[0].job_title == "采购经理"
    assert await house.m1.contacts.GetContact(pb.GetContactRequest(id=contact.id)) == contact
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.contacts.GetContact(pb.GetContactRequest(id=contact.id))
    (told,) = await house.live.told(events.ContactChanged)
    assert (told.name, told.job_title, told.key_contact, told.version) == ("李伟", "采购经理", True, 1)
    with house.live.refused("NOT_FOUND", "ACCOUNT_NOT_FOUND"):
        missing = "0190d3c0-0000-7000-8000-000000000000"
        await house.rep1.contacts.CreateContact(
            pb.CreateContactRequest(request_id=rid(), account_id=missing, profile=LI)
        )


@pytest.mark.mission("U11")
async def test_the_same_person_is_not_made_twice(house: House, rid: Any) -> None:
    contact = await make(house, rid)
    twin = pb.ContactProfile(name="Li Wei", phones=["+8613800138000"])
    with house.live.refused("ALREADY_EXISTS", "DUPLICATE_CONTACT"):
        await house.rep1.contacts.CreateContact(
            pb.CreateContactRequest(request_id=rid(), account_id=contact.account_id, profile=twin)
        )
    requests = [
        pb.CreateContactRequest(
            request_id=rid(), account_id=contact.account_id, profile=pb.ContactProfile(name=f"王{n}", wechat_id="wang")
        )
        for n in range(4)
    ]
    answers = await asyncio.gather(
        *(house.rep1.contacts.CreateContact(request) for request in requests), return_exceptions=True
    )
    assert sum(isinstance(answer, pb.Contact) for answer in answers) == 1
    assert {a.code() for a in answers if isinstance(a, grpc.aio.AioRpcError)} == {grpc.StatusCode.ALREADY_EXISTS}


@pytest.mark.mission("S30")
async def test_a_change_is_cited_and_personal_data_only_hinted_at(house: House, rid: Any) -> None:
    contact = await make(house, rid)
    changed = await house.rep1.contacts.UpdateContact(
        update(contact, rid, ["phones"], profile=pb.ContactProfile(phones=["13900139000"]))
    )
    assert list(changed.profile.phones) == ["13900139000"]
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await house.rep1.contacts.UpdateContact(update(contact, rid, ["phones"]))
    changes = await house.rep1.accounts.ListAccountChanges(
        accounts_pb2.ListAccountChangesRequest(
            account_id=contact.account_id, contact_id=contact.id, field_prefix="profile.phones"
        )
    )
    newest = changes.changes[0]
    assert newest.business_action.kind == "call"
    assert newest.record.type == accounts_pb2.RECORD_TYPE_CONTACT
    assert "139" not in str(newest.after)
    assert newest.before != newest.after
    entries = await house.live.db.all(
        "SELECT changes::text AS changes FROM audit_entry WHERE subject = %(id)s", {"id": contact.id}
    )
    assert not any("13800138000" in entry["changes"] or "138 0013" in entry["changes"] for entry in entries)


@pytest.mark.mission("S31")
async def test_a_job_change_marks_the_contact_until_it_is_verified(house: House, rid: Any) -> None:
    contact = await make(house, rid)
    other = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=rid(), profile=accounts_pb2.AccountProfile(name="新东家"))
    )
    moved = await house.rep1.contacts.RecordJobChange(
        pb.RecordJobChangeRequest(
            request_id=rid(),
            id=contact.id,
            etag=contact.etag,
            change_date=Date(year=2026, month=1, day=2),
            new_account_id=other.id,
            new_job_title="总监",
            business_action=accounts_pb2.BusinessAction(kind="mail", reference="m-1"),
        )
    )
    assert moved.state == pb.CONTACT_STATE_JOB_CHANGED
    assert moved.account_id == other.id
    assert moved.profile.job_title == "总监"
    present, past = moved.employments
    assert present.account_id == other.id
    assert present.business_action.reference == "m-1"
    assert past.end_date == Date(year=2026, month=1, day=2)
    marked = pb.ListContactsRequest(states=[pb.CONTACT_STATE_JOB_CHANGED])
    assert [c.id for c in (await house.rep1.contacts.ListContacts(marked)).contacts] == [contact.id]
    verified = await house.rep1.contacts.UpdateContact(
        update(moved, rid, ["department"], profile=pb.ContactProfile(department="技术部"))
    )
    assert verified.state == pb.CONTACT_STATE_CURRENT
    gone = await house.rep1.contacts.RecordJobChange(
        pb.RecordJobChangeRequest(
            request_id=rid(),
            id=contact.id,
            etag=verified.etag,
            business_action=accounts_pb2.BusinessAction(kind="call"),
        )
    )
    assert gone.state == pb.CONTACT_STATE_LEFT
    assert gone.profile.job_title == ""


async def test_contacts_are_found_by_name_mail_or_phone(house: House, rid: Any) -> None:
    contact = await make(house, rid)
    for query in ("李", "li.wei@hdjm", "138 0013"):
        answer = await house.rep1.contacts.ListContacts(pb.ListContactsRequest(query=query))
        assert [c.id for c in answer.contacts] == [contact.id], query
    assert not (await house.rep9.contacts.ListContacts(pb.ListContactsRequest(query="李"))).contacts
    with house.live.refused("INVALID_ARGUMENT", "FILTER_MISSING"):
        await house.rep1.contacts.ListContacts(pb.ListContactsRequest())
    assert len((await house.ops.contacts.ListContacts(pb.ListContactsRequest(key_contact=True))).contacts) == 1


@pytest.mark.mission("U14", "U15")
async def test_an_import_of_contacts_is_idempotent(house: House, rid: Any) -> None:
    await house.web.accounts.BulkUpsertAccounts(
        accounts_pb2.BulkUpsertAccountsRequest(
            request_id=rid(),
            rows=[
                accounts_pb2.AccountRow(
                    provenance=Provenance(source="crm", source_id="A1"),
                    profile=accounts_pb2.AccountProfile(name="甲"),
                    owner_id="rep1",
                )
            ],
        )
    )
    rows = [
        pb.ContactRow(
            provenance=Provenance(source="crm", source_id=f"C{n}"),
            profile=pb.ContactProfile(name=f"人{n}", phones=[f"1370000{n:04d}"]),
            account_source_id="A1",
        )
        for n in range(10)
    ]
    rows.append(
        pb.ContactRow(provenance=Provenance(source="crm", source_id="C99"), profile=LI, account_source_id="unknown")
    )
    rows.append(
        pb.ContactRow(
            provenance=Provenance(source="crm", source_id="C98"),
            profile=pb.ContactProfile(name="同号", phones=["13700000003"]),
            account_source_id="A1",
        )
    )
    dry = await house.web.contacts.BulkUpsertContacts(
        pb.BulkUpsertContactsRequest(request_id=rid(), rows=rows, validate_only=True)
    )
    first = await house.web.contacts.BulkUpsertContacts(pb.BulkUpsertContactsRequest(request_id=rid(), rows=rows))
    assert [(e.row, e.reason) for e in dry.errors] == [(e.row, e.reason) for e in first.errors]
    assert dry.created == first.created
    assert (first.read, first.created, first.rejected) == (12, 10, 2)
    assert [error.reason for error in first.errors] == ["ACCOUNT_NOT_FOUND", "DUPLICATE_CONTACT"]
    again = await house.web.contacts.BulkUpsertContacts(pb.BulkUpsertContactsRequest(request_id=rid(), rows=rows))
    assert (again.created, again.updated, again.unchanged, again.rejected) == (0, 0, 10, 2)


@pytest.mark.mission("S73")
async def test_an_opt_out_closes_the_channel_at_once(house: House, rid: Any) -> None:
    contact = await make(house, rid)

    async def hear(allowed: bool, channel: int, minute: int) -> pb.Contact:
        consent = deliveries_pb2.Consent(
            address="li.wei@HDJM.example.cn",
            channel=channel,  # type: ignore[arg-type]
            allowed=allowed,
            cause="unsubscribe_link",
            time=protos.timestamp(house.live.now.replace(minute=minute)),
        )
        await house.live.hear(integrations.ConsentChanged(consent=consent), "li", source="integrations")
        found: pb.Contact = await house.rep1.contacts.GetContact(pb.GetContactRequest(id=contact.id))
        return found

    assert list((await hear(False, deliveries_pb2.CHANNEL_MAIL, 10)).closed_channels) == [
        interactions_pb2.CHANNEL_EMAIL
    ]
    assert list((await house.live.told(events.ContactChanged))[-1].closed_channels) == [interactions_pb2.CHANNEL_EMAIL]
    late = await hear(True, deliveries_pb2.CHANNEL_MAIL, 5)
    assert list(late.closed_channels) == [interactions_pb2.CHANNEL_EMAIL], (
        "an older telling that arrives late changes nothing"
    )
    assert len((await hear(False, deliveries_pb2.CHANNEL_UNSPECIFIED, 20)).closed_channels) == 4
