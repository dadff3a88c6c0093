"""What people and programs send that they should not: answered by name, never by an inner fault."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, identity_pb2, leads_pb2
from closedloop_chassis.ids import new_id

from .conftest import House


def lead(n: int, **profile: Any) -> leads_pb2.IntakeLeadRequest:
    known = {"company_name": f"客户{n}", "contact_name": "王芳", "need": "报价", "region_code": "310000", **profile}
    return leads_pb2.IntakeLeadRequest(
        request_id=new_id(),
        profile=leads_pb2.LeadProfile(**known),
        provenance=Provenance(source="web_form", source_id=f"f-{n}"),
    )


async def test_a_note_of_ten_megabytes_is_refused_and_the_next_call_is_served(house: House) -> None:
    huge = "话" * (10 * 1024 * 1024 // 3)
    profile = accounts_pb2.AccountProfile(name="上海华东精密", description=huge)
    request = accounts_pb2.CreateAccountRequest(request_id=new_id(), profile=profile)
    with house.live.refused("INVALID_ARGUMENT"):
        await house.rep1.accounts.CreateAccount(request)
    request.profile.description = "话" * 10_001
    with house.live.refused("INVALID_ARGUMENT"):
        await house.rep1.accounts.CreateAccount(request)
    request.profile.description = "话" * 10_000
    assert (await house.rep1.accounts.CreateAccount(request)).id


@pytest.mark.mission("U11")
async def test_emoji_are_names_and_control_characters_are_not(house: House) -> None:
    controls = ("a\x00b", "a\nb", "a\x7fb", "a\x85b", "a\u2028b", "a\u2029b", "\u202eabc", "a\u2066b")
    unseen = (" ", "\u3000", "\u200b", "\u200b \u200d\ufeff", "\u2060", "\u3164", "\u00ad")
    for name in controls + unseen:
        with house.live.refused("INVALID_ARGUMENT"):
            await house.rep1.accounts.CreateAccount(
                accounts_pb2.CreateAccountRequest(request_id=new_id(), profile=accounts_pb2.AccountProfile(name=name))
            )
        with house.live.refused("INVALID_ARGUMENT"):
            await house.web.leads.IntakeLead(lead(1, company_name=name))
    for name in ("🏭 工厂 👩‍🔧", "🏭", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢", "（）", "ﷺ", "%_\\'; DROP TABLE account; --"):
        made = await house.rep1.accounts.CreateAccount(
            accounts_pb2.CreateAccountRequest(request_id=new_id(), profile=accounts_pb2.AccountProfile(name=name))
        )
        assert made.profile.name == name.strip()
        with house.live.refused("INVALID_ARGUMENT", "NAME_MISSING"):
            await house.rep1.accounts.UpdateAccount(
                accounts_pb2.UpdateAccountRequest(
                    request_id=new_id(),
                    id=made.id,
                    etag=made.etag,
                    profile=accounts_pb2.AccountProfile(name="\u200b"),
                    update_mask=FieldMask(paths=["name"]),
                    business_action=accounts_pb2.BusinessAction(kind="call", reference="1"),
                )
            )
        wanted = identity_pb2.FindDuplicatesRequest(account=accounts_pb2.AccountProfile(name=name))
        await house.rep1.identity.FindDuplicates(wanted)
        found = await house.rep1.accounts.ListAccounts(accounts_pb2.ListAccountsRequest(query=name))
        assert made.id in {one.id for one in found.accounts}


@pytest.mark.mission("S21")
async def test_the_original_of_an_inquiry_is_bounded_at_every_door(house: House) -> None:
    request = lead(1)
    for words in ("x" * 10 * 1024 * 1024, "x" * 65 * 1024):
        request.payload.update({"page": words})
        with house.live.refused("INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE"):
            await house.web.leads.IntakeLead(request)
    row = leads_pb2.LeadRow(provenance=request.provenance, profile=request.profile, payload=request.payload)
    summary = await house.ops.leads.BulkIntakeLeads(
        leads_pb2.BulkIntakeLeadsRequest(request_id=new_id(), rows=[row], validate_only=True)
    )
    assert [(error.reason, error.field) for error in summary.errors] == [("PAYLOAD_TOO_LARGE", "payload")]
    request.payload.update({"page": "x" * 63 * 1024})
    assert (await house.web.leads.IntakeLead(request)).id


@pytest.mark.mission("S21", "U11")
async def test_two_leads_with_one_phone_at_the_same_instant_are_one(house: House) -> None:
    requests = [
        lead(n, phone=phone) for n, phone in enumerate(("13800138000", "+86 138-0013-8000", "１３８００１３８０００"))
    ]
    answers = await asyncio.gather(*(house.web.leads.IntakeLead(request) for request in requests))
    assert len({answer.id for answer in answers}) == 1
    assert await house.live.db.value("SELECT count(*) FROM lead") == 1
    assert await house.live.db.value("SELECT count(*) FROM lead_submission") == 3
