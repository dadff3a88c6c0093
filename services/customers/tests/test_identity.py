"""Duplicates found, merged and taken apart again through the public contract (U11)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import (
    accounts_pb2,
    assignment_pb2,
    contacts_pb2,
    interactions_pb2,
    leads_pb2,
    potential_pb2,
)
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import identity_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id
from closedloop_customers.identity import keeping
from closedloop_customers.identity.references import LEFT_ALONE, REFERENCES

from .conftest import Desk, House
from .labelled_companies import companies

MISSING = "0190d3c0-0000-7000-8000-000000000000"


async def account(desk: Desk, name: str, **profile: Any) -> accounts_pb2.Account:
    request = accounts_pb2.CreateAccountRequest(
        request_id=new_id(),
        profile=accounts_pb2.AccountProfile(name=name, **profile),
        not_duplicate_reason="made twice on purpose",
    )
    made: accounts_pb2.Account = await desk.accounts.CreateAccount(request)
    return made


async def contact(desk: Desk, account_id: str, name: str, **profile: Any) -> contacts_pb2.Contact:
    made: contacts_pb2.Contact = await desk.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=new_id(),
            account_id=account_id,
            profile=contacts_pb2.ContactProfile(name=name, **profile),
            not_duplicate_reason="made twice on purpose",
        )
    )
    return made


def reference(id: str, type: str = "ACCOUNT") -> accounts_pb2.RecordReference:
    return accounts_pb2.RecordReference(type=accounts_pb2.RecordType.Value(f"RECORD_TYPE_{type}"), id=id)


async def merge(desk: Desk, survivor: Any, *absorbed: Any, type: str = "ACCOUNT", **fields: Any) -> pb.Merge:
    request = pb.MergeRecordsRequest(
        request_id=new_id(),
        survivor=reference(survivor.id, type),
        survivor_etag=fields.pop("etag", survivor.etag),
        absorbed_ids=[one.id for one in absorbed],
        reason="one company",
        **fields,
    )
    merged: pb.Merge = await desk.identity.MergeRecords(request)
    return merged


async def unmerge(desk: Desk, merge_id: str) -> pb.Merge:
    undone: pb.Merge = await desk.identity.UnmergeRecords(
        pb.UnmergeRecordsRequest(request_id=new_id(), merge_id=merge_id, reason="they are two")
    )
    return undone


async def seen(desk: Desk, id: str) -> accounts_pb2.Account:
    found: accounts_pb2.Account = await desk.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=id))
    return found


@pytest.mark.mission("U11")
async def test_the_same_company_written_five_ways_is_found(house: House) -> None:
    first = await account(house.rep1, "上海华东精密有限公司", phones=["021-55551234"], domains=["hdjm.cn"])
    await account(house.rep1, "北京华东精密有限公司")
    ways = (
        "华东精密（上海）",
        "上海市華東精密股份有限公司",
        " 上 海 华 东 精 密 ",
        "上海华东精密有限公司采购二部",
        "上海华东精密有限",
    )
    for name in (*ways, "ＳＨ", "华东精密", "上海华东精米", "Huadong Jingmi (Shanghai) Co., Ltd."):
        known = {"phones": ["+86 21 5555 1234"], "domains": ["www.hdjm.cn"]} if name == "ＳＨ" else {}
        wanted = accounts_pb2.AccountProfile(name=name, **known)
        answer = await house.rep9.identity.FindDuplicates(
            pb.FindDuplicatesRequest(account=wanted, minimum_probability_ratio=0.3)
        )
        assert answer.matches, name
        match = answer.matches[0]
        assert match.record.id == first.id, (name, answer)
        assert match.ownership.owner_id == "rep1"
        assert match.name == "上海华东精密有限公司"
        assert match.certain is (name in ways)
        # Whoever may not see the record learns no number of it.
        assert all(reason.left == "" for reason in match.reasons if reason.feature == "phone")
        assert sum(reason.weight for reason in match.reasons) > 0
    assert answer.rule.rulebook == "customers.identity"
    mine = await house.rep1.identity.FindDuplicates(pb.FindDuplicatesRequest(record=reference(first.id)))
    assert first.id not in {match.record.id for match in mine.matches}
    with house.live.refused("NOT_FOUND", "RECORD_NOT_FOUND"):
        await house.rep1.identity.FindDuplicates(pb.FindDuplicatesRequest(record=reference(MISSING)))
    with house.live.refused("INVALID_ARGUMENT"):
        await house.rep1.identity.FindDuplicates(pb.FindDuplicatesRequest())
    with house.live.refused("INVALID_ARGUMENT", "CREDIT_CODE_INVALID"):
        await account(house.rep1, "错码", credit_code="91310000MA1FL0XX1X")


@pytest.mark.mission("U11")
async def test_a_person_is_found_by_any_way_to_reach_them(house: House) -> None:
    company = await account(house.rep1, "上海华东精密")
    li = await contact(house.rep1, company.id, "李伟", phones=["13800138000"], email_addresses=["li@hdjm.cn"])
    wanted = contacts_pb2.ContactProfile(name="李伟", email_addresses=["LI@hdjm.cn"])
    answer = await house.rep9.identity.FindDuplicates(pb.FindDuplicatesRequest(contact=wanted))
    (match,) = answer.matches
    assert match.record.id == li.id
    assert match.name == "上海华东精密"
    assert all(reason.left == "" for reason in match.reasons)
    answer = await house.m1.identity.FindDuplicates(pb.FindDuplicatesRequest(contact=wanted))
    assert answer.matches[0].name == "李伟"
    lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=new_id(),
            profile=leads_pb2.LeadProfile(company_name="新客户", contact_name="王芳", phone="13900139000", need="报价"),
            provenance=Provenance(source="web_form", source_id="f-1"),
        )
    )
    again = leads_pb2.LeadProfile(contact_name="王芳", phone="139 0013 9000")
    answer = await house.ops.identity.FindDuplicates(pb.FindDuplicatesRequest(lead=again))
    assert [match.record.id for match in answer.matches] == [lead.id]


@pytest.mark.mission("U11", "U18")
async def test_references_follow_a_merge_and_find_their_way_back(house: House, rid: Any) -> None:
    kept = await account(house.rep1, "上海华东精密有限公司", industry="manufacturing")
    lost = await account(house.rep1, "华东精密", address="浦东大道1号", phones=["021-55551234"])
    below = await account(house.rep1, "华东精密销售", parent_account_id=lost.id)
    li = await contact(house.rep1, lost.id, "李伟", phones=["13800138000"])
    touch = interactions_pb2.InteractionRow(
        provenance=Provenance(source="crm", source_id="1"),
        record=reference(lost.id),
        contact_id=li.id,
        channel=interactions_pb2.CHANNEL_PHONE,
        direction=interactions_pb2.INTERACTION_DIRECTION_INBOUND,
        summary="问报价与交期，周五回复",
        occur_time=protos.timestamp(house.live.now),
    )
    await house.rep1.interactions.BulkRecordInteractions(
        interactions_pb2.BulkRecordInteractionsRequest(request_id=rid(), rows=[touch])
    )
    before = await seen(house.rep1, lost.id)

    dry = await merge(house.m1, kept, lost, validate_only=True)
    assert dict(dry.moved_references)["contacts"] == 1
    assert (await seen(house.m1, lost.id)).id == lost.id

    merged = await merge(house.m1, kept, lost)
    assert dict(merged.moved_references) == {"contacts": 1, "interactions": 1, "subsidiaries": 1}
    assert dict(merged.field_choices) == {"address": lost.id, "phones": lost.id}
    survivor = await seen(house.rep1, lost.id)
    assert survivor.id == kept.id
    assert survivor.profile.address == "浦东大道1号"
    assert survivor.profile.industry == "manufacturing"
    assert survivor.last_interaction_time == before.last_interaction_time
    assert {p.source_id for p in survivor.provenances} == {p.source_id for one in (kept, lost) for p in one.provenances}
    assert (await seen(house.rep1, below.id)).profile.parent_account_id == kept.id
    found = await house.rep1.contacts.ListContacts(contacts_pb2.ListContactsRequest(account_id=kept.id))
    assert [person.id for person in found.contacts] == [li.id]
    # Whoever brings the old source's id or the old name is led to the survivor.
    assert (await house.ops.identity.FindDuplicates(
        pb.FindDuplicatesRequest(account=accounts_pb2.AccountProfile(name="华东精密", phones=["021-55551234"]))
    )).matches[0].record.id == kept.id  # fmt: skip
    (told,) = await house.live.told(events.RecordsMerged)
    assert (told.merge_id, list(told.absorbed_ids)) == (merged.id, [lost.id])
    changes = await house.m1.accounts.ListAccountChanges(accounts_pb2.ListAccountChangesRequest(account_id=kept.id))
    assert any(change.field == "profile.address" and change.actor_id == "m1" for change in changes.changes)

    # What came after the merge stays with the survivor.
    late = await contact(house.rep1, kept.id, "后来者")
    undone = await unmerge(house.m1, merged.id)
    assert undone.unmerged_by == "m1"
    back = await seen(house.rep1, lost.id)
    assert back.id == lost.id
    assert back.profile == lost.profile
    assert back.status == accounts_pb2.ACCOUNT_STATUS_PROSPECT
    assert back.last_interaction_time == before.last_interaction_time
    alone = await seen(house.rep1, kept.id)
    assert alone.profile == kept.profile
    assert not alone.HasField("last_interaction_time")
    assert [p.source_id for p in alone.provenances] == [p.source_id for p in kept.provenances]
    of_lost = await house.rep1.contacts.ListContacts(contacts_pb2.ListContactsRequest(account_id=lost.id))
    of_kept = await house.rep1.contacts.ListContacts(contacts_pb2.ListContactsRequest(account_id=kept.id))
    assert ([p.id for p in of_lost.contacts], [p.id for p in of_kept.contacts]) == ([li.id], [late.id])
    assert len(await house.live.told(events.RecordsUnmerged)) == 1
    with house.live.refused("FAILED_PRECONDITION", "MERGE_UNDONE"):
        await unmerge(house.m1, merged.id)
    listed = await house.rep1.identity.ListMerges(pb.ListMergesRequest(record=reference(lost.id)))
    assert [one.id for one in listed.merges] == [merged.id]


@pytest.mark.mission("U11")
async def test_what_the_funnel_tells_of_an_absorbed_account_is_its_survivors(house: House) -> None:
    """A deal keeps the account it began with; whoever was merged stands for it."""
    kept, lost = await account(house.rep1, "上海华东精密"), await account(house.rep1, "华东精密厂")
    merged = await merge(house.m1, kept, lost)
    deal = funnel.OpportunityChanged(opportunity_id=new_id(), account_id=lost.id, name="产线", version=1)
    deal.state = opportunities_pb2.OPPORTUNITY_STATE_OPEN
    await house.live.hear(deal, deal.opportunity_id)
    released = assignment_pb2.ReleaseToPoolRequest(request_id=new_id(), record=reference(kept.id), reason="x")
    with house.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_OPEN"):
        await house.rep1.assignment.ReleaseToPool(released)
    won = funnel.OpportunityWon(opportunity_id=deal.opportunity_id, account_id=lost.id, version=2)
    won.amount.CopyFrom(Money(currency_code="CNY", units=2_000_000))
    won.close_date.CopyFrom(protos.date_proto(house.live.now.date()))
    await house.live.hear(won, deal.opportunity_id)
    customer = await seen(house.rep1, kept.id)
    assert (customer.status, customer.grade) == (accounts_pb2.ACCOUNT_STATUS_CUSTOMER, "A")
    judged = await house.rep1.potential.GetPotential(potential_pb2.GetPotentialRequest(account_id=kept.id))
    assert judged.cause == "event:OpportunityWon"
    # What came after the merge stays; what is told after it was taken apart goes where it belongs.
    await unmerge(house.m1, merged.id)
    won.version = 3
    await house.live.hear(won, deal.opportunity_id)
    assert (await seen(house.rep1, lost.id)).status == accounts_pb2.ACCOUNT_STATUS_CUSTOMER


@pytest.mark.mission("U11", "S82")
async def test_merges_that_make_no_sense_are_refused(house: House) -> None:
    one, two, three = [await account(house.rep1, name) for name in ("甲一", "甲二", "甲三")]
    foreign = await account(house.rep2, "甲四")
    with house.live.refused("FAILED_PRECONDITION", "MERGE_CYCLE"):
        await merge(house.m1, one, one)
    first = await merge(house.m1, one, two)
    with house.live.refused("FAILED_PRECONDITION", "MERGE_CYCLE"):
        await merge(house.m1, two, one, etag=two.etag)
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_MERGED"):
        await merge(house.m1, three, two)
    with house.live.refused("ABORTED", "ETAG_MISMATCH"):
        await merge(house.m1, one, three)
    one = await seen(house.m1, one.id)
    with house.live.refused("FAILED_PRECONDITION", "DIFFERENT_OWNERS"):
        await merge(house.m1, one, foreign)
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await merge(house.m9, one, three)
    with house.live.refused("PERMISSION_DENIED", "ROLE_NOT_GRANTED"):
        await merge(house.rep1, one, three)
    with house.live.refused("NOT_FOUND", "RECORD_NOT_FOUND"):
        await house.m1.identity.MergeRecords(
            pb.MergeRecordsRequest(
                request_id=new_id(),
                survivor=reference(one.id),
                survivor_etag=one.etag,
                absorbed_ids=[MISSING],
                reason="x",
            )
        )
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_FIELD"):
        await merge(house.m1, one, three, field_choices={"colour": three.id})
    registered = [
        await account(house.rep1, f"乙{n}", credit_code=code)
        for n, code in enumerate(("91350100M000100Y43", "91310115591693856A"))
    ]
    with house.live.refused("FAILED_PRECONDITION", "DIFFERENT_REGISTRATIONS"):
        await merge(house.m1, *registered)
    assert (await merge(house.m1, *registered, override_reason="吸收合并")).id
    # A merge of merges is taken apart from its end.
    second = await merge(house.m1, three, one)
    assert (await seen(house.m1, two.id)).id == three.id
    with house.live.refused("FAILED_PRECONDITION", "MERGED_AGAIN"):
        await unmerge(house.m1, first.id)
    await unmerge(house.m1, second.id)
    assert (await seen(house.m1, two.id)).id == one.id
    await unmerge(house.m1, first.id)
    assert (await seen(house.m1, two.id)).id == two.id
    with house.live.refused("NOT_FOUND", "MERGE_NOT_FOUND"):
        await unmerge(house.m1, MISSING)


@pytest.mark.mission("U11", "S82")
async def test_the_owner_is_named_and_one_who_left_leaves_it_to_the_pool(house: House) -> None:
    mine, theirs = await account(house.rep1, "上海天成电子"), await account(house.rep2, "天成电子")
    merged = await merge(house.m1, mine, theirs, owner_id="rep2")
    assert (await seen(house.m1, mine.id)).ownership.owner_id == "rep2"
    gone = targets.PersonChanged(person_id="rep2", unit_id="team1", name="李四", active=False, version=10**6)
    await house.live.hear(gone, "rep2", source="targets")
    await unmerge(house.ops, merged.id)
    assert (await seen(house.ops, mine.id)).ownership.owner_id == "rep1"
    left = await seen(house.ops, theirs.id)
    assert (left.ownership.owner_id, left.ownership.unit_id) == ("", "team1")
    pool = await house.rep1.assignment.ListPool(assignment_pb2.ListPoolRequest())
    assert [entry.record.id for entry in pool.entries] == [theirs.id]


@pytest.mark.mission("U11")
async def test_people_and_leads_are_merged_too(house: House) -> None:
    company = await account(house.rep1, "上海华东精密")
    li = await contact(house.rep1, company.id, "李伟", phones=["13800138000"])
    same = await contact(house.rep1, company.id, "李 伟", email_addresses=["li@hdjm.cn"])
    merged = await merge(house.m1, li, same, type="CONTACT")
    found = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=same.id))
    assert found.id == li.id
    assert list(found.profile.email_addresses) == ["li@hdjm.cn"]
    await unmerge(house.m1, merged.id)
    back = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=same.id))
    assert (back.id, back.profile) == (same.id, same.profile)

    async def lead(n: int) -> leads_pb2.Lead:
        profile = leads_pb2.LeadProfile(
            company_name="新客户", contact_name="王芳", phone=f"1390013900{n}", need="要报价", region_code="310000"
        )
        made: leads_pb2.Lead = await house.rep1.leads.IntakeLead(
            leads_pb2.IntakeLeadRequest(
                request_id=new_id(), profile=profile, provenance=Provenance(source="phone", source_id=f"p-{n}")
            )
        )
        return made

    kept, lost = [await lead(n) for n in (1, 2)]
    owner = kept.ownership.owner_id
    merged = await merge(house.ops, kept, lost, type="LEAD", owner_id=owner)
    assert dict(merged.moved_references) == {"submissions": 1, "ways_to_answer": 1}
    one = await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lost.id))
    assert (one.id, len(one.submissions)) == (kept.id, 2)
    # Who asks again by the absorbed one's phone joins the survivor.
    assert (await lead(2)).id == kept.id
    await unmerge(house.ops, merged.id)
    two = await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=lost.id))
    assert (two.id, two.stage) == (lost.id, lost.stage)
    open_clocks = "SELECT count(*) FROM clock WHERE kind = 'customers.unanswered' AND state = 'open'"
    assert await house.live.db.value(open_clocks) == 2


@pytest.mark.mission("U11")
async def test_a_scan_finds_pairs_that_wait_for_a_verdict(house: House, rid: Any) -> None:
    rows = [
        accounts_pb2.AccountRow(
            profile=accounts_pb2.AccountProfile(**record.profile),
            provenance=Provenance(source="crm", source_id=str(number)),
            owner_id="rep1" if number % 2 else "rep9",
        )
        for number, record in enumerate(companies(60, seed=5))
    ]
    # Once each: what has a key of an earlier row is refused as its twin.
    summary = await house.ops.accounts.BulkUpsertAccounts(
        accounts_pb2.BulkUpsertAccountsRequest(request_id=rid(), rows=rows)
    )
    assert summary.created > 60
    request = pb.ScanDuplicatesRequest(request_id=rid(), record_type=accounts_pb2.RECORD_TYPE_ACCOUNT)
    scanned = await house.ops.identity.ScanDuplicates(request)
    assert scanned.records == summary.created
    assert scanned.new_pairs == scanned.open_pairs > 5
    again = await house.ops.identity.ScanDuplicates(
        pb.ScanDuplicatesRequest(request_id=rid(), record_type=accounts_pb2.RECORD_TYPE_ACCOUNT)
    )
    assert (again.new_pairs, again.open_pairs) == (0, scanned.open_pairs)
    listed = await house.ops.identity.ListDuplicatePairs(pb.ListDuplicatePairsRequest(page_size=3))
    odds = [pair.probability_ratio for pair in listed.pairs]
    assert odds == sorted(odds, reverse=True)
    rest = await house.ops.identity.ListDuplicatePairs(
        pb.ListDuplicatePairsRequest(page_size=1000, page_token=listed.next_page_token)
    )
    assert len(listed.pairs) + len(rest.pairs) == scanned.open_pairs
    pair = listed.pairs[0]
    assert pair.left_name
    assert pair.reasons
    decide = pb.DismissDuplicatePairRequest(request_id=rid(), id=pair.id, reason="两家公司")
    assert (await house.ops.identity.DismissDuplicatePair(decide)).state == pb.DUPLICATE_PAIR_STATE_DISMISSED
    with house.live.refused("FAILED_PRECONDITION", "PAIR_DECIDED"):
        await house.ops.identity.DismissDuplicatePair(
            pb.DismissDuplicatePairRequest(request_id=rid(), id=pair.id, reason="again")
        )
    with house.live.refused("NOT_FOUND", "PAIR_NOT_FOUND"):
        await house.ops.identity.DismissDuplicatePair(
            pb.DismissDuplicatePairRequest(request_id=rid(), id=MISSING, reason="again")
        )
    await house.ops.identity.ScanDuplicates(
        pb.ScanDuplicatesRequest(request_id=rid(), record_type=accounts_pb2.RECORD_TYPE_ACCOUNT)
    )
    still = await house.ops.identity.ListDuplicatePairs(pb.ListDuplicatePairsRequest(page_size=1000))
    assert pair.id not in {one.id for one in still.pairs}
    # Merging answers the pair.
    other = still.pairs[0]
    ends = [await seen(house.ops, one.id) for one in (other.left, other.right)]
    await merge(house.ops, *ends, owner_id="rep1", override_reason="x")
    closed = await house.ops.identity.ListDuplicatePairs(
        pb.ListDuplicatePairsRequest(states=[pb.DUPLICATE_PAIR_STATE_MERGED])
    )
    assert [one.id for one in closed.pairs] == [other.id]
    # Nobody scans twice at once, and it happens by itself every day.
    answers = await asyncio.gather(
        *(
            house.ops.identity.ScanDuplicates(
                pb.ScanDuplicatesRequest(request_id=rid(), record_type=accounts_pb2.RECORD_TYPE_CONTACT)
            )
            for _ in range(3)
        ),
        return_exceptions=True,
    )
    assert any(isinstance(answer, pb.ScanDuplicatesResponse) for answer in answers)
    await house.live.hear(targets.OrgUnitChanged(unit_id="co", kind="company", name="总公司", active=True, version=9))
    await house.live.db.all("DELETE FROM duplicate_pair WHERE state = 'open' RETURNING id")
    # What was kept before names were found by their sound is given its keys.
    blocks = "SELECT count(*) FROM account_key WHERE starts_with(key, 'like:')"
    had = await house.live.db.value(blocks)
    await house.live.db.all("DELETE FROM account_key WHERE starts_with(key, 'like:') RETURNING key")
    await house.live.advance(days=1, minutes=1)
    found = await house.ops.identity.ListDuplicatePairs(pb.ListDuplicatePairsRequest(page_size=1000))
    assert found.pairs
    assert await house.live.db.value(blocks) == had > 0


# Columns named so name no account, contact or lead: what hangs on something else, and what others keep.
NO_RECORD = frozenset(
    {
        "id", "after_id", "merge_id", "opportunity_id", "opportunity_point_id", "reminder_id", "request_id",
        "territory_id", "wake_up_id",
    }
)  # fmt: skip


@pytest.mark.mission("U11")
async def test_every_column_that_names_a_record_follows_a_merge_or_is_left_alone_on_purpose(house: House) -> None:
    rows = await house.live.db.all(
        """SELECT table_name AS table, column_name AS column FROM information_schema.columns
            WHERE table_schema = 'public' AND (udt_name IN ('uuid', '_uuid') OR column_name ~ '_end$')"""
    )
    known = {f"{one.table}.{one.column}" for kind in REFERENCES.values() for one in kind} | LEFT_ALONE
    found = {f"{row['table']}.{row['column']}" for row in rows if row["column"] not in NO_RECORD}
    assert found - known == set()
    assert known - found == set(), "no such column"


@pytest.mark.mission("U11")
@pytest.mark.parametrize("kind", sorted(keeping.GAINED))
async def test_every_field_of_a_record_is_given_back_or_left_alone_on_purpose(house: House, kind: str) -> None:
    rows = await house.live.db.all(
        """SELECT column_name AS name FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name = %(kind)s AND is_generated = 'NEVER'""",
        {"kind": kind},
    )
    kept = {name for group in keeping.GAINED[kind] for name in group} | set(keeping.GONE[kind])
    named = {one.column for kinds in REFERENCES.values() for one in kinds if one.table == kind}
    assert {row["name"] for row in rows} - kept - named - keeping.COMPUTED - keeping.LEFT_ALONE == set()
