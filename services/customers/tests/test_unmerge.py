"""What a merge joined follows the survivor, and what it took goes back: through the public contract (U11)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import (
    accounts_pb2,
    decision_chain_pb2,
    grades_pb2,
    interactions_pb2,
    leads_pb2,
    visit_brief_pb2,
)
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop_chassis import protos
from closedloop_chassis.ids import new_id

from .conftest import Desk, House, patiently
from .test_identity import account, contact, merge, seen, unmerge

CALL = accounts_pb2.BusinessAction(kind="call")


async def hang(desk: Desk, id: str, parent: str) -> accounts_pb2.Account:
    etag = (await seen(desk, id)).etag
    changed: accounts_pb2.Account = await desk.accounts.UpdateAccount(
        accounts_pb2.UpdateAccountRequest(
            request_id=new_id(),
            id=id,
            etag=etag,
            profile=accounts_pb2.AccountProfile(parent_account_id=parent),
            update_mask={"paths": ["parent_account_id"]},
            business_action=CALL,
        )
    )
    return changed


async def parents(house: House, *ids: str) -> list[str]:
    return [(await seen(house.ops, id_)).profile.parent_account_id for id_ in ids]


async def circles(house: House) -> list[str]:
    """Accounts that belong to themselves."""
    found = await house.live.db.all(
        """WITH RECURSIVE up AS (
               SELECT id, parent_account_id AS above FROM account WHERE status <> 'merged'
               UNION
               SELECT up.id, a.parent_account_id FROM up JOIN account a ON a.id = up.above AND a.status <> 'merged')
           SELECT id FROM up WHERE id = above"""
    )
    return [row["id"] for row in found]


@pytest.mark.mission("U11")
async def test_subsidiaries_and_the_survivors_own_parent_find_their_way_back(house: House) -> None:
    top = await account(house.rep1, "天成集团")
    lost = await account(house.rep1, "天成电子", parent_account_id=top.id)
    kept = await account(house.rep1, "天成电子厂", parent_account_id=lost.id)
    below, moved = [await account(house.rep1, f"天成{n}号店", parent_account_id=lost.id) for n in (1, 2)]
    merged = await merge(house.m1, kept, lost)
    assert dict(merged.moved_references)["subsidiaries"] == 2
    # What stood below the absorbed one stands in its place now, below whom that one stood.
    assert await parents(house, kept.id, below.id, moved.id) == [top.id, kept.id, kept.id]
    listed = await house.rep1.accounts.ListAccounts(accounts_pb2.ListAccountsRequest(parent_account_id=kept.id))
    assert {one.id for one in listed.accounts} == {below.id, moved.id}
    # Whoever hangs something below the absorbed one hangs it below its survivor.
    late = await account(house.rep1, "天成新店", parent_account_id=lost.id)
    assert late.profile.parent_account_id == kept.id
    await hang(house.rep1, moved.id, top.id)
    await unmerge(house.m1, merged.id)
    ends = await parents(house, lost.id, kept.id, below.id, moved.id, late.id)
    assert ends == [top.id, lost.id, lost.id, top.id, kept.id]
    # Who stood alone and took a parent with the other stands alone again.
    alone = await account(house.rep1, "天成贸易")
    joined = await merge(house.m1, alone, await seen(house.rep1, lost.id))
    assert await parents(house, alone.id) == [top.id]
    await unmerge(house.m1, joined.id)
    assert await parents(house, alone.id, lost.id, kept.id) == ["", top.id, lost.id]
    trail = await house.m1.accounts.ListAccountChanges(
        accounts_pb2.ListAccountChangesRequest(account_id=below.id, field_prefix="profile.parent")
    )
    _, _, back, gone, *_ = trail.changes
    assert (back.business_action.kind, back.business_action.reference) == ("merge", merged.id)
    assert (gone.actor_id, gone.business_action.note) == ("m1", "one company")


@pytest.mark.mission("U11")
async def test_a_merge_closes_no_circle_and_neither_does_taking_it_apart(house: House) -> None:
    top = await account(house.rep1, "总厂")
    first = await account(house.rep1, "一厂", parent_account_id=top.id)
    middle = await account(house.rep1, "二厂", parent_account_id=first.id)
    last = await account(house.rep1, "三厂", parent_account_id=middle.id)
    merged = await merge(house.m1, last, first)
    assert await parents(house, middle.id, last.id) == [last.id, top.id]
    # The old parent goes below what was below the absorbed one: on its way back something has to give.
    await hang(house.rep1, last.id, "")
    await hang(house.rep1, top.id, middle.id)
    assert await circles(house) == []
    await unmerge(house.m1, merged.id)
    assert await circles(house) == []
    assert await parents(house, top.id, first.id) == [middle.id, top.id]
    with house.live.refused("INVALID_ARGUMENT", "PARENT_CYCLE"):
        await hang(house.rep1, middle.id, first.id)


@pytest.mark.mission("U11")
async def test_two_changes_at_once_close_no_circle(house: House) -> None:
    for round_ in range(8):
        one, other = [await account(house.rep1, f"同时{round_}{n}") for n in "甲乙"]
        answers = await asyncio.gather(
            hang(house.rep1, one.id, other.id), hang(house.rep1, other.id, one.id), return_exceptions=True
        )
        assert sum(isinstance(answer, accounts_pb2.Account) for answer in answers) == 1
    assert await circles(house) == []


@pytest.mark.mission("U11", "S29")
async def test_a_prospect_that_absorbs_a_customer_is_one_until_they_are_two(house: House) -> None:
    kept, lost = await account(house.rep1, "上海华东精密"), await account(house.rep1, "华东精密厂")
    await house.rep1.accounts.UpdateAccount(
        accounts_pb2.UpdateAccountRequest(
            request_id=new_id(),
            id=lost.id,
            etag=lost.etag,
            participant_ids=["rep2"],
            update_mask={"paths": ["participant_ids"]},
            business_action=CALL,
        )
    )
    won = funnel.OpportunityWon(opportunity_id=new_id(), account_id=lost.id, version=1)
    won.amount.CopyFrom(Money(currency_code="CNY", units=2_000_000))
    won.close_date.CopyFrom(protos.date_proto(house.live.now.date()))
    await house.live.hear(won, won.opportunity_id)
    was = await seen(house.rep1, kept.id)
    assert (was.status, was.grade) == (accounts_pb2.ACCOUNT_STATUS_PROSPECT, "")
    merged = await merge(house.m1, was, lost)
    one = await seen(house.rep1, kept.id)
    assert (one.status, one.grade, one.participant_ids) == (accounts_pb2.ACCOUNT_STATUS_CUSTOMER, "A", ["rep2"])
    why = await house.rep1.grades.GetGrade(grades_pb2.GetGradeRequest(account_id=kept.id))
    assert why.grade == "A"
    await unmerge(house.m1, merged.id)
    alone, back = await seen(house.rep1, kept.id), await seen(house.rep1, lost.id)
    assert alone.status == accounts_pb2.ACCOUNT_STATUS_PROSPECT
    assert alone.grade != "A"
    assert not alone.participant_ids
    assert (back.status, back.grade, back.participant_ids) == (accounts_pb2.ACCOUNT_STATUS_CUSTOMER, "A", ["rep2"])


async def inquiry(house: House, n: int) -> leads_pb2.Lead:
    profile = leads_pb2.LeadProfile(
        company_name=f"新客户{n}", contact_name="王芳", phone=f"1390013900{n}", need="要报价", region_code="310000"
    )
    made: leads_pb2.Lead = await house.rep1.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=new_id(), profile=profile, provenance=Provenance(source="phone", source_id=f"p-{n}")
        )
    )
    return made


async def respond(house: House, lead: leads_pb2.Lead) -> None:
    await house.ops.leads.RecordResponse(
        leads_pb2.RecordResponseRequest(
            request_id=new_id(),
            id=lead.id,
            channel=interactions_pb2.CHANNEL_PHONE,
            reached=True,
            content="客户要两套样机，周五寄",
            responder_id="rep1",
        )
    )


async def found(house: House, id: str) -> leads_pb2.Lead:
    lead: leads_pb2.Lead = await house.ops.leads.GetLead(leads_pb2.GetLeadRequest(id=id))
    return lead


@pytest.mark.mission("U11", "S23")
async def test_a_lead_gives_back_the_answer_it_took_and_waits_again(house: House) -> None:
    kept, lost = await inquiry(house, 1), await inquiry(house, 2)
    await respond(house, lost)
    other = "rep2" if kept.ownership.owner_id == "rep1" else "rep1"
    merged = await merge(house.ops, kept, lost, type="LEAD", owner_id=other)
    one = await found(house, kept.id)
    assert (one.stage, one.ownership.owner_id) == (leads_pb2.LEAD_STAGE_CONTACT, other)
    assert one.HasField("first_response_time")
    running = "SELECT count(*) FROM clock WHERE subject = %(id)s AND kind = %(kind)s AND state = 'open'"
    about = {"id": kept.id, "kind": "customers.first_response"}
    assert await house.live.db.value(running, about) == 0
    await unmerge(house.ops, merged.id)
    two, back = await found(house, kept.id), await found(house, lost.id)
    assert (two.stage, two.ownership.owner_id) == (leads_pb2.LEAD_STAGE_LEAD, kept.ownership.owner_id)
    assert not two.HasField("first_response_time")
    assert two.response_due_time.ToDatetime() > house.live.now.replace(tzinfo=None)
    assert await house.live.db.value(running, about) == 1
    assert await house.live.db.value(running, {**about, "kind": "customers.unanswered"}) == 1
    assert (back.stage, back.HasField("first_response_time")) == (leads_pb2.LEAD_STAGE_CONTACT, True)
    assert await house.live.db.value(running, {**about, "id": lost.id}) == 0
    # An answer given to the two as one is the survivor's own.
    again = await merge(house.ops, two, back, type="LEAD", owner_id=other)
    await respond(house, two)
    await unmerge(house.ops, again.id)
    assert (await found(house, kept.id)).HasField("first_response_time")
    assert await house.live.db.value(running, about) == 0


@pytest.mark.mission("U11")
async def test_what_was_said_with_a_lead_leaves_the_customer_its_survivor_became(house: House) -> None:
    kept, lost = await inquiry(house, 1), await inquiry(house, 2)
    await respond(house, kept)
    merged = await merge(house.ops, await found(house, kept.id), lost, type="LEAD", owner_id="rep1")
    converted = await house.ops.leads.ConvertLead(
        leads_pb2.ConvertLeadRequest(request_id=new_id(), id=kept.id, etag=(await found(house, kept.id)).etag)
    )

    async def said() -> int:
        record = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=converted.account_id)
        asked = interactions_pb2.ListInteractionsRequest(record=record)
        return len((await house.ops.interactions.ListInteractions(asked)).interactions)

    assert await said() == 1
    await unmerge(house.ops, merged.id)
    assert await said() == 1, "its own stays"
    # The other way about: the touch was with the one that goes.
    again = await found(house, lost.id)
    await respond(house, again)
    third = await inquiry(house, 3)
    await respond(house, third)
    joined = await merge(
        house.ops, await found(house, third.id), await found(house, lost.id), type="LEAD", owner_id="rep1"
    )
    converted = await house.ops.leads.ConvertLead(
        leads_pb2.ConvertLeadRequest(request_id=new_id(), id=third.id, etag=(await found(house, third.id)).etag)
    )
    assert await said() == 2
    await unmerge(house.ops, joined.id)
    assert await said() == 1
    assert (await found(house, lost.id)).account_id == ""


@pytest.mark.mission("U11", "U8")
async def test_a_lead_that_was_told_to_wait_still_waits(house: House) -> None:
    kept, lost = [await found(house, (await inquiry(house, n)).id) for n in (3, 4)]
    until = house.live.now + timedelta(days=3)
    lost = await house.ops.leads.PauseLead(
        leads_pb2.PauseLeadRequest(
            request_id=new_id(), id=lost.id, etag=lost.etag, until_time=protos.timestamp(until), reason="预算下周批"
        )
    )
    merged = await merge(house.ops, kept, lost, type="LEAD", owner_id=kept.ownership.owner_id)
    await unmerge(house.ops, merged.id)
    back = await found(house, lost.id)
    assert back.pause_until_time == protos.timestamp(until)
    await house.live.advance(days=2)
    assert (await found(house, lost.id)).response_light == (await found(house, lost.id)).response_light == 1
    await house.live.advance(days=2)
    assert not (await found(house, lost.id)).HasField("pause_until_time")
    assert (await found(house, lost.id)).HasField("response_due_time")


async def raised(house: House, account_id: str, contact_id: str, topic: str) -> decision_chain_pb2.Concern:
    concern: decision_chain_pb2.Concern = await house.rep1.chain.RecordConcern(
        decision_chain_pb2.RecordConcernRequest(
            request_id=new_id(),
            account_id=account_id,
            contact_id=contact_id,
            kind=decision_chain_pb2.CONCERN_KIND_TECHNICAL_OBJECTION,
            topic=topic,
            text=f"担心 {topic}",
        )
    )
    return concern


async def cast(house: House, account_id: str, contact_id: str, *paths: str, **said: Any) -> None:
    chain = await house.rep1.chain.GetDecisionChain(decision_chain_pb2.GetDecisionChainRequest(account_id=account_id))
    await house.rep1.chain.UpdateChainMember(
        decision_chain_pb2.UpdateChainMemberRequest(
            request_id=new_id(),
            account_id=account_id,
            etag=chain.etag,
            contact_id=contact_id,
            update_mask={"paths": paths or ["role", "stance"]},
            business_action=CALL,
            **{"role": decision_chain_pb2.BUYING_ROLE_CHAMPION, "stance": decision_chain_pb2.STANCE_SUPPORTER, **said},
        )
    )


async def relate(house: House, account_id: str, one: str, other: str, kind: str) -> None:
    request = decision_chain_pb2.RelatePeopleRequest(
        request_id=new_id(),
        account_id=account_id,
        to=decision_chain_pb2.PersonReference(contact_id=other),
        kind=decision_chain_pb2.RelationKind.Value(f"RELATION_KIND_{kind}"),
        business_action=CALL,
    )
    getattr(request, "from").contact_id = one
    await house.rep1.chain.RelatePeople(request)


async def brief(house: House, account_id: str) -> visit_brief_pb2.VisitBrief:
    await house.live.advance(minutes=1)
    asked = visit_brief_pb2.GetVisitBriefRequest(account_id=account_id)
    shown: visit_brief_pb2.VisitBrief = await patiently(house.rep1.brief.GetVisitBrief, asked)
    return shown


def drawn(chain: decision_chain_pb2.DecisionChain) -> set[tuple[str, str, int]]:
    return {(getattr(one, "from").contact_id, one.to.contact_id, one.kind) for one in chain.relations}


@pytest.mark.mission("U11", "S36", "S37")
async def test_concerns_roles_and_ties_of_a_person_follow_and_find_their_way_back(house: House) -> None:
    company = await account(house.rep1, "上海华东精密")
    li = await contact(house.rep1, company.id, "李伟", job_title="工程师", phones=["13800138000"])
    same = await contact(house.rep1, company.id, "李 伟", email_addresses=["li@hdjm.cn"])
    boss, clerk = [await contact(house.rep1, company.id, name) for name in ("王总", "小周")]
    await raised(house, company.id, same.id, "integration")
    await raised(house, company.id, same.id, "performance")
    await raised(house, company.id, li.id, "performance")
    await cast(house, company.id, same.id)
    await relate(house, company.id, same.id, boss.id, "REPORTS_TO")
    await relate(house, company.id, clerk.id, same.id, "REPORTS_TO")
    await relate(house, company.id, li.id, same.id, "KNOWS")
    # Who the survivor reports to, reports to nobody of theirs.
    await relate(house, company.id, li.id, clerk.id, "REPORTS_TO")
    asked = decision_chain_pb2.GetDecisionChainRequest(account_id=company.id)
    before = await house.rep1.chain.GetDecisionChain(asked)
    merged = await merge(house.m1, li, same, type="CONTACT")
    assert dict(merged.moved_references) == {"concerns": 1, "roles": 1}
    shown = await brief(house, company.id)
    assert {(one.topic, one.contact_id) for one in shown.technical_concerns} == {
        ("integration", li.id),
        ("performance", li.id),
    }
    chain = await house.rep1.chain.GetDecisionChain(asked)
    member = next(one for one in chain.members if one.contact_id == li.id)
    assert (member.role, member.stance) == (
        decision_chain_pb2.BUYING_ROLE_CHAMPION,
        decision_chain_pb2.STANCE_SUPPORTER,
    )
    # Nobody reports to two, or to who reports to them.
    reports = decision_chain_pb2.RELATION_KIND_REPORTS_TO
    assert {tie for tie in drawn(chain) if li.id in tie and tie[2] == reports} == {(li.id, clerk.id, reports)}
    # A complaint of the absorbed one's is the survivor's.
    ticket = tickets_pb2.Ticket(
        id="T-1", number="T-1", kind=tickets_pb2.TICKET_KIND_COMPLAINT, state=tickets_pb2.TICKET_STATE_OPEN,
        account_id=company.id, contact_id=same.id, title="数据会不会泄露",
    )  # fmt: skip
    await house.live.hear(integrations.TicketReceived(ticket=ticket), ticket.id)
    heard = await house.rep1.chain.GetDecisionChain(asked)
    assert ("data_security", li.id) in {(one.topic, one.contact_id) for one in heard.concerns}
    await unmerge(house.m1, merged.id)
    after = await house.rep1.chain.GetDecisionChain(asked)
    assert drawn(after) == drawn(before)
    roles = {one.contact_id: one.role for one in after.members if one.role_confirmed}
    assert roles == {same.id: decision_chain_pb2.BUYING_ROLE_CHAMPION}
    assert {one.contact_id for one in after.concerns if one.topic == "integration"} == {same.id}


@pytest.mark.mission("U11", "S36")
async def test_relations_are_the_survivors_and_introduce_through_nobody_absorbed(house: House) -> None:
    company = await account(house.rep1, "上海华东精密")
    li, same, boss = [await contact(house.rep1, company.id, name) for name in ("李伟", "李 伟", "王总")]
    await relate(house, company.id, same.id, boss.id, "REPORTS_TO")
    merged = await merge(house.m1, li, same, type="CONTACT")
    assert dict(merged.moved_references) == {"superiors": 1}
    paths = await house.rep1.chain.FindIntroductions(decision_chain_pb2.FindIntroductionsRequest(contact_id=same.id))
    assert all(step.person.contact_id != same.id for path in paths.paths for step in path.steps)
    with house.live.refused("NOT_FOUND", "PERSON_NOT_FOUND"):
        await relate(house, company.id, same.id, boss.id, "KNOWS")
    await unmerge(house.m1, merged.id)
    chain = await house.rep1.chain.GetDecisionChain(decision_chain_pb2.GetDecisionChainRequest(account_id=company.id))
    assert {tie[:2] for tie in drawn(chain)} == {(same.id, boss.id)}


@pytest.mark.mission("U11", "S36")
async def test_a_confirmed_part_follows_its_account(house: House) -> None:
    kept, lost = await account(house.rep1, "上海华东精密"), await account(house.rep1, "华东精密厂")
    li = await contact(house.rep1, lost.id, "李伟")
    await cast(house, lost.id, li.id)
    merged = await merge(house.m1, kept, lost)

    async def confirmed(id: str) -> list[tuple[str, Any]]:
        chain = await house.rep1.chain.GetDecisionChain(decision_chain_pb2.GetDecisionChainRequest(account_id=id))
        return [(one.contact_id, one.stance) for one in chain.members if one.role_confirmed]

    assert await confirmed(kept.id) == [(li.id, decision_chain_pb2.STANCE_SUPPORTER)]
    await unmerge(house.m1, merged.id)
    assert await confirmed(kept.id) == []
    assert await confirmed(lost.id) == [(li.id, decision_chain_pb2.STANCE_SUPPORTER)]


@pytest.mark.mission("U11", "S36")
async def test_what_is_confirmed_of_two_who_are_one_adds_up(house: House) -> None:
    company = await account(house.rep1, "上海华东精密")
    li, same = [await contact(house.rep1, company.id, name) for name in ("李伟", "李 伟")]
    deal = new_id()
    await cast(house, company.id, li.id, "stance", stance=decision_chain_pb2.STANCE_OPPONENT)
    await cast(house, company.id, same.id)
    # Of the deal only the stance is said: the role is the one that holds for all deals.
    await cast(house, company.id, li.id, "stance", opportunity_id=deal, stance=decision_chain_pb2.STANCE_NEUTRAL)
    merged = await merge(house.m1, li, same, type="CONTACT")

    async def of(opportunity_id: str = "") -> tuple[bool, int, int]:
        asked = decision_chain_pb2.GetDecisionChainRequest(account_id=company.id, opportunity_id=opportunity_id)
        chain = await house.rep1.chain.GetDecisionChain(asked)
        member = next(one for one in chain.members if one.contact_id == li.id)
        return member.role_confirmed, member.role, member.stance

    champion = decision_chain_pb2.BUYING_ROLE_CHAMPION
    assert await of() == (True, champion, decision_chain_pb2.STANCE_OPPONENT)
    assert await of(deal) == (True, champion, decision_chain_pb2.STANCE_NEUTRAL)
    await unmerge(house.m1, merged.id)
    assert (await of())[0] is False
