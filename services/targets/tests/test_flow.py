"""One target from entry to warning; and key customers with the stage each is in."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import Ownership
from closedloop.customers.v1 import events_pb2 as customers
from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.targets.v1 import alarms_pb2, boards_pb2
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .test_alarms import bring, monday, weekly
from .test_boards import boards, in_force, people
from .test_cascade import fen
from .test_commitments import commit
from .test_forecasts import restate

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.mission("S9")
async def test_entry_progress_and_warning_are_one_flow(company: Live) -> None:
    plan = await in_force(company)
    goals = await weekly(company, plan)
    await bring(company, 1, goals)
    await bring(company, 2, goals, rep1=0.5)
    await restate(company)
    await company.move_to(monday(3))
    await commit(company, 90_000)
    target_id = (await people(company))["rep1"].target_id
    request = boards_pb2.GetTargetFlowRequest(target_id=target_id)
    flow = await boards(company, "rep1", "rep").GetTargetFlow(request)
    assert flow.target.holder.person_id == "rep1"
    assert [(one.action, one.actor_id) for one in flow.steps] == [("cascaded", "ops"), ("published", "ops")]
    assert flow.progress.done.money.units > 0
    assert len(flow.weeks) == 14
    assert [round(one.completion_ratio, 2) for one in flow.weeks[:2]] == [1, 0.5]
    assert sum(fen(one.cell.amount) for one in flow.weeks) == fen(flow.target.amount)
    assert flow.commitment.committed.money.units == 90_000
    assert flow.forecast.naive
    assert len(flow.bindings) == len(flow.next_actions) == 3
    assert [one.kind for one in flow.alarms] == [alarms_pb2.ALARM_KIND_DEVIATION]
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await boards(company, "rep2", "rep").GetTargetFlow(request)
    with company.refused("NOT_FOUND", "TARGET_NOT_FOUND"):
        await boards(company).GetTargetFlow(
            boards_pb2.GetTargetFlowRequest(target_id="00000000-0000-7000-8000-000000000000")
        )


def account(number: str, grade: str = "A", owner: str = "rep1", unit: str = "east-1", **more: Any) -> Any:
    return customers.AccountChanged(
        account_id=number, name=f"Customer {number}", grade=grade, version=more.pop("version", 1),
        ownership=Ownership(owner_id=owner, unit_id=unit), **more,
    )  # fmt: skip


def deal(number: str, account_id: str, stage: str, probability: float, day: date, version: int = 1) -> Any:
    entered = datetime(day.year, day.month, day.day, 9, tzinfo=SHANGHAI)
    return funnel.OpportunityChanged(
        opportunity_id=number, version=version, account_id=account_id, stage_key=stage, probability_ratio=probability,
        amount=protos.money(5_000_000, "CNY"), stage_enter_time=protos.timestamp(entered),
        state=opportunities_pb2.OPPORTUNITY_STATE_OPEN, ownership=Ownership(owner_id="rep1", unit_id="east-1"),
    )  # fmt: skip


@pytest.mark.mission("S12")
async def test_key_customers_stand_with_their_stage_and_stale_ones_are_reminded_of(company: Live) -> None:
    await in_force(company)
    for told in (account("k1"), account("k2", owner="rep4", unit="north-1"), account("small", "B"), account("k3")):
        await company.hear(told, told.account_id, source="customers")
    await company.hear(account("k3", "C", version=2), "k3", source="customers")
    await company.hear(account("k3", "A", version=1), "k3", source="customers")
    await company.hear(deal("d1", "k1", "demo", 0.4, date(2026, 1, 2)), "d1", source="funnel")
    await company.hear(deal("d2", "k1", "quote", 0.7, date(2026, 1, 3)), "d2", source="funnel")

    async def listed(who: tuple[str, ...] = ("ops", "operations"), **more: Any) -> list[boards_pb2.KeyCustomer]:
        request = boards_pb2.ListKeyCustomersRequest(**more)
        return list((await boards(company, *who).ListKeyCustomers(request)).customers)

    first = await listed()
    assert [(one.account_id, one.stage, one.days_without_movement, one.stale) for one in first] == [
        ("k1", "quote", 2, False),
        ("k2", "", 0, False),
    ]
    assert (first[0].open_amount.money.units, first[0].opportunity_id) == (100_000, "d2")
    assert [one.account_id for one in await listed(("rep4", "rep"))] == ["k2"]
    assert [one.account_id for one in await listed(grade="B")] == ["small"]
    [seen, _] = await company.db.all("SELECT * FROM report.key_customer WHERE grade = 'A' ORDER BY last_movement_at")
    assert (seen["owner"], seen["stage"], seen["open_amount"], seen["reminded_at"]) == ("张三", "quote", 100_000, None)
    await company.move_to(datetime(2026, 1, 21, 9, tzinfo=SHANGHAI))
    stale = await listed(stale_only=True)
    assert {one.account_id for one in stale} == {"k1", "k2"}
    asked = [one.content for one in await company.told(approvals.TaskRequested)]
    reminders = [one for one in asked if one.warning == "targets.stale_key_customer"]
    assert {one.subject_id: one.assignee_id for one in reminders} == {"k1": "rep1", "k2": "rep4"}
    assert len(reminders) == 2
    met = funnel.ActivityLogged(
        activity_id="a1", account_id="k1", effective=True, start_time=protos.timestamp(company.now)
    )
    await company.hear(met, "a1", source="funnel")
    assert [one.account_id for one in await listed(stale_only=True)] == ["k2"]
    await company.move_to(company.now + timedelta(days=1))
    gone = await company.told(approvals.TaskWithdrawn)
    assert [one.cause_key for one in gone if "stale" in one.cause_key] == ["targets.stale_key_customer:k1"]
    # Nobody was there after all: what was heard of it first moves nothing any more, and comes too late a second time.
    never = funnel.ActivityLogged()
    never.CopyFrom(met)
    never.effective, never.version = False, 2
    await company.hear(never, "a1-2", source="funnel")
    await company.hear(met, "a1-3", source="funnel")
    assert {one.account_id for one in await listed(stale_only=True)} == {"k1", "k2"}
