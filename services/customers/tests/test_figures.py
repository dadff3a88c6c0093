"""Lights, filling, answers and the pool walk down to their records, with the health of what is known of customers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import assignment_pb2, contacts_pb2, leads_pb2, quality_pb2
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.figures import daily
from closedloop_chassis.ids import new_id
from closedloop_devstack.testing import figures

from .conftest import House
from .test_pool import release
from .test_quality import account, watched

JANUARY = (date(2026, 1, 1), date(2026, 1, 31))


async def traced(house: House, name: str, *period: date, **more: Any) -> pb.TraceMetricResponse:
    return await figures.traced(house.live, f"customers.{name}", *(period or JANUARY), **more)


@pytest.mark.mission("S79", "S24")
async def test_answers_and_conversion_walk_down_to_leads(house: House, rid: Any) -> None:
    received = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        leads_pb2.LeadRow(
            provenance=Provenance(
                source="web_form" if n % 2 else "phone", source_id=str(n), observed_time=protos.timestamp(received)
            ),
            profile=leads_pb2.LeadProfile(company_name=f"客户{n}", phone=f"139{n:08}", need="报价"),
            owner_id="rep1" if n < 8 else "rep9",
            first_response_time=protos.timestamp(received + timedelta(hours=1 + n)) if n < 9 else None,
            stage=leads_pb2.LEAD_STAGE_CLOSED,
            outcome=leads_pb2.LEAD_OUTCOME_WON if n < 3 else leads_pb2.LEAD_OUTCOME_LOST,
            close_time=protos.timestamp(received + timedelta(days=3)),
        )
        for n in range(10)
    ]
    taken = await house.ops.leads.BulkIntakeLeads(
        leads_pb2.BulkIntakeLeadsRequest(request_id=rid(), rows=rows, historical=True)
    )
    assert taken.created == 10, taken.errors
    request = leads_pb2.GetResponseReportRequest()
    request.received.start_time.FromDatetime(datetime(2025, 12, 31, 16))
    [group] = (await house.ops.leads.GetResponseReport(request)).groups
    half = await traced(house, "first_response")
    assert half.value == pytest.approx(group.median_response.ToTimedelta() / timedelta(hours=1))
    assert (await traced(house, "answered_in_time")).value == pytest.approx(group.in_time_ratio)
    assert (await traced(house, "response_alarms")).value == group.alarms
    converted = await traced(house, "lead_conversion", page_size=3)
    assert converted.value == pytest.approx(sum(one.converted for one in group.buckets) / group.leads) == 0.3
    assert converted.rows[0].record_type == "lead"
    assert len(await figures.every_figure(house.live, "team1")) == 9
    assert (await traced(house, "lead_conversion", channel="phone")).total_rows == 5
    assert (await traced(house, "lead_conversion", who=("m9", "manager"))).value == 0


@pytest.mark.mission("S79", "S34", "S80", "S83")
async def test_lights_filling_and_the_pool_walk_down_to_records_that_are_scored(house: House) -> None:
    one = await account(house)
    await account(house, "苏州光学", industry="")
    pooled = await account(house, "无锡机床")
    await house.rep1.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=new_id(), account_id=one.id, profile=contacts_pb2.ContactProfile(name="王工")
        )
    )
    won = funnel.OpportunityWon(
        opportunity_id=new_id(), account_id=one.id, version=1, close_date=protos.date_proto(date(2026, 1, 5))
    )
    won.amount.CopyFrom(protos.money(100, "CNY"))
    won.ownership.owner_id, won.ownership.unit_id = "rep1", "team1"
    await house.live.hear(won, one.id, source="funnel")
    await watched(house)
    await release(house.rep1, pooled.id)
    await house.live.advance(days=31)
    today = (house.live.process.home(house.live.now).today(),) * 2
    report = (await house.ops.quality.GetQualityReport(quality_pb2.GetQualityReportRequest())).total
    shown = {"red": report.red_accounts, "yellow": report.yellow_accounts, "stale": report.stale_accounts}
    assert report.yellow_accounts
    for light, count in shown.items():
        assert (await traced(house, f"{light}_accounts", *today)).value == count, light
    assert (await traced(house, "fill_ratio", *today)).value == pytest.approx(report.fill_ratio)
    pool = (await house.ops.assignment.ListPool(assignment_pb2.ListPoolRequest())).entries
    waiting = await traced(house, "pool_size", *today)
    assert [row.record_id for row in waiting.rows] == [f"account:{entry.record.id}" for entry in pool]
    with house.live.refused("INVALID_ARGUMENT", "PERIOD_NOT_SUPPORTED"):
        await traced(house, "pool_size")

    await daily.begin(house.live.process)
    await house.live.advance(days=1)
    stub = figures.metrics(house.live)
    listed = {health.name: health for health in (await stub.ListMetricHealth(pb.ListMetricHealthRequest())).healths}
    filled = {score.name: score.value for score in listed["customers.fill_ratio"].completeness.evidence}
    assert filled["account.industry"] == filled["account.owner_id"] == pytest.approx(2 / 3)
    assert (filled["contact.reachable"], filled["contact.current"]) == (0, 1)
    month = pb.GetCredibilityReportRequest(year=today[0].year, month=today[0].month)
    report = await stub.GetCredibilityReport(month)
    found = {(finding.record_type, finding.field): finding for finding in report.findings}
    nobody = found["account", "owner_id"]
    assert (nobody.count, nobody.owner_id) == (1, "ops")
    assert nobody.examples[0].startswith("无锡机床")
    assert found["contact", "reachable"].suggestion.startswith("enter a number")
    # A manager sees what is wrong among his own.
    theirs = await figures.metrics(house.live, "m1", "manager").GetCredibilityReport(month)
    assert {finding.field for finding in theirs.findings} <= {finding.field for finding in report.findings}
    with house.live.refused("NOT_FOUND", "NO_DATA"):
        await figures.metrics(house.live, "m9", "manager").GetCredibilityReport(month)
