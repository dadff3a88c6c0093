"""Matches, messages and the ledger as figures that walk down to their rows, with the health of what comes from outside."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.type.date_pb2 import Date
from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.integrations.v1 import deliveries_pb2, notices_pb2
from closedloop.integrations.v1 import erp_pb2 as erp
from closedloop.integrations.v1.deliveries_pb2_grpc import DeliveryServiceStub
from closedloop.integrations.v1.notices_pb2_grpc import NoticeServiceStub
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop.platform.v1.metrics_pb2_grpc import MetricServiceStub
from closedloop_chassis.data import rows
from closedloop_chassis.figures import daily
from closedloop_chassis.ids import new_id
from closedloop_devstack.testing import figures
from closedloop_devstack.testing.service import Live

from .conftest import Customers as Known
from .test_economics import bring as book
from .test_economics import cost, entry, row, sold
from .test_notices import bring as publish
from .test_notices import request_id
from .test_notices import row as notice

JANUARY = (date(2026, 1, 1), date(2026, 1, 31))


async def traced(live: Live, name: str, who: tuple[str, str] = ("ops", "operations"), **scope: str) -> Any:
    return await figures.traced(live, f"integrations.{name}", *JANUARY, who=who, **scope)


async def sent(live: Live, states: list[str]) -> None:
    """Messages of rep1 and their ends, as couriers and gateways left them."""
    given = [
        {
            "id": new_id(),
            "dedupe_key": f"k{place}",
            "recipient_key": "c",
            "content": "",
            "origin": "customers",
            "purpose": "marketing",
            "channel": "mail",
            "address": "wang@school.cn" if place else "",
            "owner_id": "rep1",
            "unit_id": "east",
            "state": state,
            "requested_at": live.now,
            "due_at": live.now,
            "sent_at": live.now,
        }
        for place, state in enumerate(states)
    ]
    names = ", ".join(given[0])
    tx = live.process.database.transaction()
    tx.do(
        f"INSERT INTO delivery ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::delivery, %(rows)s)",
        {"rows": rows.pack(given)},
    )
    await tx.commit()


@pytest.mark.mission("S79")
async def test_matches_and_messages_walk_down_to_their_rows(company: Live, known: Known) -> None:
    await known.account("济南市第三中学")
    await known.account("青岛市第二中学", owner="rep2", unit="north")
    await publish(company, notice(1), notice(2), notice(3, buyer="青岛市第二中学"))
    found = await traced(company, "notices_matched")
    stub = company.stub(NoticeServiceStub, "ops", "operations")
    listed = (await stub.ListMatches(notices_pb2.ListMatchesRequest())).matches
    assert {one.record_id for one in found.rows} == {match.id for match in listed}
    assert found.value == len(listed) == 3
    assert "integrations.operational_margin" in await figures.every_figure(company, "east")
    assert (await traced(company, "notices_matched", ("rep2", "rep"))).value == 1
    assert (await traced(company, "notices_matched", unit_id="east")).value == 2
    states = [notices_pb2.MATCH_STATE_CONFIRMED, notices_pb2.MATCH_STATE_CONFIRMED, notices_pb2.MATCH_STATE_REJECTED]
    for match, state in zip(listed, states, strict=True):
        await stub.ReviewMatch(
            notices_pb2.ReviewMatchRequest(request_id=request_id(), id=match.id, etag=match.etag, state=state)
        )
    accuracy = await stub.GetMatchAccuracy(notices_pb2.GetMatchAccuracyRequest(period=Interval()))
    precision = await traced(company, "match_precision")
    counts = {one.name: one.text for one in precision.inputs}
    assert counts == {
        "confirmed": f"{accuracy.true_positives} rows",
        "rejected": f"{accuracy.false_positives} rows",
    }
    assert precision.value == pytest.approx(2 / 3)
    assert (await traced(company, "notices_matched")).value == 2
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await traced(company, "match_precision", ("rep1", "rep"))

    await sent(company, ["delivered", "opened", "replied", "bounced", "queued"])
    arrived = await traced(company, "messages_delivered", channel="mail")
    messages = company.stub(DeliveryServiceStub, "ops", "operations")
    shown = (await messages.ListDeliveries(deliveries_pb2.ListDeliveriesRequest())).deliveries
    ended = [one for one in shown if one.state != deliveries_pb2.DELIVERY_STATE_QUEUED]
    bounced = [one for one in ended if one.state == deliveries_pb2.DELIVERY_STATE_BOUNCED]
    assert (arrived.value, arrived.total_rows) == (1 - len(bounced) / len(ended), 4)
    metric = await company.stub(MetricServiceStub, "rep1", "rep").GetMetric(
        pb.GetMetricRequest(name="integrations.messages_delivered")
    )
    assert (metric.owner_id, metric.owner_role) == ("ops", "operations")


@pytest.mark.mission("S80", "S83", "S74")
async def test_what_comes_from_outside_is_scored_and_its_gaps_are_named(company: Live, known: Known) -> None:
    await known.account("济南市第三中学", codes=("C001",))
    await daily.begin(company.process)
    today, december = Date(year=2026, month=1, day=5), Date(year=2025, month=12, day=10)
    await book(
        company,
        sold("SI1", 10_000, 6_000, date=today, account_code="C001"),
        sold("SI2", 5_000, 1_000, date=today, account_code="C999"),
        cost("EX1", "660101", 500, date=december),
        row(
            "V1",
            today,
            voucher=erp.Voucher(entries=[entry("6001", -15_000), entry("6401", 7_200), entry("1122", 7_800)]),
        ),
    )
    nowhere = notice(2)
    nowhere.region = ""
    await publish(company, notice(1), nowhere)
    await sent(company, ["delivered", "bounced"])
    await company.move_to(datetime(2026, 1, 6, 1, tzinfo=UTC))
    stub = company.stub(MetricServiceStub, "ops", "operations")
    listed = {
        one.name: one for one in (await stub.ListMetricHealth(pb.ListMetricHealthRequest(page_size=1000))).healths
    }
    margin = listed["integrations.statutory_margin"]
    assert {one.name: one.value for one in margin.completeness.evidence}["transaction.account_id"] == 0.5
    # Invoices leave 8000 fen, vouchers 7800.
    assert margin.consistency.score == pytest.approx(7800 / 8000)
    # The cost of December came in January.
    assert (margin.timeliness.examined, margin.timeliness.failed) == (4, 1)
    assert not listed["integrations.revenue"].HasField("consistency")
    assert listed["integrations.notices_matched"].completeness.failed == 1
    report = await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1))
    found = {(one.record_type, one.kind, one.field): one for one in report.findings}
    unknown = found["transaction", "missing_reference", "account_id"]
    assert (unknown.count, unknown.examined, unknown.owner_id) == (1, 2, "ops")
    assert unknown.light == common_pb2.LIGHT_RED
    assert unknown.examples[0].startswith("invoice SI2")
    assert found["transaction", "deviation", "ledger_margin"].examples == ["2026-01"]
    assert found["delivery", "missing_field", "address"].count == 1
    assert found["notice", "missing_field", "region"].count == 1
    assert found["transaction", "late", ""].suggestion.startswith("let the ERP")
    assert 0 < report.score < 100
