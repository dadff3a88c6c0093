"""Points: earned by verified actions, taken back from false ones, spent without ever overdrawing (S56)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc, truth_pb2, truth_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import points_pb2 as pb
from closedloop.funnel.v1 import points_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_funnel.points.rules import PointsRules, earned

from .conftest import ACME, Company, rid
from .test_actions import REPORT, claim
from .test_activities import call


def client(company: Company, person: str = "rep1", role: str = "rep") -> rpc.PointsServiceStub:
    return company.live.stub(rpc.PointsServiceStub, person, role)


async def grant(company: Company, points: int, person: str = "rep1", **fields: Any) -> pb.PointsEntry:
    return await client(company, "ops", "operations").AdjustPoints(
        pb.AdjustPointsRequest(request_id=rid(), person_id=person, points=points, reason="季度表彰", **fields)
    )


async def balance(company: Company, person: str = "rep1") -> pb.PointsAccount:
    return await client(company, "ops", "operations").GetPointsAccount(pb.GetPointsAccountRequest(person_id=person))


async def proven(company: Company) -> pb.TrialBalance:
    trial = await client(company, "ops", "operations").GetTrialBalance(pb.GetTrialBalanceRequest())
    assert trial.difference == 0
    assert sum(line.debit for line in trial.lines) == sum(line.credit for line in trial.lines)
    return trial


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_day_brings_no_more_than_its_most(worth: int, today: int) -> None:
    rules = PointsRules()
    got = earned(rules, worth, today)
    assert 0 <= got <= worth
    assert today + got <= max(rules.most_per_day, today)


@pytest.mark.mission("S56", "S45")
async def test_a_full_needs_report_earns_five_and_a_false_one_gives_them_back(company: Company) -> None:
    logs = company.live.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep")
    request = call(company, kind=activities_pb2.ACTIVITY_KIND_VISIT, account_id=ACME)
    request.actions.append(claim("needs_report", note=REPORT))
    request.end_time.FromDatetime(request.start_time.ToDatetime())
    logged = await logs.LogActivity(request)
    assert await logs.LogActivity(request) == logged, "sent twice, earned once"
    assert (await balance(company)).balance == 5
    [entry] = (await client(company).ListPointsEntries(pb.ListPointsEntriesRequest())).entries
    assert (entry.points, entry.kind, entry.counter_account) == (5, pb.POINTS_ENTRY_KIND_ACTION, "issued")
    assert (entry.cause_id, entry.rule.rule) == (f"{logged.id}/needs_report", "units.needs_report.points")
    await proven(company)

    # A visit of no minutes: found, confirmed, and what it earned goes back.
    await company.live.advance(minutes=20)
    truth = company.live.stub(truth_pb2_grpc.TruthServiceStub, "m1", "manager")
    [finding] = (await truth.ListFindings(truth_pb2.ListFindingsRequest(activity_id=logged.id))).findings
    await truth.ReviewFinding(
        truth_pb2.ReviewFindingRequest(
            request_id=rid(), finding_id=finding.id, etag=finding.etag, verdict=truth_pb2.FINDING_STATE_CONFIRMED
        )
    )
    assert (await balance(company)).balance == 0
    back, _ = (await client(company).ListPointsEntries(pb.ListPointsEntriesRequest())).entries
    assert (back.points, back.kind, back.reverses_entry_id) == (-5, pb.POINTS_ENTRY_KIND_REVERSAL, entry.id)
    await proven(company)


@pytest.mark.mission("S56")
async def test_however_many_redeem_at_once_nobody_overdraws(company: Company) -> None:
    await grant(company, 75)
    rep = client(company)

    async def redeem() -> str:
        try:
            await rep.RedeemPoints(pb.RedeemPointsRequest(request_id=rid(), reward_key="training_seat"))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "bought"

    outcomes = await asyncio.gather(*(redeem() for _ in range(20)))
    assert outcomes.count("bought") == 3, "seventy-five points buy three seats at twenty"
    assert outcomes.count("FAILED_PRECONDITION") == 17
    account = await balance(company)
    assert (account.balance, account.earned, account.redeemed) == (15, 75, 60)
    trial = await proven(company)
    assert {line.account: (line.debit, line.credit) for line in trial.lines} == {
        "adjustments": (75, 0),
        "people": (60, 75),
        "rewards": (0, 60),
    }
    assert trial.entry_count == 4
    with pytest.raises(Exception, match="does not balance"):
        tx = company.live.process.database.transaction()
        assert await tx.value("SELECT count(*) FROM points_posting") == 8
        tx.do("UPDATE points_posting SET points = points + 1 WHERE account = 'rewards'")
        await tx.commit()
    await proven(company)


@pytest.mark.mission("S56")
async def test_what_nobody_spends_expires_oldest_first_and_the_ledger_balances(company: Company) -> None:
    live = company.live
    shelf: Any = live.process.rulebooks
    given_rules = shelf.in_force
    short = PointsRules(expire_after=ClockSetting(days=3))
    shelf.in_force = lambda model, at: short if model is PointsRules else given_rules(model, at)
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    await grant(company, 15)
    await grant(company, 8, person="rep2")
    await live.advance(days=2)
    await grant(company, 20)
    await client(company).RedeemPoints(pb.RedeemPointsRequest(request_id=rid(), reward_key="training_seat"))
    # The first fifteen are spent, five of the twenty as well: nothing of rep1 is three days old and left.
    await live.advance(days=2)
    assert [(await balance(company, person)).balance for person in ("rep1", "rep2")] == [15, 0]
    [gone] = (await client(company, "rep2").ListPointsEntries(pb.ListPointsEntriesRequest(kind=8))).entries
    assert (gone.points, gone.counter_account, gone.kind) == (-8, "expired", pb.POINTS_ENTRY_KIND_EXPIRY)
    assert (gone.rule.rulebook, gone.rule.rule, gone.balance_after) == ("funnel.points", "expire_after", 0)
    await live.advance(days=2)
    assert (await balance(company)).balance == 0
    trial = await proven(company)
    assert {line.account: line.credit - line.debit for line in trial.lines} == {
        "adjustments": -43,
        "expired": 23,
        "people": 0,
        "rewards": 20,
    }
    await live.advance(days=2)
    assert (await proven(company)).entry_count == trial.entry_count, "nothing is left to expire"


@pytest.mark.mission("S56", "S90")
async def test_priority_in_leads_is_bought_told_and_lasts(company: Company) -> None:
    refused, rep = company.live.refused, client(company)
    offered = {one.key: one for one in (await rep.ListRewards(pb.ListRewardsRequest())).rewards}
    assert (offered["lead_priority_week"].price, offered["lead_priority_week"].stock) == (30, 20)
    assert offered["lead_priority_week"].duration.ToTimedelta().days == 7
    with refused("FAILED_PRECONDITION", "BALANCE_TOO_LOW"):
        await rep.RedeemPoints(pb.RedeemPointsRequest(request_id=rid(), reward_key="lead_priority_week"))
    with refused("NOT_FOUND", "REWARD_UNKNOWN"):
        await rep.RedeemPoints(pb.RedeemPointsRequest(request_id=rid(), reward_key="yacht"))
    granted = await grant(company, 60)
    for _ in range(2):
        await rep.RedeemPoints(pb.RedeemPointsRequest(request_id=rid(), reward_key="lead_priority_week"))
    first, second = await company.live.told(events.LeadPriorityGranted)
    assert (first.person_id, first.end_time) == ("rep1", second.start_time)
    assert (await balance(company)).priority_end_time == second.end_time
    left = (await rep.ListRewards(pb.ListRewardsRequest(page_size=1))).rewards
    assert [(one.key, one.stock) for one in left] == [("lead_priority_week", 18)]
    with refused("FAILED_PRECONDITION", "BALANCE_TOO_LOW"):
        await grant(company, 0, reverses_entry_id=granted.id)
    await grant(company, 120)
    await grant(company, 0, reverses_entry_id=granted.id)
    with refused("FAILED_PRECONDITION", "ENTRY_REVERSED"):
        await grant(company, 0, reverses_entry_id=granted.id)
    with refused("INVALID_ARGUMENT", "POINTS_REQUIRED"):
        await grant(company, 0)
    with refused("NOT_FOUND", "PERSON_UNKNOWN"):
        await grant(company, 1, person="nobody")
    with refused("PERMISSION_DENIED", "OWN_ACCOUNT"):
        await grant(company, 1, person="ops")
    with refused("PERMISSION_DENIED"):
        await client(company, "rep2").GetPointsAccount(pb.GetPointsAccountRequest(person_id="rep1"))
    await proven(company)
