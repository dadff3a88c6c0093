"""Accounts through the public contract."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import CustomFieldRange, Provenance
from closedloop.customers.v1 import accounts_pb2 as pb
from closedloop.customers.v1 import contacts_pb2, leads_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop_chassis import protos
from closedloop_customers.custom_fields import sought

from .conftest import House

ACME = pb.AccountProfile(
    name="华东精密有限公司",
    aliases=["华东精密"],
    industry="manufacturing.automotive",
    region_code="310000",
    domains=["hdjm.example.cn"],
    phones=["021-5555 1234"],
    annual_revenue=Money(currency_code="CNY", units=12, nanos=340000000),
    employee_count=800,
)


async def create(house: House, rid: Any, profile: pb.AccountProfile = ACME, **fields: Any) -> pb.Account:
    account: pb.Account = await house.rep1.accounts.CreateAccount(
        pb.CreateAccountRequest(request_id=rid(), profile=profile, **fields)
    )
    return account


def changing(
    account: pb.Account, rid: Any, paths: list[str], kind: str = "visit", **fields: Any
) -> pb.UpdateAccountRequest:
    action = pb.BusinessAction(kind=kind, reference=fields.pop("reference", ""))
    return pb.UpdateAccountRequest(
        request_id=rid(),
        id=account.id,
        etag=account.etag,
        update_mask=FieldMask(paths=paths),
        business_action=action,
        **fields,
    )


async def test_an_account_is_created_owned_and_told(house: House, rid: Any) -> None:
    account = await create(house, rid)
    assert account.ownership.owner_id == "rep1"
    assert account.ownership.unit_id == "team1"
    assert account.status == pb.ACCOUNT_STATUS_PROSPECT
    assert account.profile == ACME
    assert account.provenances[0].source == "manual"
    assert account.provenances[0].source_id
    assert account.version == 1
    assert await house.rep1.accounts.GetAccount(pb.GetAccountRequest(id=account.id)) == account
    source = Provenance(source="manual", source_id=account.provenances[0].source_id)
    assert (await house.ops.accounts.GetAccount(pb.GetAccountRequest(provenance=source))).id == account.id
    (told,) = await house.live.told(events.AccountChanged)
    assert (told.account_id, told.name, told.version) == (account.id, "华东精密有限公司", 1)
    assert told.ownership.owner_id == "rep1"
    assert list(told.aliases) == ["华东精密"]


async def test_the_same_request_acts_once(house: House, rid: Any) -> None:
    request = pb.CreateAccountRequest(request_id=rid(), profile=ACME)
    first, second = await asyncio.gather(*(house.rep1.accounts.CreateAccount(request) for _ in range(2)))
    assert first == second
    assert await house.live.db.value("SELECT count(*) FROM account") == 1


@pytest.mark.mission("U11")
@pytest.mark.parametrize(
    "profile",
    [
        pb.AccountProfile(name="华东精密"),
        pb.AccountProfile(name="别的名字", domains=["https://www.HDJM.example.cn/about"]),
        pb.AccountProfile(name="别的名字", phones=["+86 21 55551234"]),
    ],
)
async def test_a_twin_is_found_by_name_domain_or_phone(house: House, rid: Any, profile: pb.AccountProfile) -> None:
    await create(house, rid)
    with house.live.refused("ALREADY_EXISTS", "DUPLICATE_ACCOUNT"):
        await create(house, rid, profile)
    other = await create(house, rid, profile, not_duplicate_reason="a branch of its own")
    assert other.id


async def test_two_who_make_the_same_account_at_once_end_with_one(house: House, rid: Any) -> None:
    requests = [pb.CreateAccountRequest(request_id=rid(), profile=ACME) for _ in range(6)]
    answers = await asyncio.gather(
        *(house.rep1.accounts.CreateAccount(request) for request in requests), return_exceptions=True
    )
    made = [answer for answer in answers if isinstance(answer, pb.Account)]
    assert len(made) == 1
    assert all(a.code() == grpc.StatusCode.ALREADY_EXISTS for a in answers if isinstance(a, grpc.aio.AioRpcError))


async def test_bad_input_is_named(house: House, rid: Any) -> None:
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_CODE"):
        await create(house, rid, pb.AccountProfile(name="x", industry="alchemy"))
    with house.live.refused("INVALID_ARGUMENT", "NOT_MONEY"):
        await create(house, rid, pb.AccountProfile(name="x", annual_revenue=Money(currency_code="CNY", nanos=1)))
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_PERSON"):
        await house.ops.accounts.CreateAccount(
            pb.CreateAccountRequest(request_id=rid(), profile=pb.AccountProfile(name="x"), owner_id="nobody")
        )
    with house.live.refused("INVALID_ARGUMENT"):
        await create(house, rid, pb.AccountProfile())
    missing = "0190d3c0-0000-7000-8000-000000000000"
    with house.live.refused("NOT_FOUND", "ACCOUNT_NOT_FOUND"):
        await house.rep1.accounts.GetAccount(pb.GetAccountRequest(id=missing))
    with house.live.refused("INVALID_ARGUMENT", "ACCOUNT_NOT_FOUND"):
        await create(house, rid, pb.AccountProfile(name="x", parent_account_id=missing))


@pytest.mark.mission("S82")
async def test_only_the_owner_and_their_line_may_see_and_change(house: House, rid: Any) -> None:
    account = await create(house, rid, participant_ids=["rep2"])
    for stranger in (house.rep9, house.m9):
        with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
            await stranger.accounts.GetAccount(pb.GetAccountRequest(id=account.id))
    assert (await house.rep2.accounts.GetAccount(pb.GetAccountRequest(id=account.id))).id == account.id
    with house.live.refused("PERMISSION_DENIED", "NOT_OWNER"):
        await house.rep2.accounts.UpdateAccount(changing(account, rid, ["industry"]))
    mine = pb.CreateAccountRequest(request_id=rid(), profile=pb.AccountProfile(name="给别人"), owner_id="rep2")
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep1.accounts.CreateAccount(mine)
    assert (await house.m1.accounts.CreateAccount(mine)).ownership.owner_id == "rep2"


@pytest.mark.mission("S30", "U18")
async def test_a_change_cites_the_business_that_taught_it(house: House, rid: Any) -> None:
    account = await create(house, rid)
    profile = pb.AccountProfile(industry="education", employee_count=0)
    changed = await house.m1.accounts.UpdateAccount(
        changing(account, rid, ["industry", "employee_count"], "contract", reference="HT-2026-001", profile=profile)
    )
    assert changed.profile.industry == "education"
    assert changed.profile.employee_count == 0
    assert changed.version == 2
    answer = await house.rep1.accounts.ListAccountChanges(
        pb.ListAccountChangesRequest(account_id=account.id, field_prefix="profile.industry")
    )
    newest, first = answer.changes
    assert newest.before.string_value == "manufacturing.automotive"
    assert newest.after.string_value == "education"
    assert newest.actor_id == "m1"
    assert (newest.business_action.kind, newest.business_action.reference) == ("contract", "HT-2026-001")
    assert newest.business_action.occur_time.ToDatetime() == house.live.now.replace(tzinfo=None)
    assert first.after.string_value == "manufacturing.automotive"
    everything = await house.auditor.accounts.ListAccountChanges(
        pb.ListAccountChangesRequest(account_id=account.id, page_size=3)
    )
    assert len(everything.changes) == 3
    assert everything.next_page_token


@pytest.mark.mission("S30")
async def test_a_change_without_business_is_refused(house: House, rid: Any) -> None:
    account = await create(house, rid)
    with house.live.refused("INVALID_ARGUMENT"):
        await house.rep1.accounts.UpdateAccount(
            pb.UpdateAccountRequest(
                request_id=rid(), id=account.id, etag=account.etag, update_mask=FieldMask(paths=["industry"])
            )
        )
    for kind, reference in (("rumour", ""), ("contract", "")):
        with house.live.refused("INVALID_ARGUMENT", "BUSINESS_ACTION_UNKNOWN"):
            await house.rep1.accounts.UpdateAccount(changing(account, rid, ["industry"], kind, reference=reference))
    # What the service notes of itself, or what only says that nothing has changed, teaches nothing new.
    for kind in ("import", "creation", "merge", "verification"):
        with house.live.refused("INVALID_ARGUMENT", "BUSINESS_ACTION_UNFIT"):
            await house.rep1.accounts.UpdateAccount(changing(account, rid, ["industry"], kind, reference="x"))
    seen = await house.rep1.accounts.UpdateAccount(changing(account, rid, [], "verification"))
    assert seen.profile == account.profile
    account = seen
    with house.live.refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await house.rep1.accounts.UpdateAccount(changing(account, rid, ["colour"]))
    with house.live.refused("INVALID_ARGUMENT", "NAME_MISSING"):
        await house.rep1.accounts.UpdateAccount(changing(account, rid, ["name"]))


async def test_of_two_changes_at_once_one_wins(house: House, rid: Any) -> None:
    account = await create(house, rid)
    requests = [changing(account, rid, ["address"], profile=pb.AccountProfile(address=f"{n} 号")) for n in range(4)]
    answers = await asyncio.gather(*(house.rep1.accounts.UpdateAccount(r) for r in requests), return_exceptions=True)
    assert sum(isinstance(answer, pb.Account) for answer in answers) == 1
    assert {a.code() for a in answers if isinstance(a, grpc.aio.AioRpcError)} == {grpc.StatusCode.ABORTED}


async def test_parents_form_no_circle(house: House, rid: Any) -> None:
    top = await create(house, rid, pb.AccountProfile(name="集团"))
    below = await create(house, rid, pb.AccountProfile(name="子公司", parent_account_id=top.id))
    with house.live.refused("INVALID_ARGUMENT", "PARENT_CYCLE"):
        await house.rep1.accounts.UpdateAccount(
            changing(top, rid, ["parent_account_id"], profile=pb.AccountProfile(parent_account_id=below.id))
        )


async def test_retired_by_hand_customer_by_business(house: House, rid: Any) -> None:
    account = await create(house, rid)
    with house.live.refused("FAILED_PRECONDITION", "STATUS_FOLLOWS_BUSINESS"):
        await house.rep1.accounts.UpdateAccount(changing(account, rid, ["status"], status=pb.ACCOUNT_STATUS_CUSTOMER))
    won = funnel.OpportunityWon(
        opportunity_id="0190d3c0-0000-7000-8000-000000000001",
        version=1,
        account_id=account.id,
        close_date=Date(year=2026, month=1, day=4),
    )
    await house.live.hear(won, won.opportunity_id, source="funnel")
    bought = await house.rep1.accounts.GetAccount(pb.GetAccountRequest(id=account.id))
    assert bought.status == pb.ACCOUNT_STATUS_CUSTOMER
    retired = await house.rep1.accounts.UpdateAccount(
        changing(bought, rid, ["status"], status=pb.ACCOUNT_STATUS_RETIRED)
    )
    assert retired.status == pb.ACCOUNT_STATUS_RETIRED
    assert await house.live.db.value("SELECT state FROM clock WHERE kind = 'customers.silence'") == "cancelled"
    back = await house.rep1.accounts.UpdateAccount(
        changing(retired, rid, ["status"], status=pb.ACCOUNT_STATUS_PROSPECT)
    )
    assert back.status == pb.ACCOUNT_STATUS_CUSTOMER


@pytest.mark.mission("U14")
async def test_lists_are_filtered_scoped_and_paged(house: House, rid: Any) -> None:
    for n in range(5):
        await create(house, rid, pb.AccountProfile(name=f"客户 {n}", industry="education" if n % 2 else "medical"))
    await house.rep9.accounts.CreateAccount(
        pb.CreateAccountRequest(request_id=rid(), profile=pb.AccountProfile(name="北方客户"))
    )
    seen, token = [], ""
    while True:
        answer = await house.rep1.accounts.ListAccounts(pb.ListAccountsRequest(page_size=2, page_token=token))
        seen += [account.profile.name for account in answer.accounts]
        token = answer.next_page_token
        if not token:
            break
    assert seen == [f"客户 {n}" for n in range(5)]
    assert len((await house.ops.accounts.ListAccounts(pb.ListAccountsRequest())).accounts) == 6
    assert len((await house.meast.accounts.ListAccounts(pb.ListAccountsRequest())).accounts) == 5
    filtered = pb.ListAccountsRequest(industries=["education"], order=pb.ACCOUNT_ORDER_NAME, query="客户")
    assert [a.profile.name for a in (await house.ops.accounts.ListAccounts(filtered)).accounts] == ["客户 1", "客户 3"]
    by_unit = pb.ListAccountsRequest(unit_ids=["north"])
    assert [a.profile.name for a in (await house.ops.accounts.ListAccounts(by_unit)).accounts] == ["北方客户"]
    for order in (pb.ACCOUNT_ORDER_UPDATED_LAST_FIRST, pb.ACCOUNT_ORDER_LAST_INTERACTION_FIRST, pb.ACCOUNT_ORDER_GRADE):
        pages = []
        token = ""
        while True:
            answer = await house.ops.accounts.ListAccounts(
                pb.ListAccountsRequest(order=order, page_size=4, page_token=token)
            )
            pages += [account.id for account in answer.accounts]
            token = answer.next_page_token
            if not token:
                break
        assert len(set(pages)) == len(pages) == 6
    with house.live.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await house.ops.accounts.ListAccounts(pb.ListAccountsRequest(page_token="nonsense"))


@pytest.mark.mission("U11", "U14")
async def test_an_import_makes_every_shop_of_a_chain_and_each_once(house: House, rid: Any) -> None:
    """Shops share the name, the code and the hotline of their legal person; even who attaches what matches merges none."""
    shared = {"legal_name": "四川老张餐饮管理有限公司", "credit_code": "91350100M000100Y43", "phones": ["400-8200820"]}
    names = ["老张火锅（王府井店）", "老张火锅（西单店）", "老张火锅望京店", "四川老张餐饮管理有限公司"]
    rows = [
        pb.AccountRow(
            provenance=Provenance(source="crm", source_id=f"s{number}"),
            profile=pb.AccountProfile(name=name, **shared),
            owner_id="rep1",
        )
        for number, name in enumerate([*names, "老张火锅（望京店）"])
    ]
    imported = pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows, attach_duplicates=True)
    summary = await house.ops.accounts.BulkUpsertAccounts(imported)
    assert (summary.created, summary.updated, summary.rejected) == (4, 1, 0), summary.errors
    found = await house.rep1.accounts.ListAccounts(pb.ListAccountsRequest())
    assert sorted(one.profile.name for one in found.accounts) == sorted(names)
    # From another system, one call later, and by hand.
    rows[1].provenance.source = "erp"
    again = pb.BulkUpsertAccountsRequest(request_id=rid(), rows=[rows[1]], attach_duplicates=True)
    summary = await house.ops.accounts.BulkUpsertAccounts(again)
    assert (summary.created, summary.updated) == (0, 1)
    await create(house, rid, pb.AccountProfile(name="老张火锅（国贸店）", **shared))
    for same in ("老张火锅国贸店", "老张中央厨房"):
        with house.live.refused("ALREADY_EXISTS", "DUPLICATE_ACCOUNT"):
            await create(house, rid, pb.AccountProfile(name=same, **shared))


@pytest.mark.mission("S100", "U14")
async def test_contacts_and_leads_come_with_the_companys_own_fields_and_are_found_by_them(
    house: House, rid: Any
) -> None:
    from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc

    rulebooks = house.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations")
    publish = platform_pb2.PublishRulebookRequest(request_id=rid(), name="customers.fields", reason="自定义字段")
    publish.body.update({"contact": FIELDS, "lead": FIELDS})
    await rulebooks.PublishRulebook(publish)
    await house.live.process.look()
    account = await create(house, rid)
    given: list[dict[str, Any]] = [
        {"plants": 3, "level": "手工"},
        {"plants": 9, "audit": "2026-02-01"},
        {"plants": "许多"},
        {},
    ]
    people = [
        contacts_pb2.ContactRow(
            provenance=Provenance(source="crm", source_id=f"p{n}"),
            profile=contacts_pb2.ContactProfile(name=f"王{n}", phones=[f"1380013800{n}"]),
            account_id=account.id,
        )
        for n in range(4)
    ]
    asking = [
        leads_pb2.LeadRow(
            provenance=Provenance(source="crm", source_id=f"l{n}"),
            profile=leads_pb2.LeadProfile(company_name=f"工厂 {n}", phone=f"1390013900{n}"),
            owner_id="rep1",
        )
        for n in range(4)
    ]
    for rows in (people, asking):
        for row, fields in zip(rows, given, strict=True):
            row.profile.custom_fields.update(fields)
    brought = await house.ops.contacts.BulkUpsertContacts(
        contacts_pb2.BulkUpsertContactsRequest(request_id=rid(), rows=people)
    )
    taken = await house.ops.leads.BulkIntakeLeads(leads_pb2.BulkIntakeLeadsRequest(request_id=rid(), rows=asking))
    for summary in (brought, taken):
        assert (summary.created, summary.rejected) == (3, 1)
        assert (summary.errors[0].reason, summary.errors[0].field) == (
            "CUSTOM_FIELD_INVALID",
            "profile.custom_fields.plants",
        )
    least = CustomFieldRange(name="plants", least=4)
    sought = contacts_pb2.ListContactsRequest(custom_field_ranges=[least])
    (found,) = (await house.rep1.contacts.ListContacts(sought)).contacts
    assert (found.profile.name, found.profile.custom_fields["audit"]) == ("王1", "2026-02-01")
    (lead,) = (await house.rep1.leads.ListLeads(leads_pb2.ListLeadsRequest(custom_field_ranges=[least]))).leads
    assert lead.profile.company_name == "工厂 1"
    equal = leads_pb2.ListLeadsRequest()
    equal.custom_fields.update({"level": "手工"})
    (lead,) = (await house.rep1.leads.ListLeads(equal)).leads
    assert lead.profile.company_name == "工厂 0"
    wrong = contacts_pb2.ListContactsRequest()
    wrong.custom_fields.update({"plants": "许多"})
    with house.live.refused("INVALID_ARGUMENT", "CUSTOM_FIELD_INVALID"):
        await house.rep1.contacts.ListContacts(wrong)


FIELDS = {"plants": {"type": "number"}, "level": {"options": ["手工", "自动"]}, "audit": {"type": "date"}}


@pytest.mark.mission("S100", "U14")
async def test_accounts_come_with_the_companys_own_fields_and_are_found_by_them(house: House, rid: Any) -> None:
    from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc

    rulebooks = house.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations")
    publish = platform_pb2.PublishRulebookRequest(request_id=rid(), name="customers.fields", reason="自定义字段")
    # No value would fit both, and a column by its title would be one of two.
    wrong = {"plants": {"title": "工厂", "type": "number", "options": ["少", "多"]}, "sites": {"title": "工厂"}}
    for only in (True, False):
        refused_ = platform_pb2.PublishRulebookRequest(name=publish.name, reason="x", validate_only=only)
        refused_.request_id = rid()
        refused_.body.update({"account": wrong})
        with house.live.refused("INVALID_ARGUMENT", "RULEBOOK_INVALID") as raised:
            await rulebooks.PublishRulebook(refused_)
        assert "would not be valid" in str(raised.value.details())
    publish.body.update({"account": FIELDS})
    await rulebooks.PublishRulebook(publish)
    await house.live.process.look()

    rows = [pb.AccountRow(profile=pb.AccountProfile(name=f"工厂 {n}"), owner_id="rep1") for n in range(5)]
    given: list[dict[str, Any]] = [
        {"plants": 3, "level": "自动", "audit": "2026-03-01"},
        {"plants": 30, "level": "手工", "free": 'it\'s "quoted" 😀'},
        {"plants": "many"},
        {"level": "半自动", "audit": "soon"},
        {},
    ]
    for n, (row, fields) in enumerate(zip(rows, given, strict=True)):
        row.provenance.CopyFrom(Provenance(source="crm", source_id=str(n)))
        if fields:
            row.profile.custom_fields.update(fields)
    brought = await house.ops.accounts.BulkUpsertAccounts(pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows))
    assert (brought.created, brought.rejected) == (3, 2)
    assert [(error.row, error.reason) for error in brought.errors] == [(n, "CUSTOM_FIELD_INVALID") for n in (2, 3)]

    async def found(equal: dict[str, Any], *ranges: CustomFieldRange, person: Any = house.ops) -> list[str]:
        request = pb.ListAccountsRequest(custom_field_ranges=ranges, order=pb.ACCOUNT_ORDER_NAME)
        request.custom_fields.update(equal)
        return [account.profile.name for account in (await person.accounts.ListAccounts(request)).accounts]

    assert await found({"level": "自动"}) == ["工厂 0"]
    assert await found({"plants": 30, "level": "手工"}) == ["工厂 1"]
    assert await found({"plants": 30, "level": "自动"}) == []
    assert await found({"free": 'it\'s "quoted" 😀'}) == ["工厂 1"]
    assert await found({}, CustomFieldRange(name="plants", least=2)) == ["工厂 0", "工厂 1"]
    spring = CustomFieldRange(
        name="audit", first_day=Date(year=2026, month=1, day=1), last_day=Date(year=2026, month=3, day=1)
    )
    assert await found({}, spring) == ["工厂 0"]
    # Reach holds as in every list.
    assert await found({"level": "自动"}, person=house.rep9) == []
    for wrong in ({"plants": "3"}, {"level": "半自动"}, {"audit": "2026-3-1"}):
        with house.live.refused("INVALID_ARGUMENT", "CUSTOM_FIELD_INVALID"):
            await found(wrong)
    with house.live.refused("INVALID_ARGUMENT", "CUSTOM_FIELD_INVALID"):
        await found({}, CustomFieldRange(name="audit", most=3))
    with house.live.refused("INVALID_ARGUMENT", "VALIDATION_FAILED"):
        await found({}, CustomFieldRange(name="plants"))


@pytest.mark.mission("S100")
async def test_an_account_is_found_by_its_fields_through_an_index(house: House) -> None:
    query = f"SELECT id FROM account WHERE {sought('x')}".replace("%(custom_fields)s", '\'$."level" == "自动"\'')
    tx = house.live.process.database.transaction()
    tx.do("SET LOCAL enable_seqscan = off")
    plan = "\n".join(row["QUERY PLAN"] for row in await tx.all(f"EXPLAIN {query}"))
    assert "account_custom_fields" in plan


def row(n: int, **fields: Any) -> pb.AccountRow:
    profile = pb.AccountProfile(
        name=f"导入客户 {n}", industry="education", region_code="310000", phones=[f"1380000{n:04d}"]
    )
    profile.MergeFrom(fields.pop("profile", pb.AccountProfile()))
    return pb.AccountRow(provenance=Provenance(source="crm", source_id=str(n)), profile=profile, **fields)


@pytest.mark.mission("S67", "U14", "U15")
async def test_an_import_is_idempotent_and_adds_up(house: House, rid: Any) -> None:
    rows = [row(n, owner_id="rep1") for n in range(20)]
    dry = await house.web.accounts.BulkUpsertAccounts(
        pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows, validate_only=True)
    )
    assert (dry.read, dry.created) == (20, 20)
    assert await house.live.db.value("SELECT count(*) FROM account") == 0
    first = await house.web.accounts.BulkUpsertAccounts(pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows))
    assert (first.read, first.created, first.updated, first.unchanged, first.rejected) == (20, 20, 0, 0, 0)
    again = await house.web.accounts.BulkUpsertAccounts(pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows))
    assert (again.read, again.created, again.updated, again.unchanged, again.rejected) == (20, 0, 0, 20, 0)
    assert len(await house.live.told(events.AccountChanged)) == 20
    rows[3] = row(3, profile=pb.AccountProfile(employee_count=77))
    rows.append(rows[0])
    third = await house.web.accounts.BulkUpsertAccounts(pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows))
    assert (third.read, third.created, third.updated, third.unchanged) == (21, 0, 1, 20)
    source = Provenance(source="crm", source_id="3")
    changed = await house.ops.accounts.GetAccount(pb.GetAccountRequest(provenance=source))
    assert changed.profile.employee_count == 77
    assert changed.ownership.owner_id == "rep1"


@pytest.mark.mission("U14")
async def test_bad_rows_stand_alone(house: House, rid: Any) -> None:
    rows = [
        row(0, owner_id="rep1"),
        pb.AccountRow(provenance=Provenance(source="crm", source_id="1")),
        row(2, profile=pb.AccountProfile(industry="alchemy")),
        row(3, owner_id="nobody"),
        row(4, profile=pb.AccountProfile(phones=["13800000000"]), owner_id="rep1"),
        row(5, owner_id="rep1", parent_source_id="0"),
        row(6, owner_id="rep1", parent_source_id="absent"),
        pb.AccountRow(provenance=Provenance(source="crm"), profile=pb.AccountProfile(name="无编号")),
        row(0, owner_id="rep2"),
    ]
    summary = await house.web.accounts.BulkUpsertAccounts(pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows))
    assert {error.row: error.reason for error in summary.errors} == {
        1: "ROW_INVALID",
        2: "UNKNOWN_CODE",
        3: "UNKNOWN_PERSON",
        4: "DUPLICATE_ACCOUNT",
        6: "PARENT_UNKNOWN",
        7: "SOURCE_ID_MISSING",
        8: "ROW_REPEATED",
    }
    assert summary.read == summary.created + summary.updated + summary.unchanged + summary.rejected == 9
    assert summary.created == 2
    child = await house.ops.accounts.GetAccount(
        pb.GetAccountRequest(provenance=Provenance(source="crm", source_id="5"))
    )
    parent = await house.ops.accounts.GetAccount(
        pb.GetAccountRequest(provenance=Provenance(source="crm", source_id="0"))
    )
    assert child.profile.parent_account_id == parent.id


async def test_another_source_attaches_to_the_account_it_matches(house: House, rid: Any) -> None:
    account = await create(house, rid)
    erp = pb.AccountRow(
        provenance=Provenance(source="erp", source_id="K-77"),
        profile=pb.AccountProfile(name="华东精密", industry="education", description="来自 ERP"),
    )
    refused = await house.web.accounts.BulkUpsertAccounts(pb.BulkUpsertAccountsRequest(request_id=rid(), rows=[erp]))
    assert refused.errors[0].reason == "DUPLICATE_ACCOUNT"
    for expected in ("updated", "unchanged"):
        summary = await house.web.accounts.BulkUpsertAccounts(
            pb.BulkUpsertAccountsRequest(request_id=rid(), rows=[erp], attach_duplicates=expected == "updated")
        )
        if expected == "updated":
            assert summary.updated == 1
    found = await house.ops.accounts.GetAccount(
        pb.GetAccountRequest(provenance=Provenance(source="erp", source_id="K-77"))
    )
    assert found.id == account.id
    assert found.profile.description == "来自 ERP"
    assert [kept.source for kept in found.provenances] == ["manual", "erp"]


async def test_rows_without_owner_are_assigned_by_the_rules(house: House, rid: Any) -> None:
    rows = [row(n) for n in range(10)] + [row(99, profile=pb.AccountProfile(region_code="510000"))]
    summary = await house.web.accounts.BulkUpsertAccounts(pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows))
    assert summary.created == 11
    owners = await house.live.db.all("SELECT owner_id, count(*) AS n FROM account GROUP BY 1 ORDER BY 1")
    assert {r["owner_id"]: r["n"] for r in owners} == {"": 1, "rep1": 5, "rep2": 5}
    assert await house.live.db.value("SELECT unit_id FROM pool_entry") == "co"


async def test_ten_thousand_rows_take_seconds(house: House, rid: Any) -> None:
    import time

    rows = [row(n) for n in range(10_000)]
    begun = time.perf_counter()
    summary = await house.web.accounts.BulkUpsertAccounts(
        pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows), timeout=60
    )
    first = time.perf_counter() - begun
    assert summary.created == summary.read
    begun = time.perf_counter()
    again = await house.web.accounts.BulkUpsertAccounts(
        pb.BulkUpsertAccountsRequest(request_id=rid(), rows=rows), timeout=60
    )
    assert again.unchanged == 10_000
    second = time.perf_counter() - begun
    assert first < 45
    assert second < 45


async def test_a_moving_owner_takes_accounts_along(house: House, rid: Any) -> None:
    from closedloop.options.v1 import options_pb2
    from closedloop.targets.v1.events_pb2 import PersonChanged

    account = await create(house, rid)
    moved = PersonChanged(
        person_id="rep1", unit_id="team9", name="张三", active=True, version=10**9, roles=[options_pb2.ROLE_REP]
    )
    await house.live.hear(moved, "rep1", source="targets")
    assert (await house.rep1.accounts.GetAccount(pb.GetAccountRequest(id=account.id))).ownership.unit_id == "team9"
    assert (await house.live.told(events.AccountChanged))[-1].ownership.unit_id == "team9"
    late = PersonChanged(person_id="rep1", unit_id="team1", name="张三", active=True, version=1)
    await house.live.hear(late, "rep1", source="targets")
    found = await house.ops.accounts.GetAccount(pb.GetAccountRequest(id=account.id))
    assert found.ownership.unit_id == "team9", "an older telling that arrives late moves nobody"


async def test_without_a_token_nobody_is_let_in(house: House) -> None:
    with house.live.refused("UNAUTHENTICATED"):
        await house.live.stub(type(house.rep1.accounts)).GetAccount(pb.GetAccountRequest(id=protos.__name__))
