"""Deals through the public contract: opened, read, changed, climbing with evidence, won, lost, reopened."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1 import common_pb2
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_devstack.testing.service import reason_of

from .conftest import ACME, NORTH, PROFILE, PROPOSAL, Company, account, cny, day, matrix, rid

WON, LOST = pb.OPPORTUNITY_STATE_WON, pb.OPPORTUNITY_STATE_LOST


def closing(
    deal: pb.Opportunity, outcome: pb.OpportunityState.ValueType, reason: str, **more: object
) -> pb.CloseOpportunityRequest:
    return pb.CloseOpportunityRequest(
        request_id=rid(), opportunity_id=deal.id, etag=deal.etag, outcome=outcome, reason_code=reason, **more
    )


def updating(deal: pb.Opportunity, *paths: str, **fields: object) -> pb.UpdateOpportunityRequest:
    return pb.UpdateOpportunityRequest(
        request_id=rid(), opportunity_id=deal.id, etag=deal.etag, update_mask=FieldMask(paths=paths), **fields
    )


async def test_a_new_deal_stands_at_the_first_stage_with_all_it_was_told(company: Company) -> None:
    line = pb.OpportunityLine(product_id="gtx-pro", quantity=3)
    opened = await company.open(
        account_id=ACME,
        lines=[line],
        amount=None,
        expected_close_date=day(2026, 3, 1),
        need="产能翻番",
        participants=[pb.Participant(person_id="eng1", role=pb.PARTICIPANT_ROLE_ENGINEER)],
    )
    deal = await company.read(opened.id)
    assert (deal.stage_key, deal.pipeline_id, deal.state) == ("profile", "b2b", pb.OPPORTUNITY_STATE_OPEN)
    assert deal.amount == cny(14463) == deal.reporting_amount
    assert (deal.account_name, deal.ownership.owner_id, deal.ownership.unit_id) == ("阿克姆", "rep1", "team1")
    assert deal.valid
    assert deal.validity.rulebook == "funnel.opportunities"
    # Five working days from Monday nine o'clock end on the next Monday's eve.
    assert deal.stage_due_time.ToDatetime().isoformat() == "2026-01-09T10:00:00"
    assert [rule.key for rule in deal.missing_evidence] == ["customer_profile"]
    [told] = await company.live.told(events.OpportunityChanged)
    assert (told.version, told.stage_kind, told.account_name) == (1, pipelines_pb2.STAGE_KIND_OPEN, "阿克姆")
    assert told.lines[0].amount == cny(14463)
    assert (
        await company.deals("eng1", "engineer").GetOpportunity(pb.GetOpportunityRequest(opportunity_id=deal.id))
    ).id == deal.id


async def test_what_is_not_known_is_refused(company: Company) -> None:
    refused = company.live.refused
    with refused("INVALID_ARGUMENT", "ACCOUNT_UNKNOWN"):
        await company.open(account_id="0190a000-0000-7000-8000-00000000dead")
    with refused("INVALID_ARGUMENT", "PRODUCT_UNKNOWN"):
        await company.open(lines=[pb.OpportunityLine(product_id="nothing", quantity=1)])
    with refused("NOT_FOUND", "PIPELINE_UNKNOWN"):
        await company.open(pipeline_id="nowhere")
    with refused("INVALID_ARGUMENT", "CURRENCY_MIXED"):
        usd = pb.OpportunityLine(product_id="gtx-pro", quantity=1, unit_price=Money(currency_code="USD", units=1))
        await company.open(lines=[usd])
    with refused("INVALID_ARGUMENT", "DATES_REVERSED"):
        await company.open(engage_date=day(2026, 2, 1), expected_close_date=day(2026, 1, 1))
    with refused("INVALID_ARGUMENT", "OWNER_UNKNOWN"):
        await company.open("ops", "operations", owner_id="ghost")
    with refused("NOT_FOUND", "OPPORTUNITY_UNKNOWN"):
        await company.read("0190a000-0000-7000-8000-00000000dead")
    with refused("INVALID_ARGUMENT"):
        await company.open(name="")


@pytest.mark.mission("S82")
async def test_only_the_owner_and_his_line_reach_a_deal(company: Company) -> None:
    deal = await company.open()
    asked = pb.GetOpportunityRequest(opportunity_id=deal.id)
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.deals("rep2", "rep").GetOpportunity(asked)
    with company.live.refused("PERMISSION_DENIED"):
        await company.deals("m2", "manager").UpdateOpportunity(updating(deal, "name", name="mine"))
    with company.live.refused("PERMISSION_DENIED"):
        await company.open("rep1", "rep", owner_id="rep2")
    assert (await company.deals("m1", "manager").GetOpportunity(asked)).id == deal.id
    seen = await company.deals("rep2", "rep").ListOpportunities(pb.ListOpportunitiesRequest())
    assert not seen.opportunities
    seen = await company.deals("m1", "manager").ListOpportunities(pb.ListOpportunitiesRequest())
    assert [one.id for one in seen.opportunities] == [deal.id]


@pytest.mark.mission("S82")
async def test_a_deal_is_opened_with_customers_one_may_read(company: Company) -> None:
    pooled, absorbed, shared = (f"0190a000-0000-7000-8000-0000000000{n}" for n in ("a1", "a2", "a3"))
    await company.live.hear(account(pooled, "江南机床", ownership={"unit_id": "team1"}))
    await company.live.hear(account(absorbed, "阿克姆工业", merged_into_id=ACME, ownership={"unit_id": "north"}))
    of_others = {"owner_id": "rep2", "unit_id": "north"}
    await company.live.hear(account(shared, "联合重工", ownership=of_others, participant_ids=["rep1"]))
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.open(account_id=NORTH)
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.open("m1", "manager", account_id=NORTH, owner_id="rep1")
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.open("rep2", account_id=pooled)
    deal = await company.open(account_id=shared)
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.deals("rep1", "rep").UpdateOpportunity(updating(deal, "account_id", account_id=NORTH))
    of_pooled = await company.open(account_id=pooled)
    assert of_pooled.account_id == pooled
    assert (await company.open(account_id=absorbed)).account_id == ACME
    assert (await company.open("ops", "operations", owner_id="rep1", account_id=NORTH)).account_id == NORTH
    # A deal keeps the account it began with and is listed with what that is part of now.
    await company.live.hear(account(pooled, "江南机床", merged_into_id=ACME, version=2))
    listed = await company.deals("ops", "operations").ListOpportunities(
        pb.ListOpportunitiesRequest(scope=pipelines_pb2.FunnelScope(account_id=ACME))
    )
    assert len(listed.opportunities) == 2
    assert of_pooled.id in {one.id for one in listed.opportunities}


async def test_one_provenance_is_one_deal(company: Company) -> None:
    source = {"source": "wechat", "source_id": "w-1"}
    await company.open(provenance=source)
    with company.live.refused("ALREADY_EXISTS", "OPPORTUNITY_DUPLICATE"):
        await company.open(provenance=source)


@pytest.mark.mission("S40")
async def test_no_step_is_taken_without_its_evidence(company: Company) -> None:
    deal = await company.open(account_id=ACME)
    with company.live.refused("FAILED_PRECONDITION", "EVIDENCE_MISSING"):
        await company.climb(deal)
    with company.live.refused("INVALID_ARGUMENT", "EVIDENCE_INVALID"):
        await company.climb(
            deal, pb.StageEvidence(requirement_key="pain_matrix", kind=pipelines_pb2.EVIDENCE_KIND_NOTE, note="x")
        )
    with company.live.refused("INVALID_ARGUMENT", "EVIDENCE_INVALID"):
        await company.climb(
            deal, pb.StageEvidence(requirement_key="customer_profile", kind=pipelines_pb2.EVIDENCE_KIND_NOTE)
        )
    # A full stop is no profile, and blanks are no reason.
    dot = pb.StageEvidence(requirement_key="customer_profile", kind=pipelines_pb2.EVIDENCE_KIND_NOTE, note=" .。… ok")
    with company.live.refused("INVALID_ARGUMENT", "EVIDENCE_INVALID"):
        await company.climb(deal, dot)
    with company.live.refused("FAILED_PRECONDITION", "SKIP_NEEDS_REASON"):
        await company.climb(deal, to_stage_key="proposal", skip_reason=" \n")
    deal = await company.climb(deal, PROFILE)
    assert deal.stage_key == "need"
    with company.live.refused("FAILED_PRECONDITION", "BACK_NEEDS_REASON"):
        await company.climb(deal, to_stage_key="profile", back_reason=" ")
    left = await company.deals("rep1", "rep").AddEvidence(
        pb.AddEvidenceRequest(request_id=rid(), opportunity_id=deal.id, evidence=[matrix()])
    )
    deal = await company.climb(left)
    assert (deal.stage_key, deal.forecast_category) == ("proposal", pipelines_pb2.FORECAST_CATEGORY_BEST_CASE)
    with company.live.refused("ABORTED"):
        await company.climb(left, PROPOSAL)
    seen = await company.read(deal.id)
    assert [(e.requirement_key, e.author_id) for e in seen.evidence] == [
        ("customer_profile", "rep1"),
        ("pain_matrix", "rep1"),
    ]
    assert [rule.key for rule in seen.missing_evidence] == ["proposal"]


@pytest.mark.mission("S40")
async def test_a_skip_and_a_way_back_stay_on_record_and_a_gate_takes_no_reason(company: Company) -> None:
    deal = await company.open(account_id=ACME)
    with company.live.refused("FAILED_PRECONDITION", "SKIP_NEEDS_REASON"):
        await company.climb(deal, PROFILE, to_stage_key="proposal")
    deal = await company.climb(deal, PROFILE, to_stage_key="proposal", skip_reason="老客户复购")
    with company.live.refused("FAILED_PRECONDITION", "BACK_NEEDS_REASON"):
        await company.climb(deal, to_stage_key="need")
    deal = await company.climb(deal, to_stage_key="need", back_reason="需求变更")
    with company.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await company.climb(deal, to_stage_key="contract", skip_reason="急")
    with company.live.refused("NOT_FOUND", "STAGE_UNKNOWN"):
        await company.climb(deal, to_stage_key="moon")
    with company.live.refused("FAILED_PRECONDITION", "MOVE_NOT_ALLOWED"):
        await company.climb(deal, to_stage_key="won")
    moves = await company.deals("rep1", "rep").ListStageMoves(pb.ListStageMovesRequest(opportunity_id=deal.id))
    assert [(m.sequence, m.from_stage_key, m.to_stage_key, m.backward, m.reason) for m in moves.moves] == [
        (1, "", "profile", False, ""),
        (2, "profile", "proposal", False, "老客户复购"),
        (3, "proposal", "need", True, "需求变更"),
    ]
    skip = moves.moves[1]
    assert list(skip.skipped_stage_keys) == ["need"]
    assert list(skip.skipped_requirement_keys) == ["pain_matrix"]
    assert len(skip.evidence_ids) == 1
    skips = await company.deals("rep1", "rep").ListStageMoves(pb.ListStageMovesRequest(skips_only=True, page_size=1))
    assert [m.sequence for m in skips.moves] == [2]
    with company.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await company.deals("rep1", "rep").CloseOpportunity(closing(deal, WON, "price", skip_reason="急"))


@pytest.mark.mission("S41", "S58")
async def test_five_working_days_in_a_stage_put_a_task_on_the_supervisors_list(company: Company) -> None:
    deal = await company.open(account_id=ACME)
    await company.live.advance(days=4, hours=8)
    assert not await company.live.told(approvals.TaskRequested)
    # Friday 18:00 is the end of the fifth working day; four working hours later it is the director's.
    await company.live.advance(hours=1)
    [task] = await company.live.told(approvals.TaskRequested)
    assert task.content.cause_key == f"funnel.stage_dwell:{deal.id}"
    assert (task.content.assignee_role, task.content.light) == ("manager_of_owner", common_pb2.LIGHT_YELLOW)
    assert task.content.evidence[0].value == pytest.approx(5.0)
    seen = await company.read(deal.id)
    assert (seen.dwell_days, seen.dwell_light) == (pytest.approx(5.0), common_pb2.LIGHT_YELLOW)
    late = await company.deals("m1", "manager").ListOpportunities(
        pb.ListOpportunitiesRequest(least_dwell_light=common_pb2.LIGHT_YELLOW, order_by="dwell_days desc")
    )
    assert [one.id for one in late.opportunities] == [deal.id]
    await company.live.advance(days=3)
    tasks = await company.live.told(approvals.TaskRequested)
    assert [t.content.assignee_role for t in tasks] == ["manager_of_owner", "director_of_owner"]
    await company.climb(await company.read(deal.id), PROFILE)
    gone = await company.live.told(approvals.TaskWithdrawn)
    assert {t.cause_key for t in gone} == {f"funnel.stage_dwell:{deal.id}", f"funnel.stage_pace:{deal.id}"}
    seen = await company.read(deal.id)
    assert (seen.dwell_light, seen.stage_key) == (common_pb2.LIGHT_NONE, "need")
    clocks = await company.live.db.all(
        "SELECT level, state, answered_at IS NOT NULL AS answered FROM clock ORDER BY started_at"
    )
    # The supervisor's level and the director's, each with its own verdict; then the next stage's.
    assert [(clock["level"], clock["state"], clock["answered"]) for clock in clocks] == [
        (0, "breached", True),
        (1, "breached", True),
        (0, "open", False),
    ]


@pytest.mark.mission("U4", "U1")
async def test_pushes_are_counted_and_the_category_is_the_sellers(company: Company) -> None:
    deal = await company.open(expected_close_date=day(2026, 2, 1))
    rep = company.deals("rep1", "rep")
    deal = await rep.UpdateOpportunity(
        updating(deal, "expected_close_date", expected_close_date=day(2026, 2, 11), close_date_reason="客户预算推迟")
    )
    deal = await rep.UpdateOpportunity(updating(deal, "expected_close_date", expected_close_date=day(2026, 2, 5)))
    deal = await rep.UpdateOpportunity(
        updating(deal, "forecast_category", forecast_category=pipelines_pb2.FORECAST_CATEGORY_COMMIT)
    )
    with company.live.refused("INVALID_ARGUMENT", "CATEGORY_NOT_SETTABLE"):
        await rep.UpdateOpportunity(
            updating(deal, "forecast_category", forecast_category=pipelines_pb2.FORECAST_CATEGORY_CLOSED)
        )
    with company.live.refused("INVALID_ARGUMENT", "FIELD_UNKNOWN"):
        await rep.UpdateOpportunity(updating(deal, "stage_key"))
    seen = await company.read(deal.id)
    assert (seen.push_count, seen.pushed_days) == (1, 10)
    assert [change.reason for change in seen.close_date_changes] == ["客户预算推迟", ""]
    deal = await company.climb(deal, PROFILE)
    assert deal.forecast_category == pipelines_pb2.FORECAST_CATEGORY_COMMIT
    found = await rep.ListOpportunities(pb.ListOpportunitiesRequest(least_push_count=1))
    assert [one.id for one in found.opportunities] == [deal.id]
    told = await company.live.told(events.OpportunityChanged)
    assert [t.version for t in told] == [1, 2, 3, 4, 5]


async def test_fields_change_by_their_mask(company: Company) -> None:
    deal = await company.open()
    rep = company.deals("rep1", "rep")
    line = pb.OpportunityLine(product_id="mg-special", quantity=2)
    changed = await rep.UpdateOpportunity(
        updating(
            deal,
            "account_id",
            "lines",
            "competitors",
            account_id=ACME,
            lines=[line],
            competitors=["大华"],
            name="ignored",
        )
    )
    assert (changed.account_name, changed.amount, changed.name) == ("阿克姆", cny(110), deal.name)
    assert list(changed.competitors) == ["大华"]
    with company.live.refused("ABORTED"):
        await rep.UpdateOpportunity(updating(deal, "name", name="stale"))
    with company.live.refused("INVALID_ARGUMENT", "ACCOUNT_UNKNOWN"):
        await rep.UpdateOpportunity(updating(changed, "account_id", account_id="0190a000-0000-7000-8000-00000000dead"))
    [entry] = await company.live.db.all("SELECT changes FROM audit_entry WHERE action = 'update'")
    assert entry["changes"]["account_id"] == [None, ACME]


@pytest.mark.mission("U17")
async def test_a_deal_is_lost_for_one_of_the_pipelines_reasons(company: Company) -> None:
    deal = await company.open(account_id=ACME)
    rep = company.deals("rep1", "rep")
    with company.live.refused("INVALID_ARGUMENT", "REASON_UNKNOWN"):
        await rep.CloseOpportunity(closing(deal, LOST, "weather"))
    with company.live.refused("INVALID_ARGUMENT", "REASON_NEEDS_COMMENT"):
        await rep.CloseOpportunity(closing(deal, LOST, "other"))
    with company.live.refused("INVALID_ARGUMENT", "OUTCOME_INVALID"):
        await rep.CloseOpportunity(closing(deal, pb.OPPORTUNITY_STATE_OPEN, "price"))
    with company.live.refused("INVALID_ARGUMENT", "DATE_IN_FUTURE"):
        await rep.CloseOpportunity(closing(deal, LOST, "price", close_date=day(2026, 1, 6)))
    lost = await rep.CloseOpportunity(closing(deal, LOST, "competitor", competitors=["大华"]))
    assert (lost.state, lost.stage_key, lost.probability_ratio) == (LOST, "lost", 0)
    [told] = await company.live.told(events.OpportunityLost)
    assert (told.stage_key, told.reason_code, list(told.competitors)) == ("profile", "competitor", ["大华"])
    with company.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_CLOSED"):
        await rep.CloseOpportunity(closing(lost, LOST, "price"))
    with company.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_CLOSED"):
        await rep.UpdateOpportunity(updating(lost, "name", name="x"))
    manager = company.deals("m1", "manager")
    reopening = pb.ReopenOpportunityRequest(request_id=rid(), opportunity_id=lost.id, etag=lost.etag, reason="客户回头")
    deal = await manager.ReopenOpportunity(reopening)
    assert (deal.state, deal.stage_key, deal.reason_code) == (pb.OPPORTUNITY_STATE_OPEN, "profile", "")
    [told_again] = await company.live.told(events.OpportunityReopened)
    assert (told_again.previous_state, told_again.reason) == (LOST, "客户回头")
    with company.live.refused("FAILED_PRECONDITION", "OPPORTUNITY_OPEN"):
        await manager.ReopenOpportunity(
            pb.ReopenOpportunityRequest(request_id=rid(), opportunity_id=deal.id, etag=deal.etag, reason="again")
        )


async def test_a_pipeline_without_gates_is_won_with_lines_that_sum(company: Company) -> None:
    lines = [
        pb.OpportunityLine(product_id="gtx-pro", quantity=2),
        pb.OpportunityLine(product_id="mg-special", quantity=1),
    ]
    with company.live.refused("FAILED_PRECONDITION", "PIPELINE_FOR_HISTORY"):
        await company.open(account_id=ACME, pipeline_id="crm-import")
    deal = await company.open(account_id=ACME, pipeline_id=await company.gateless(), lines=lines, amount=None)
    rep = company.deals("rep1", "rep")
    with company.live.refused("FAILED_PRECONDITION", "SKIP_NEEDS_REASON"):
        await rep.CloseOpportunity(closing(deal, WON, "price"))
    deal = await company.climb(deal)
    won = await rep.CloseOpportunity(closing(deal, WON, "price", amount=cny(9000)))
    assert (won.state, won.amount, won.probability_ratio) == (WON, cny(9000), 1)
    [told] = await company.live.told(events.OpportunityWon)
    assert sum(line.amount.units * 100 + line.amount.nanos // 10**7 for line in told.lines) == 900_000
    assert (told.close_date, told.repurchase, told.imported) == (day(2026, 1, 5), False, False)
    again = await company.open(account_id=ACME)
    assert again.repurchase


async def test_a_converted_lead_opens_its_deal_once(company: Company) -> None:
    lead = customers.LeadConverted(
        lead_id="0190a000-0000-7000-8000-0000000000aa",
        account_id=NORTH,
        open_opportunity=True,
        ownership={"owner_id": "rep2", "unit_id": "north"},
        opportunity_name="产线改造",
        expected_amount=cny(80_000),
        expected_close_date=day(2026, 4, 1),
        need="换线太慢",
        version=3,
    )
    await company.live.hear(lead, subject=lead.lead_id, source="customers")
    await company.live.hear(lead, subject=lead.lead_id, source="customers")
    listed = await company.deals("rep2", "rep").ListOpportunities(pb.ListOpportunitiesRequest(source="lead"))
    [deal] = listed.opportunities
    assert (deal.name, deal.lead_id, deal.need, deal.amount) == ("产线改造", lead.lead_id, "换线太慢", cny(80_000))
    [told] = await company.live.told(events.OpportunityChanged)
    assert told.lead_id == lead.lead_id
    point = customers.OpportunityPointFound(
        opportunity_point_id="0190a000-0000-7000-8000-0000000000bb",
        account_id=NORTH,
        need="需要远程运维",
        ownership={"owner_id": "rep2", "unit_id": "north"},
    )
    await company.live.hear(point, subject=point.opportunity_point_id, source="customers")
    listed = await company.deals("rep2", "rep").ListOpportunities(pb.ListOpportunitiesRequest(query="远程"))
    assert [one.opportunity_point_id for one in listed.opportunities] == [point.opportunity_point_id]


@pytest.mark.mission("U16")
async def test_a_foreign_deal_is_reported_in_the_companys_currency(company: Company) -> None:
    rates = targets.ExchangeRateChanged()
    for start, rate in ((day(2026, 1, 1), "7.10"), (day(2026, 3, 1), "7.20")):
        given = rates.rates.add(base_currency="USD", quote_currency="CNY", kind="RATE_KIND_SPOT", start_date=start)
        given.rate.value = rate
    await company.live.hear(rates, subject="USD/CNY:spot", source="targets")
    usd = Money(currency_code="USD", units=1000)
    deal = await company.open(amount=usd, expected_close_date=day(2026, 2, 1))
    assert deal.reporting_amount == cny(7100)
    deal = await company.deals("rep1", "rep").UpdateOpportunity(
        updating(deal, "expected_close_date", expected_close_date=day(2026, 3, 2))
    )
    assert deal.reporting_amount == cny(7200)


async def test_a_restated_margin_is_noted(company: Company) -> None:
    deal = await company.open()
    restated = integrations.DealMarginRestated(opportunity_id=deal.id, operational_margin_ratio=0.227, version=2)
    await company.live.hear(restated, source="integrations")
    restated.version, restated.operational_margin_ratio = 1, 0.9
    await company.live.hear(restated, source="integrations")
    assert (await company.read(deal.id)).margin_ratio == 0.227


async def test_lists_page_in_every_order(company: Company) -> None:
    for amount in (300, 100, 200):
        await company.open(amount=cny(amount), expected_close_date=day(2026, 1, 5 + amount // 100))
        await company.live.advance(minutes=1)
    rep = company.deals("rep1", "rep")
    for order_by, expected in (
        ("", [200, 100, 300]),
        ("amount desc", [300, 200, 100]),
        ("expected_close_date", [100, 200, 300]),
        ("dwell_days desc", [300, 100, 200]),
    ):
        token, amounts = "", []
        while True:
            page = await rep.ListOpportunities(
                pb.ListOpportunitiesRequest(order_by=order_by, page_size=2, page_token=token)
            )
            amounts += [one.amount.units for one in page.opportunities]
            if not (token := page.next_page_token):
                break
        assert amounts == expected, order_by
    with company.live.refused("INVALID_ARGUMENT", "ORDER_UNKNOWN"):
        await rep.ListOpportunities(pb.ListOpportunitiesRequest(order_by="color"))
    with company.live.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await rep.ListOpportunities(pb.ListOpportunitiesRequest(page_token="nonsense"))


async def test_the_same_request_acts_once(company: Company) -> None:
    request = pb.CreateOpportunityRequest(request_id=rid(), name="一次", amount=cny(1))
    rep = company.deals("rep1", "rep")
    assert (await rep.CreateOpportunity(request)).id == (await rep.CreateOpportunity(request)).id


@pytest.mark.mission("S40")
async def test_of_two_who_advance_one_deal_at_once_one_is_told_to_read_again(company: Company) -> None:
    deal = await company.open(account_id=ACME)
    ask = [
        pb.AdvanceOpportunityRequest(request_id=rid(), opportunity_id=deal.id, etag=deal.etag, evidence=[PROFILE])
        for _ in range(6)
    ]
    people = [company.deals("rep1", "rep"), company.deals("m1", "manager")] * 3
    outcomes = await asyncio.gather(
        *(one.AdvanceOpportunity(request) for one, request in zip(people, ask, strict=True)), return_exceptions=True
    )
    won = [one for one in outcomes if isinstance(one, pb.Opportunity)]
    lost = [one for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert (len(won), len(lost)) == (1, 5)
    assert {(one.code().name, reason_of(one)) for one in lost} == {("ABORTED", "ETAG_MISMATCH")}
    now = await company.read(deal.id)
    assert (now.stage_key, now.etag) == ("need", won[0].etag)
    moves = await company.deals("rep1", "rep").ListStageMoves(pb.ListStageMovesRequest(opportunity_id=deal.id))
    assert [one.to_stage_key for one in moves.moves] == ["profile", "need"], "one step, not six"
