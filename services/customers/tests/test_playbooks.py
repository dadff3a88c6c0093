"""Playbooks at the step where they apply: script, checklist, timing of the second touch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, interactions_pb2, leads_pb2
from closedloop.customers.v1 import playbooks_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop_chassis import protos
from closedloop_chassis.errors import InvalidArgument
from closedloop_customers.playbooks.rules import Facts, Playbook, PlaybookRules, Step, check_answers, choose, say

from .conftest import House


@pytest.mark.mission("S25")
def test_a_playbook_is_chosen_by_stage_and_says_only_what_it_may() -> None:
    rules = PlaybookRules()
    assert choose(Facts("lead", "lead"), rules) == choose(Facts("lead", "contact"), rules) == "new_lead"
    assert choose(Facts("lead", "nurture"), rules) == "nurture"
    assert choose(Facts("account", "customer"), rules) == "after_sale"
    assert choose(Facts("account", "prospect"), rules) == choose(Facts("lead", "closed"), rules) == ""
    first = rules.playbooks["new_lead"].steps[0]
    own = Playbook(title="教育", record="lead", stages={"lead"}, industries={"education"}, steps=(first,))
    # A published rulebook has no order.
    for books in ({"sector_edu": own, **rules.playbooks}, {**rules.playbooks, "sector_edu": own}):
        narrowed = PlaybookRules(playbooks=books)
        assert choose(Facts("lead", "lead", industry="education"), narrowed) == "sector_edu"
        assert choose(Facts("lead", "lead", industry="retail"), narrowed) == "new_lead"
    assert say("{contact}您好{need}", {"contact": "{owner}"}) == "{owner}您好", "words are not evaluated"
    for script in ("{password}", "{contact.__class__}", "{contact!r}", "{", "{0}"):
        with pytest.raises(ValueError, match=r"script|brace|expected|Single"):
            Step(key="x", title="x", channel="phone", after=first.after, script=script)
    with pytest.raises(ValueError, match="twice"):
        Playbook(title="x", record="lead", stages={"lead"}, steps=(first, first))
    check_answers(first, {"need": "换旧线", "timing": "三月"}, skip=False, note="")
    for answers, skip, reason in (
        ({"need": "换旧线", "timing": " "}, False, "ANSWER_MISSING"),
        ({"colour": "red"}, False, "UNKNOWN_ANSWER"),
        ({}, True, "NOTE_MISSING"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            check_answers(first, answers, skip=skip, note="")
        assert refused.value.reason == reason


async def intake(house: House, rid: Any, n: int = 1) -> leads_pb2.Lead:
    lead: leads_pb2.Lead = await house.web.leads.IntakeLead(
        leads_pb2.IntakeLeadRequest(
            request_id=rid(),
            profile=leads_pb2.LeadProfile(
                company_name=f"苏州远见{n}", contact_name="王芳", need="视觉检测", region_code="310000"
            ),
            provenance=Provenance(source="web_form", source_id=f"f-{n}"),
        )
    )
    return lead


def of(lead: leads_pb2.Lead) -> accounts_pb2.RecordReference:
    return accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=lead.id)


@pytest.mark.mission("S25")
async def test_a_lead_is_led_from_step_to_step(house: House, rid: Any) -> None:
    lead = await intake(house, rid)
    seller = house.caller(lead.ownership.owner_id, "rep")
    guidance = await seller.playbooks.GetGuidance(pb.GetGuidanceRequest(record=of(lead)))
    assert (guidance.playbook, guidance.rule.rulebook) == ("new_lead", "customers.playbooks")
    first, second, _ = guidance.steps
    name = {"rep1": "张三", "rep2": "李四"}[lead.ownership.owner_id]
    assert first.script.startswith(f"王芳您好，我是{name}。看到您在咨询视觉检测，想先了解一下苏州远见1目前的情况")
    assert first.due_time.ToDatetime() - house.live.now.replace(tzinfo=None) == timedelta(hours=1)
    assert first.state == second.state == pb.PLAYBOOK_STEP_STATE_PLANNED
    assert not second.HasField("due_time")

    def complete(step: str, **fields: Any) -> pb.CompletePlaybookStepRequest:
        return pb.CompletePlaybookStepRequest(
            request_id=rid(), record=of(lead), playbook="new_lead", step=step, **fields
        )

    answers = {"need": "替换人工检测", "timing": "三月投产"}
    with house.live.refused("FAILED_PRECONDITION", "STEP_NOT_CURRENT"):
        await seller.playbooks.CompletePlaybookStep(complete("second_touch", answers={"demo_date": "周四"}))
    with house.live.refused("INVALID_ARGUMENT", "ANSWER_MISSING"):
        await seller.playbooks.CompletePlaybookStep(complete("first_call"))
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.playbooks.CompletePlaybookStep(complete("first_call", answers=answers))
    # Monday 9:00: due at 10:00, overdue from 15:00, the lunch hour left out.
    await house.live.advance(hours=1.5)
    (due,) = (await house.m1.playbooks.ListPlaybookSteps(pb.ListPlaybookStepsRequest())).steps
    assert (due.key, due.state, due.script) == ("first_call", pb.PLAYBOOK_STEP_STATE_DUE, "")
    after = await seller.playbooks.CompletePlaybookStep(complete("first_call", answers=answers, note="很感兴趣"))
    done, second, _ = after.steps
    assert (done.state, done.checklist[0].answer) == (pb.PLAYBOOK_STEP_STATE_DONE, "替换人工检测")
    # The second touch: two working days after the first, Wednesday 10:30.
    assert protos.instant(second.due_time) - house.live.now == timedelta(days=2)
    with house.live.refused("FAILED_PRECONDITION", "STEP_NOT_CURRENT"):
        await seller.playbooks.CompletePlaybookStep(complete("first_call", answers=answers))
    await seller.leads.RecordResponse(
        leads_pb2.RecordResponseRequest(
            request_id=rid(),
            id=lead.id,
            channel=interactions_pb2.CHANNEL_PHONE,
            content="客户要方案和报价",
            reached=True,
        )
    )
    await house.live.advance(days=3)
    listed = pb.ListPlaybookStepsRequest(record=of(lead))
    (late,) = (await house.m1.playbooks.ListPlaybookSteps(listed)).steps
    assert (late.key, late.state) == ("second_touch", pb.PLAYBOOK_STEP_STATE_OVERDUE)
    await seller.playbooks.CompletePlaybookStep(complete("second_touch", skip=True, note="客户约了当面谈"))
    every = [pb.PlaybookStepState.Name(n) for n in range(1, 6)]
    page = await house.ops.playbooks.ListPlaybookSteps(pb.ListPlaybookStepsRequest(states=every, page_size=2))
    rest = await house.ops.playbooks.ListPlaybookSteps(
        pb.ListPlaybookStepsRequest(states=every, page_size=2, page_token=page.next_page_token)
    )
    assert [s.key for s in (*page.steps, *rest.steps)] == ["first_call", "second_touch", "needs_check"]
    # Another stage, another playbook: the open step of the old one is gone.
    held = await seller.leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))
    held = await seller.leads.AdvanceLead(
        leads_pb2.AdvanceLeadRequest(
            request_id=rid(), id=lead.id, etag=held.etag, stage=leads_pb2.LEAD_STAGE_NURTURE, reason="明年预算"
        )
    )
    assert (await seller.playbooks.GetGuidance(pb.GetGuidanceRequest(record=of(lead)))).playbook == "nurture"
    planned = pb.ListPlaybookStepsRequest(states=[pb.PLAYBOOK_STEP_STATE_PLANNED])
    assert [s.key for s in (await seller.playbooks.ListPlaybookSteps(planned)).steps] == ["content"]
    await seller.leads.CloseLead(
        leads_pb2.CloseLeadRequest(
            request_id=rid(), id=lead.id, etag=held.etag, outcome=leads_pb2.LEAD_OUTCOME_LOST, reason="no_budget"
        )
    )
    with house.live.refused("FAILED_PRECONDITION", "NO_PLAYBOOK_APPLIES"):
        await seller.playbooks.GetGuidance(pb.GetGuidanceRequest(record=of(lead)))
    assert not (await seller.playbooks.ListPlaybookSteps(planned)).steps


@pytest.mark.mission("S25")
async def test_a_prospect_that_buys_is_followed_after_the_sale(house: House, rid: Any) -> None:
    account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=rid(), profile=accounts_pb2.AccountProfile(name="华东精密"))
    )
    record = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=account.id)
    with house.live.refused("FAILED_PRECONDITION", "NO_PLAYBOOK_APPLIES"):
        await house.rep1.playbooks.GetGuidance(pb.GetGuidanceRequest(record=record))
    won = funnel.OpportunityWon(
        opportunity_id="0190d3c0-0000-7000-8000-00000000000b",
        account_id=account.id,
        close_date=protos.date_proto(house.live.now.date()),
        version=1,
    )
    await house.live.hear(won, won.opportunity_id, source="funnel")
    guidance = await house.rep1.playbooks.GetGuidance(pb.GetGuidanceRequest(record=record))
    assert [step.key for step in guidance.steps] == ["handover", "value_review"]
    planned = pb.ListPlaybookStepsRequest(states=[pb.PLAYBOOK_STEP_STATE_PLANNED], record=record)
    assert [s.key for s in (await house.m1.playbooks.ListPlaybookSteps(planned)).steps] == ["handover"]
