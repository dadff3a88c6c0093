"""Plans through the contract: SMART or refused, versions, must-sum with signed exceptions, recall."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.decimal_pb2 import Decimal

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.approvals.v1 import requests_pb2
from closedloop.common.v1.common_pb2 import LIGHT_NONE, LIGHT_RED, LIGHT_YELLOW
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.targets.v1 import (
    actuals_pb2,
    actuals_pb2_grpc,
    events_pb2,
    forecasts_pb2,
    forecasts_pb2_grpc,
    metrics_pb2,
    plans_pb2,
    plans_pb2_grpc,
)
from closedloop_chassis import client, protos
from closedloop_devstack.testing.service import Live

from .staff import request_id
from .test_products import import_, product


def plans(live: Live, person: str = "ops", *roles: str) -> plans_pb2_grpc.PlanServiceStub:
    return live.stub(plans_pb2_grpc.PlanServiceStub, person, *(roles or ("operations",)))


def cny(yuan: float) -> metrics_pb2.Amount:
    return metrics_pb2.Amount(money=protos.money(round(yuan * 100), "CNY"))


def target(yuan: float | None = None, **more: Any) -> plans_pb2.TargetInput:
    """A target of won value for the first quarter; `unit` or `person` names its holder."""
    given: dict[str, Any] = {"metric": "won_value", "period": "2026-Q1"}
    if "unit" in more:
        given["holder"] = plans_pb2.Holder(unit_id=more.pop("unit"))
    if "person" in more:
        given["holder"] = plans_pb2.Holder(person_id=more.pop("person"))
    if yuan is not None:
        given["amount"] = cny(yuan)
    return plans_pb2.TargetInput(**{**given, **more})


async def new_plan(live: Live, unit: str = "co", **more: Any) -> plans_pb2.Plan:
    given = {"name": "Q1", "unit_id": unit, "period": "2026-Q1", "strategy": "win the delta", "owner_id": "boss"}
    return await plans(live).CreatePlan(plans_pb2.CreatePlanRequest(request_id=request_id(), **{**given, **more}))


async def put(live: Live, plan: plans_pb2.Plan, *rows: plans_pb2.TargetInput, version: int = 1, **more: Any) -> Any:
    request = plans_pb2.ImportTargetsRequest(
        request_id=request_id(), plan_id=plan.id, version=version, targets=rows, **more
    )
    return await plans(live).ImportTargets(request)


async def set_(live: Live, plan: plans_pb2.Plan, row: plans_pb2.TargetInput, etag: str = "", **who: Any) -> Any:
    stub = who.get("stub") or plans(live)
    return await stub.SetTarget(
        plans_pb2.SetTargetRequest(request_id=request_id(), plan_id=plan.id, version=1, target=row, etag=etag)
    )


async def publish(live: Live, plan: plans_pb2.Plan, version: int = 1, **more: Any) -> plans_pb2.PlanVersion:
    stub = plans(live)
    held = await stub.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=version))
    return await stub.PublishPlanVersion(
        plans_pb2.PublishPlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, version=version, etag=held.etag, **more
        )
    )


async def history(live: Live, yuan: float, person: str = "rep1", day: date = date(2025, 2, 3)) -> None:
    row = actuals_pb2.ActualInput(
        metric="won_value", holder=plans_pb2.Holder(person_id=person), date=protos.date_proto(day), amount=cny(yuan)
    )
    row.provenance.source, row.provenance.source_id = "crm", f"{person}-{day}"
    stub = live.stub(actuals_pb2_grpc.ActualServiceStub, "ops", "operations")
    request = actuals_pb2.ImportActualsRequest(request_id=request_id(), actuals=[row])
    summary = await stub.ImportActuals(request)
    assert not summary.errors, summary.errors


@pytest.mark.mission("S1")
async def test_q1_east_china_plus_20_percent_passes_and_improve_results_does_not(company: Live) -> None:
    await history(company, 1_000_000)
    plan = await new_plan(company)
    checked = await plans(company).CheckTargets(
        plans_pb2.CheckTargetsRequest(
            plan_id=plan.id,
            targets=[
                plans_pb2.TargetInput(statement="Q1, 华东, +20 %"),
                plans_pb2.TargetInput(statement="improve results"),
                plans_pb2.TargetInput(statement="华东Q1业绩从100万提高到120万"),
            ],
        )
    )
    good, bad, doubtful = checked.checks
    assert good.passed, good
    assert good.understood.holder.unit_id == "east"
    assert good.understood.period == "2026-Q1"
    assert good.understood.amount.money.units == 1_200_000
    assert good.understood.owner_id == "m-east"
    assert {e.name: e.value for e in good.findings[2].evidence}["history"] == 1_000_000
    letters = [plans_pb2.SmartLetter.Name(letter).removeprefix("SMART_LETTER_") for letter in bad.failed]
    assert letters == ["SPECIFIC", "MEASURABLE", "ACHIEVABLE", "TIME_BOUND"]
    assert doubtful.findings[1].statement == "names 100万 and 120万; say which amount is meant"
    assert (good.rule.rulebook, len(good.findings)) == ("targets.smart", 5)
    with company.refused("FAILED_PRECONDITION", "NOT_SMART"):
        await set_(company, plan, plans_pb2.TargetInput(statement="improve results"))


@pytest.mark.mission("S1")
async def test_what_a_refusal_stands_on_is_told_with_it(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    # Nothing is known of the company's past: let through, and said so.
    assert (top.smart.passed, top.smart.findings[2].unproven) == (True, True)
    request = plans_pb2.CheckTargetsRequest(plan_id=plan.id, targets=[target(1_000_000_000, unit="east")])
    [check] = (await plans(company).CheckTargets(request)).checks
    assert list(check.failed) == [plans_pb2.SMART_LETTER_ACHIEVABLE]
    evidence = {one.name: one for one in check.findings[2].evidence}
    assert (evidence["parent"].value, evidence["parent"].unit, evidence["parent_share"].value) == (1000, "CNY", 1e6)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await set_(company, plan, target(1_000_000_000, unit="east"))
    told = client.info(refused.value).metadata
    assert told["evidence_parent"] == f"1000 CNY: {evidence['parent'].text}"
    assert {f"evidence_{name}" for name in evidence} == told.keys() - {"letters"}
    # The means of a ratio count, not their sum.
    row = actuals_pb2.ActualInput(metric="visit_completion", holder=plans_pb2.Holder(person_id="rep1"))
    for day, value in ((3, "0.5"), (4, "0.7")):
        row.date.CopyFrom(protos.date_proto(date(2025, 2, day)))
        row.amount.number.value, row.provenance.source, row.provenance.source_id = value, "crm", str(day)
        stub = company.stub(actuals_pb2_grpc.ActualServiceStub, "ops", "operations")
        summary = await stub.ImportActuals(actuals_pb2.ImportActualsRequest(request_id=request_id(), actuals=[row]))
        assert not summary.errors
    visits = target(unit="east", metric="visit_completion", growth=plans_pb2.Growth(ratio=0.2))
    [check] = (
        await plans(company).CheckTargets(plans_pb2.CheckTargetsRequest(plan_id=plan.id, targets=[visits]))
    ).checks
    assert check.understood.amount.number.value == "0.72"
    assert {one.name: one.value for one in check.findings[2].evidence}["history"] == 0.6


async def test_a_target_in_words_is_entered_with_what_it_means(company: Live) -> None:
    await history(company, 1_000_000)
    plan = await new_plan(company)
    made = await set_(company, plan, plans_pb2.TargetInput(statement="Q1, 华东, +20 %"))
    assert (made.amount.money.units, made.ownership.owner_id, made.depth) == (1_200_000, "m-east", 0)
    assert made.smart.passed
    read = await plans(company).GetTarget(plans_pb2.GetTargetRequest(target_id=made.id))
    assert read.smart.passed
    assert read.etag == made.etag


async def test_padding_is_a_named_layer_on_top(company: Live) -> None:
    plan = await new_plan(company)
    layer = plans_pb2.Padding(name="stretch", ratio=0.05, reason="ambition")
    made = await set_(company, plan, target(1000, unit="co", padding=[layer]))
    assert (made.amount.money.units, made.base_amount.money.units) == (1050, 1000)
    assert made.padding[0].author_id == "ops"


async def test_refusals_of_plans_and_targets(company: Live) -> None:
    plan = await new_plan(company)
    stub = plans(company)
    with company.refused("ALREADY_EXISTS", "PLAN_OVERLAPS"):
        await new_plan(company, period="2026-M02")
    with company.refused("NOT_FOUND", "UNIT_NOT_FOUND"):
        await new_plan(company, unit="west")
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_PERIOD"):
        await new_plan(company, unit="east", period="2026-Q9")
    with company.refused("NOT_FOUND", "PLAN_NOT_FOUND"):
        await stub.GetPlan(plans_pb2.GetPlanRequest(plan_id="00000000-0000-7000-8000-000000000000"))
    with company.refused("NOT_FOUND", "VERSION_NOT_FOUND"):
        await stub.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=7))
    top = await set_(company, plan, target(1000, unit="co"))
    assert await set_(company, plan, target(600, unit="east"))
    with company.refused("FAILED_PRECONDITION", "TARGET_OVERLAPS"):
        await set_(company, plan, target(1000, unit="east"))
    with company.refused("FAILED_PRECONDITION", "PERIOD_OUTSIDE_PLAN"):
        await set_(company, plan, target(1000, unit="north", period="2026-Q2"))
    with company.refused("INVALID_ARGUMENT", "CURRENCY_MISMATCH"):
        dollars = metrics_pb2.Amount(money=protos.money(100, "USD"))
        await set_(company, plan, target(unit="north", amount=dollars))
    with company.refused("INVALID_ARGUMENT", "ETAG_MISSING"):
        await set_(company, plan, target(1000, unit="co", target_id=top.id))
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await set_(company, plan, target(1000, unit="co", target_id=top.id), etag='"99"')
    with company.refused("FAILED_PRECONDITION", "NOT_SMART"):
        await set_(company, plan, target(unit="co", amount=metrics_pb2.Amount(number=Decimal(value="3"))))
    other = await new_plan(company, unit="north", name="North")
    with company.refused("FAILED_PRECONDITION", "UNIT_OUTSIDE_PLAN"):
        await set_(company, other, target(1000, unit="east"))
    with company.refused("NOT_FOUND", "TARGET_NOT_FOUND"):
        await set_(company, plan, target(1, unit="north", parent_id="00000000-0000-7000-8000-000000000000"))


async def test_a_year_is_changed_though_its_quarter_has_months(company: Live) -> None:
    plan = await new_plan(company, period="2026", name="Year")
    year = await set_(company, plan, target(1200, unit="co", period="2026"))
    quarter = await set_(company, plan, target(300, unit="co", parent_id=year.id))
    await set_(company, plan, target(100, unit="co", period="2026-M01", parent_id=quarter.id))
    changed = await set_(company, plan, target(1300, unit="co", period="2026", target_id=year.id), etag=year.etag)
    assert changed.amount == cny(1300)
    with company.refused("FAILED_PRECONDITION", "TARGET_OVERLAPS"):
        await set_(company, plan, target(100, unit="co", period="2026-M01", parent_id=year.id))


async def test_deals_add_nothing_up_to_money(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    ten = metrics_pb2.Amount(number=Decimal(value="10"))
    with company.refused("FAILED_PRECONDITION", "PARENT_OF_OTHER_METRIC"):
        await set_(company, plan, target(unit="east", metric="new_opportunities", amount=ten, parent_id=top.id))
    deals = await set_(company, plan, target(unit="east", metric="new_opportunities", amount=ten))
    assert deals.parent_id == ""
    # A parent that is made to measure something else leaves children behind that no longer add up to it.
    await set_(company, plan, target(1000, unit="east"))
    measured = target(unit="co", metric="new_opportunities", amount=ten, target_id=top.id)
    await set_(company, plan, measured, etag=top.etag)
    with company.refused("FAILED_PRECONDITION", "PARENT_OF_OTHER_METRIC"):
        await publish(company, plan)


async def test_a_cycle_of_targets_is_refused(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    east = await set_(company, plan, target(1000, unit="east"))
    assert east.parent_id == top.id
    with company.refused("FAILED_PRECONDITION", "TARGET_CYCLE"):
        await set_(company, plan, target(1000, unit="co", target_id=top.id, parent_id=east.id), etag=top.etag)


async def test_whom_a_plan_shows_itself_to(company: Live) -> None:
    plan = await new_plan(company)
    rows = [
        target(1000, unit="co"),
        target(1000, unit="east"),
        target(1000, unit="east-1"),
        target(1000, person="rep1"),
    ]
    assert (await put(company, plan, *rows)).created == 4
    manager = plans(company, "m-north", "manager")
    rep = plans(company, "rep1", "rep")
    other = plans(company, "rep4", "rep")
    assert (await rep.GetPlan(plans_pb2.GetPlanRequest(plan_id=plan.id))).name == "Q1"
    mine = await rep.ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1))
    assert [one.holder.person_id for one in mine.targets] == ["rep1"]
    assert (await rep.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))).number == 1
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await other.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await other.GetTarget(plans_pb2.GetTargetRequest(target_id=mine.targets[0].id))
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await set_(company, plan, target(1, unit="east-2"), stub=manager)
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        leak = plans_pb2.GetLeakReportRequest(plan_id=plan.id, version=1, metric="won_value", unit_id="east")
        await manager.GetLeakReport(leak)
    north = await set_(company, plan, target(0.01, unit="north"), stub=manager)
    assert north.depth == 1
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await manager.CreatePlan(
            plans_pb2.CreatePlanRequest(request_id=request_id(), name="x", unit_id="east", period="2026-Q3")
        )
    # Who answers for a plan works on it, wherever in the company they sit; nobody else from there does.
    theirs = await new_plan(company, unit="east", owner_id="m-north")
    change = plans_pb2.UpdatePlanRequest(
        request_id=request_id(), plan_id=theirs.id, etag=theirs.etag, name="Q1, theirs", update_mask={"paths": ["name"]}
    )
    assert (await manager.UpdatePlan(change)).name == "Q1, theirs"
    change.request_id, change.plan_id, change.etag = request_id(), plan.id, plan.etag
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await manager.UpdatePlan(change)


@pytest.mark.mission("U14")
async def test_targets_are_imported_in_any_order_and_twice_changes_nothing(company: Live) -> None:
    plan = await new_plan(company, strategy="")
    rows = [target(1000, unit="co", strategy="win"), target(600, unit="east"), target(400, unit="north")]
    rows += [target(300, unit="east-1"), target(150, person="rep1")]
    wrong = [target(1, unit="west"), target(5, unit="east-2", period="2026-Q3"), plans_pb2.TargetInput(metric="BAD!")]
    rehearsed = await put(company, plan, *wrong, *rows[::-1], validate_only=True)
    summary = await put(company, plan, *wrong, *rows[::-1])
    assert rehearsed == summary
    reasons = {error.row: error.reason for error in summary.errors}
    assert reasons == {0: "NOT_SMART", 1: "NOT_SMART", 2: "ROW_INVALID"}
    assert (summary.read, summary.created) == (8, 5)
    listed = await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1))
    assert [(one.depth, one.difference.money.units) for one in listed.targets if one.HasField("difference")] == [
        (0, 0),
        (1, 300),
        (2, 150),
    ]
    again = await put(company, plan, *rows)
    assert (again.unchanged, again.updated) == (5, 0)
    changed = await put(company, plan, target(700, unit="east"))
    assert changed.updated == 1


@pytest.mark.mission("S4", "U6")
async def test_a_plan_that_does_not_sum_needs_a_signed_exception(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"), target(600, unit="east"), target(300, unit="north"))
    version = await plans(company).GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
    assert [(one.reason, one.message) for one in version.obstacles] == [
        ("PLAN_DOES_NOT_SUM", "总公司: 100.00 CNY were not passed on")
    ]
    with company.refused("FAILED_PRECONDITION", "PLAN_DOES_NOT_SUM"):
        await publish(company, plan)
    top = version.obstacles[0].target_id
    ask = plans_pb2.RequestSumExceptionRequest(request_id=request_id(), target_id=top, reason="kept for the new branch")
    exception = await plans(company).RequestSumException(ask)
    assert exception.state == plans_pb2.SUM_EXCEPTION_STATE_WAITING
    assert (exception.difference.money.units, exception.difference_ratio) == (100, 0.1)
    ask.request_id = request_id()
    with company.refused("ALREADY_EXISTS", "EXCEPTION_EXISTS"):
        await plans(company).RequestSumException(ask)
    [asked] = await company.told(approvals.ApprovalRequested)
    assert (asked.subject.kind, asked.facts.amount.units, asked.submitter_id) == ("plan_exception", 100, "ops")
    with company.refused("FAILED_PRECONDITION", "PLAN_DOES_NOT_SUM"):
        await publish(company, plan)
    await company.hear(
        approvals.RequestOpened(request_id="r1", subject=asked.subject), subject=exception.id, source="approvals"
    )
    await company.hear(
        approvals.RequestDecided(
            request_id="r1",
            subject=asked.subject,
            state=requests_pb2.REQUEST_STATE_APPROVED,
            decided_by="boss",
            comment="once",
        ),
        subject=exception.id,
        source="approvals",
    )
    listed = await plans(company).ListSumExceptions(plans_pb2.ListSumExceptionsRequest(plan_id=plan.id))
    signed = listed.exceptions[0]
    assert (signed.state, signed.decided_by, signed.approval_request_id) == (
        plans_pb2.SUM_EXCEPTION_STATE_SIGNED,
        "boss",
        "r1",
    )
    published = await publish(company, plan)
    assert published.state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE


@pytest.mark.mission("S4")
async def test_an_exception_lapses_when_the_difference_is_another_one(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"), target(600, unit="east"), target(300, unit="north"))
    [top] = [
        one.id
        for one in (await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1))).targets
        if one.depth == 0
    ]
    ask = plans_pb2.RequestSumExceptionRequest(request_id=request_id(), target_id=top, reason="kept")
    exception = await plans(company).RequestSumException(ask)
    await put(company, plan, target(350, unit="north"))
    [withdrawn] = await company.told(approvals.ApprovalWithdrawn)
    assert withdrawn.subject_id == exception.id
    await put(company, plan, target(400, unit="north"))
    ask.request_id = request_id()
    with company.refused("FAILED_PRECONDITION", "TARGET_SUMS"):
        await plans(company).RequestSumException(ask)
    [asked] = await company.told(approvals.ApprovalRequested)
    late = approvals.RequestDecided(request_id="r", subject=asked.subject, state=requests_pb2.REQUEST_STATE_APPROVED)
    await company.hear(late, subject=exception.id, source="approvals")
    listed = await plans(company).ListSumExceptions(plans_pb2.ListSumExceptionsRequest(plan_id=plan.id))
    assert [one.state for one in listed.exceptions] == [plans_pb2.SUM_EXCEPTION_STATE_LAPSED]
    # Sent back by a signer it is refused here, waits for nobody there, and may be asked anew.
    await put(company, plan, target(350, unit="north"))
    ask.request_id = request_id()
    second = await plans(company).RequestSumException(ask)
    subject = (await company.told(approvals.ApprovalRequested))[-1].subject
    back = approvals.RequestReturned(request_id="r2", subject=subject, returned_by="boss", comment="why?")
    await company.hear(back, subject=second.id, source="approvals")
    assert (await company.told(approvals.ApprovalWithdrawn))[-1].subject_id == second.id
    ask.request_id = request_id()
    third = await plans(company).RequestSumException(ask)
    listed = await plans(company).ListSumExceptions(plans_pb2.ListSumExceptionsRequest(plan_id=plan.id))
    states = {one.id: one.state for one in listed.exceptions}
    assert states[second.id] == plans_pb2.SUM_EXCEPTION_STATE_REFUSED
    assert states[third.id] == plans_pb2.SUM_EXCEPTION_STATE_WAITING


@pytest.mark.mission("S5", "S78")
async def test_what_is_known_of_stock_launches_and_the_market_stands_beside_a_new_version(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"))
    await publish(company, plan)
    launch = protos.date_proto(date(2026, 2, 20))
    await import_(company, product("gtx", "GTX", launch_date=launch), product("old", "Old"))

    def stock(product_id: str, days: float | None, light: int, day: int) -> Any:
        told = protos.date_proto(date(2026, 1, day))
        return integrations.StockDaysChanged(product_id=product_id, date=told, days=days, light=light)  # type: ignore[arg-type]

    for told in (
        stock("gtx", 89, LIGHT_RED, 5),
        stock("gtx", 30, LIGHT_NONE, 4),
        stock("old", 50, LIGHT_YELLOW, 5),
        stock("spare", None, LIGHT_RED, 5),
        stock("fine", 20, LIGHT_NONE, 5),
    ):
        await company.hear(told, told.product_id)
    trend = forecasts_pb2.RecordMarketTrendRequest(
        request_id=request_id(), unit_id="east", period="2026-Q1", growth_ratio=0.1, reason="the delta booms"
    )
    await company.stub(forecasts_pb2_grpc.ForecastServiceStub, "m-east", "manager").RecordMarketTrend(trend)

    async def opened(cause: int) -> list[str]:
        request = plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(),
            plan_id=plan.id,
            cause=cause,
            reason="look",
            evidence=[{"name": "own"}],  # type: ignore[arg-type]
        )
        return [one.text or one.name for one in (await plans(company).CreatePlanVersion(request)).evidence]

    assert await opened(plans_pb2.REVISION_CAUSE_STOCK) == [
        "own",
        "spare: nothing sold by 2026-01-05 (red)",
        "GTX: stock of 89 days on 2026-01-05 (red)",
        "Old: stock of 50 days on 2026-01-05 (yellow)",
    ]
    assert await opened(plans_pb2.REVISION_CAUSE_LAUNCH) == ["own", "GTX is launched on 2026-02-20"]
    assert await opened(plans_pb2.REVISION_CAUSE_MARKET) == ["own", "east 2026-Q1: +10.0%, the delta booms"]
    assert await opened(plans_pb2.REVISION_CAUSE_STRATEGY) == ["own"]


@pytest.mark.mission("S5", "U5")
async def test_versions_follow_each_other_and_the_one_before_holds_again_after_a_recall(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"), target(600, unit="east"), target(400, unit="north"))
    await publish(company, plan)
    with company.refused("FAILED_PRECONDITION", "VERSION_NOT_DRAFT"):
        await put(company, plan, target(1, person="rep1"))
    stub = plans(company)
    opened = await stub.CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(),
            plan_id=plan.id,
            cause=plans_pb2.REVISION_CAUSE_STOCK,
            reason="stock of 89 days",
            evidence=[{"name": "stock_days", "value": 89, "unit": "d"}],
        )
    )
    assert (opened.number, opened.base_version, opened.target_count) == (2, 1, 3)
    assert opened.totals[0].amount.money.units == 1000
    stale = await stub.CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, cause=plans_pb2.REVISION_CAUSE_MARKET, reason="another idea"
        )
    )
    await put(company, plan, target(1100, unit="co"), target(700, unit="east"), version=2)
    second = await publish(company, plan, 2)
    assert second.state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE
    assert (second.cause, second.evidence[0].value) == (plans_pb2.REVISION_CAUSE_STOCK, 89)
    with company.refused("FAILED_PRECONDITION", "BASE_VERSION_SUPERSEDED"):
        await publish(company, plan, stale.number)
    compared = await stub.ComparePlanVersions(plans_pb2.ComparePlanVersionsRequest(plan_id=plan.id, before=1, after=2))
    changes = {one.holder.unit_id: (one.difference.money.units, one.difference_ratio) for one in compared.changes}
    assert changes == {"co": (100, 0.1), "east": (100, pytest.approx(1 / 6))}
    listed = await stub.ListPlanVersions(plans_pb2.ListPlanVersionsRequest(plan_id=plan.id))
    states = [plans_pb2.PlanVersionState.Name(one.state).removeprefix("PLAN_VERSION_STATE_") for one in listed.versions]
    assert states == ["DRAFT", "IN_FORCE", "SUPERSEDED"]
    recalled = await stub.RecallPlanVersion(
        plans_pb2.RecallPlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, version=2, etag=second.etag, reason="the market came back"
        )
    )
    assert (recalled.state, recalled.recall_reason) == (plans_pb2.PLAN_VERSION_STATE_RECALLED, "the market came back")
    assert (await stub.GetPlan(plans_pb2.GetPlanRequest(plan_id=plan.id))).version_in_force == 1
    told = await company.told(events_pb2.PlanPublished)
    assert [one.version for one in told] == [1, 2]
    [back] = await company.told(events_pb2.PlanRecalled)
    assert (back.version, back.version_in_force) == (2, 1)
    again = plans_pb2.RecallPlanVersionRequest(
        request_id=request_id(), plan_id=plan.id, version=2, etag=recalled.etag, reason="twice"
    )
    with company.refused("FAILED_PRECONDITION", "VERSION_NOT_IN_FORCE"):
        await stub.RecallPlanVersion(again)


@pytest.mark.mission("U5")
async def test_a_version_published_for_a_later_day_waits_for_it(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"))
    published = await publish(company, plan, effective_date=protos.date_proto(date(2026, 2, 1)))
    assert published.state == plans_pb2.PLAN_VERSION_STATE_SCHEDULED
    assert not await company.told(events_pb2.PlanPublished)
    await company.advance(days=28)
    [told] = await company.told(events_pb2.PlanPublished)
    assert (told.version, told.totals[0].amount.money.units, told.published_by) == (1, 1000, "ops")
    assert (await plans(company).GetPlan(plans_pb2.GetPlanRequest(plan_id=plan.id))).version_in_force == 1


@pytest.mark.mission("U5")
async def test_a_version_that_waits_undoes_none_and_is_undone_by_none(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"))
    await publish(company, plan)
    stub = plans(company)

    async def draft(yuan: float, base: int) -> int:
        request = plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(),
            plan_id=plan.id,
            base_version=base,
            cause=plans_pb2.REVISION_CAUSE_MARKET,
            reason=f"{yuan} yuan",
        )
        opened = await stub.CreatePlanVersion(request)
        await put(company, plan, target(yuan, unit="co"), version=opened.number)
        return opened.number

    def on(day: int) -> Any:
        return protos.date_proto(date(2026, 2, day))

    second, third = await draft(800, 1), await draft(1200, 1)
    waiting = await publish(company, plan, second, effective_date=on(2))
    for day in ({}, {"effective_date": on(2)}, {"effective_date": on(3)}):
        with company.refused("FAILED_PRECONDITION", "VERSION_SCHEDULED") as refusal:
            await publish(company, plan, third, **day)
    assert f"version {second} takes force on 2026-02-02" in str(refusal.value)
    # One that builds on it follows it, not before its day.
    fourth = await draft(900, second)
    with company.refused("FAILED_PRECONDITION", "VERSION_SCHEDULED"):
        await publish(company, plan, fourth, effective_date=on(1))
    await publish(company, plan, fourth, effective_date=on(3))
    # Neither the one in force nor the one that comes before it goes while it waits for its day.
    for number in (1, second):
        held = await stub.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=number))
        with company.refused("FAILED_PRECONDITION", "VERSION_SCHEDULED") as refusal:
            await stub.RecallPlanVersion(
                plans_pb2.RecallPlanVersionRequest(
                    request_id=request_id(), plan_id=plan.id, version=number, etag=held.etag, reason="no"
                )
            )
        assert f"version {fourth} takes force on 2026-02-03" in str(refusal.value)
    fifth = await draft(950, fourth)
    await company.move_to(company.now + timedelta(days=31))
    held = await stub.GetPlan(plans_pb2.GetPlanRequest(plan_id=plan.id))
    assert held.version_in_force == fourth
    assert waiting.state == plans_pb2.PLAN_VERSION_STATE_SCHEDULED
    with company.refused("FAILED_PRECONDITION", "BASE_VERSION_SUPERSEDED"):
        await publish(company, plan, third)
    assert (await publish(company, plan, fifth)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE


async def test_a_draft_is_dropped_and_an_empty_one_cannot_be_published(company: Live) -> None:
    plan = await new_plan(company)
    with company.refused("FAILED_PRECONDITION", "PLAN_EMPTY"):
        await publish(company, plan)
    stub = plans(company)
    top = await set_(company, plan, target(1000, unit="co"))
    await put(company, plan, target(1000, unit="east"))
    request = plans_pb2.RemoveTargetRequest(request_id=request_id(), target_id=top.id, etag=top.etag)
    left = await stub.RemoveTarget(request)
    assert left.target_count == 0
    assert await stub.RemoveTarget(request) == left
    dropped = await stub.DiscardPlanVersion(
        plans_pb2.DiscardPlanVersionRequest(request_id=request_id(), plan_id=plan.id, version=1, etag=left.etag)
    )
    assert dropped.state == plans_pb2.PLAN_VERSION_STATE_DISCARDED
    with company.refused("FAILED_PRECONDITION", "VERSION_NOT_DRAFT"):
        await set_(company, plan, target(1000, unit="co"))


@pytest.mark.mission("U6")
async def test_the_must_sum_switch_holds_under_a_published_version(company: Live) -> None:
    with company.refused("INVALID_ARGUMENT", "MUST_SUM_REASON_MISSING"):
        await new_plan(company, must_sum=False)
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"), target(600, unit="east"))
    off = plans_pb2.UpdatePlanRequest(
        request_id=request_id(), plan_id=plan.id, etag=plan.etag, update_mask=FieldMask(paths=["must_sum"])
    )
    with company.refused("INVALID_ARGUMENT", "MUST_SUM_REASON_MISSING"):
        await plans(company).UpdatePlan(off)
    off.must_sum_reason = "north is planned in March"
    loose = await plans(company).UpdatePlan(off)
    assert (loose.must_sum, loose.must_sum_reason) == (False, "north is planned in March")
    trail = "SELECT changes::text FROM audit_entry WHERE subject = %(plan)s AND action = 'update'"
    assert "north is planned in March" in await company.db.value(trail, {"plan": f"plan:{plan.id}"})
    await publish(company, plan)
    stub = plans(company)
    held = await stub.GetPlan(plans_pb2.GetPlanRequest(plan_id=plan.id))
    switch = plans_pb2.UpdatePlanRequest(
        request_id=request_id(),
        plan_id=plan.id,
        etag=held.etag,
        update_mask=FieldMask(paths=["must_sum", "name"]),
        must_sum=True,
        name="Firm",
    )
    firm = await stub.UpdatePlan(switch)
    assert (firm.must_sum, firm.must_sum_reason, firm.name) == (True, "", "Firm")
    loosen = plans_pb2.UpdatePlanRequest(
        request_id=request_id(), plan_id=plan.id, etag=firm.etag, update_mask=FieldMask(paths=["must_sum"])
    )
    with company.refused("FAILED_PRECONDITION", "MUST_SUM_IN_FORCE"):
        await stub.UpdatePlan(loosen)
    found = await stub.ListPlans(plans_pb2.ListPlansRequest(unit_id="co", period="2026-M02", query="fir"))
    assert [one.id for one in found.plans] == [plan.id]
    assert not (await stub.ListPlans(plans_pb2.ListPlansRequest(period="2026-Q2"))).plans


@pytest.mark.mission("S5")
async def test_every_target_has_one_owner_and_a_live_holder(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"), target(1000, person="rep1"))
    from closedloop.targets.v1 import org_pb2, org_pb2_grpc

    org = company.stub(org_pb2_grpc.OrgServiceStub, "ops", "operations")
    held = await org.GetPerson(org_pb2.GetPersonRequest(person_id="rep1"))
    await org.DeactivatePerson(
        org_pb2.DeactivatePersonRequest(request_id=request_id(), person_id="rep1", etag=held.etag)
    )
    await company.process.look()
    with company.refused("FAILED_PRECONDITION", "UNIT_CLOSED"):
        await publish(company, plan)


async def test_the_same_request_acts_once(company: Live) -> None:
    stub = plans(company)
    request = plans_pb2.CreatePlanRequest(request_id=request_id(), name="Q1", unit_id="co", period="2026-Q1")
    first = await stub.CreatePlan(request)
    assert await stub.CreatePlan(request) == first
    assert await company.db.value("SELECT count(*) FROM plan") == 1
    anonymous = company.stub(plans_pb2_grpc.PlanServiceStub)
    with company.refused("UNAUTHENTICATED"):
        await anonymous.GetPlan(plans_pb2.GetPlanRequest(plan_id=first.id))
