"""Every metric of the catalogue, and what is asked and expected of it, walks down to rows of the ledger (S79, S80, S83)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop.targets.v1 import actuals_pb2, metrics_pb2, metrics_pb2_grpc
from closedloop_chassis import protos
from closedloop_chassis.figures import daily
from closedloop_devstack.testing import figures
from closedloop_devstack.testing.service import Live
from closedloop_targets.metrics.rules import MetricRules

from .test_actuals import fact, import_facts, ledger, won
from .test_boards import boards, in_force, people
from .test_boards import pb as boards_pb
from .test_forecasts import restate, stated, three_years

QUARTER = (date(2026, 1, 1), date(2026, 3, 31))


async def traced(live: Live, name: str, *period: date, **more: Any) -> pb.TraceMetricResponse:
    return await figures.traced(live, f"targets.{name}", *(period or QUARTER), **more)


async def summed(live: Live, metric: str, **more: Any) -> Any:
    request = actuals_pb2.SummarizeActualsRequest(
        filter=actuals_pb2.ActualFilter(metrics=[metric], period="2026-Q1", **more)
    )
    [one] = (await ledger(live).SummarizeActuals(request)).sums
    return one.amount


def yuan(amount: Any) -> float:
    return float(protos.minor_units(amount.money) / 100)


@pytest.mark.mission("S79", "S17")
async def test_the_catalogue_traces_to_the_ledger_as_it_is_and_as_it_was(company: Live) -> None:
    await company.hear(won("o1", 25_000, day=date(2026, 1, 5)), "o1", source="funnel")
    await company.hear(won("o2", 5_000.5, "rep4", day=date(2026, 1, 6)), "o2", source="funnel")
    for person, value, cases in (("rep1", 0.8, 11), ("rep4", 0.5, 4)):
        week = funnel.ProcessMetricsMeasured(person_id=person, week=protos.date_proto(date(2026, 1, 5)), version=1)
        week.metrics.add(key="visit_completion", value=value, sample_size=cases)
        await company.hear(week, person, source="funnel")
    found = await traced(company, "won_value", page_size=1)
    assert found.value == yuan(await summed(company, "won_value")) == 30_000.5
    assert (found.rows[0].record_type, found.unit) == ("actual", "CNY")
    assert (await traced(company, "won_value", unit_id="north")).value == 5_000.5
    assert (await traced(company, "won_value", who=("rep1", "rep"))).value == 25_000
    # A mean is that of the cases, not of the people.
    share = await traced(company, "visit_completion")
    assert share.value == pytest.approx((0.8 * 11 + 0.5 * 4) / 15)
    assert share.value == pytest.approx(float((await summed(company, "visit_completion")).number.value))
    # As it was known before the first deal was restated.
    before = company.now
    await company.advance(hours=1)
    await company.hear(won("o1", 20_000, version=2, day=date(2026, 1, 5)), "o1", source="funnel")
    assert (await traced(company, "won_value")).value == 25_000.5
    assert (await traced(company, "won_value", at=before)).value == 30_000.5
    # All metrics of the catalogue are figures, with the words of their service, and each has somebody.
    stub = figures.metrics(company, "rep1", "rep")
    listed = {one.name: one for one in (await stub.ListMetrics(pb.ListMetricsRequest(page_size=100))).metrics}
    assert {f"targets.{metric.code}" for metric in MetricRules().metrics} <= set(listed)
    assert all(one.owner_role and one.definition and one.formula for one in listed.values())
    assert set(await figures.every_figure(company, "east")) == set(listed)
    assert listed["targets.won_value"].owner_id == "boss"
    assert list(listed["targets.won_value"].upstream) == ["funnel.won_value"]
    own = company.stub(metrics_pb2_grpc.MetricServiceStub, "rep1", "rep")
    [shown] = (await own.ListMetrics(metrics_pb2.ListMetricsRequest(codes=["won_value"]))).metrics
    assert shown.lineage.owner_id == "boss"
    way = (await stub.GetMetric(pb.GetMetricRequest(name="targets.won_value"))).lineage
    assert [node.service for node in way.nodes if node.id == "funnel.won_value"] == ["funnel"]
    assert ("targets.won_value", "ActualService.SummarizeActuals") in {(e.from_id, e.to_id) for e in way.edges}


@pytest.mark.mission("S79", "S10", "S80", "S83")
async def test_completion_walks_down_to_deals_and_targets_and_the_ledger_is_scored(company: Live) -> None:
    await in_force(company)
    await daily.begin(company.process)
    await company.hear(won("o1", 25_000, day=date(2026, 1, 5)), "o1", source="funnel")
    invoice = integrations.InvoiceRecorded(
        number="INV-1",
        date=protos.date_proto(date(2026, 1, 5)),
        person_id="rep1",
        account_id="acme",
        net_amount=protos.money(20_000_00, "CNY"),
        version=1,
    )
    await company.hear(invoice, "INV-1", source="integrations")
    await import_facts(company, fact("late", 100, "rep4", date(2025, 12, 1)))
    for person, progress in ((one.person_id, one.progress) for one in (await people(company)).values()):
        done = await traced(company, "attainment", person_id=person)
        assert done.value == pytest.approx(progress.completion_ratio), person
        gap = await traced(company, "gap", person_id=person)
        assert gap.value == pytest.approx(yuan(progress.target) - yuan(progress.done)), person
    ranks = await boards(company).ListTeamRanking(boards_pb.ListTeamRankingRequest(view=boards_pb.BOARD_VIEW_LIVE))
    for rank in ranks.ranks:
        unit = await traced(company, "attainment", unit_id=rank.unit_id)
        assert unit.value == pytest.approx(rank.progress.completion_ratio), rank.unit_id
    whole = await traced(company, "attainment")
    assert (whole.value, {row.record_type for row in whole.rows}) == (0.0625, {"actual", "target"})
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await traced(company, "attainment", who=("rep1", "rep"), person_id="rep2")
    with company.refused("NOT_FOUND", "PERSON_NOT_FOUND"):
        await traced(company, "gap", person_id="nobody")

    await company.move_to(datetime(2026, 1, 6, 1, tzinfo=UTC))
    stub = figures.metrics(company)
    listed = {one.name: one for one in (await stub.ListMetricHealth(pb.ListMetricHealthRequest(page_size=100))).healths}
    value = listed["targets.won_value"]
    filled = {one.name: one.value for one in value.completeness.evidence}
    assert filled["actual.product_id"] == 0
    assert filled["actual.account_id"] == pytest.approx(2 / 3)
    # 25,000 were won and 20,000 invoiced.
    assert value.consistency.score == pytest.approx(0.8)
    assert (value.timeliness.examined, value.timeliness.failed) == (3, 1)
    bound = {one.name: one.value for one in listed["targets.attainment"].completeness.evidence}
    assert bound["target.actions"] == 1
    report = await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1))
    found = {(one.kind, one.field): one for one in report.findings}
    assert found["deviation", "won_and_invoiced"].examples == ["acme"]
    assert found["late", ""].examples[0].startswith("won_value")
    assert found["missing_field", "product_id"].count == 3


@pytest.mark.mission("S79", "S6")
async def test_a_forecast_walks_down_to_its_months(company: Live) -> None:
    await three_years(company, "rep1")
    await restate(company)
    await company.settle()
    [mine] = await stated(company, ("rep1", "rep"))
    found = await traced(company, "forecast", who=("rep1", "rep"), person_id="rep1")
    assert found.value == pytest.approx(sum(yuan(point.value) for point in mine.points[:3]))
    assert [row.input for row in found.rows] == ["2026-M01", "2026-M02", "2026-M03"]
    whole = await traced(company, "forecast")
    assert {row.provenance.source_id for row in whole.rows} == {row.provenance.source_id for row in found.rows}
