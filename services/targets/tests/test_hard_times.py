"""What goes wrong with targets: people move, units close, weights make no sense, two publish at once, plans are recalled."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from typing import Any

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.decimal_pb2 import Decimal

from closedloop.targets.v1 import (
    alarms_pb2,
    boards_pb2,
    cascade_pb2,
    org_pb2,
    org_pb2_grpc,
    periods_pb2,
    plans_pb2,
)
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live, reason_of

from .staff import request_id
from .test_actuals import fact, import_facts
from .test_alarms import SHANGHAI, listed, monday
from .test_boards import boards, in_force, people
from .test_cascade import CUSTOM, cascades, fen, split
from .test_plans import new_plan, plans, publish, put, set_, target


def org(live: Live) -> org_pb2_grpc.OrgServiceStub:
    return live.stub(org_pb2_grpc.OrgServiceStub, "ops", "operations")


async def teams(live: Live, **more: Any) -> dict[str, float]:
    """Done in yuan by team, live."""
    request = boards_pb2.ListTeamRankingRequest(view=boards_pb2.BOARD_VIEW_LIVE, **more)
    return {one.unit_id: fen(one.progress.done) / 100 for one in (await boards(live).ListTeamRanking(request)).ranks}


@pytest.mark.mission("U7", "S10", "S11")
async def test_who_moves_in_mid_period_leaves_to_the_old_team_what_was_done_there(company: Live) -> None:
    await in_force(company)
    held = await org(company).GetPerson(org_pb2.GetPersonRequest(person_id="rep1"))
    await org(company).UpdatePerson(
        org_pb2.UpdatePersonRequest(
            request_id=request_id(), person=org_pb2.PersonInput(id="rep1", unit_id="north-1"), etag=held.etag,
            update_mask=FieldMask(paths=["unit_id"]), effective_date=protos.date_proto(date(2026, 2, 10)),
        )
    )  # fmt: skip
    await company.move_to(datetime(2026, 2, 12, 18, tzinfo=SHANGHAI))
    late = fact("late", 400, "rep1", date(2026, 2, 9))
    await import_facts(
        company, fact("before", 1_000, "rep1", date(2026, 2, 5)), late, fact("after", 30, "rep1", date(2026, 2, 11))
    )
    # By the day of the fact, not by the day on which it came in.
    assert await teams(company) == {"east-1": 1_400, "east-2": 0, "north-1": 30}
    mine = (await people(company))["rep1"]
    assert (mine.unit_id, fen(mine.progress.done)) == ("north-1", 143_000)
    # The number stays the person's until it is transferred, and nobody counts it twice.
    assert mine.progress.target.money.units == 100_000
    north = (await boards(company, "m-north", "manager").ListPersonProgress(
        boards_pb2.ListPersonProgressRequest(view=boards_pb2.BOARD_VIEW_LIVE)
    )).people  # fmt: skip
    assert {one.person_id for one in north} == {"rep1", "rep4"}


@pytest.mark.mission("S5", "S102")
async def test_nobody_goes_with_a_number_in_the_pocket(company: Live) -> None:
    """A unit with targets does not close before they are given away; a person who left warns whoever stands above."""
    plan = await in_force(company)
    held = await org(company).GetUnit(org_pb2.GetUnitRequest(unit_id="east-1"))
    close = {"unit_id": "east-1", "etag": held.etag, "successor_id": "east-2", "reason": "merged"}
    with company.refused("FAILED_PRECONDITION", "UNIT_HAS_TARGETS"):
        await org(company).CloseUnit(org_pb2.CloseUnitRequest(request_id=request_id(), **close))
    rep = await org(company).GetPerson(org_pb2.GetPersonRequest(person_id="rep1"))
    await org(company).DeactivatePerson(
        org_pb2.DeactivatePersonRequest(request_id=request_id(), person_id="rep1", etag=rep.etag, reason="left")
    )
    await company.move_to(monday(3))
    [orphan] = await listed(company, kinds=[alarms_pb2.ALARM_KIND_ORPHANED_TARGET])
    assert (orphan.holder.person_id, orphan.ownership.owner_id) == ("rep1", "l-east-1")
    assert "100,000.00 CNY of 2026-Q1 have nobody who answers for them" in orphan.message
    opened = await plans(company).CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, cause=plans_pb2.REVISION_CAUSE_MARKET, reason="as it is"
        )
    )
    with company.refused("FAILED_PRECONDITION", "UNIT_CLOSED"):
        await publish(company, plan, opened.number)


def weights(*given: tuple[str, str]) -> cascade_pb2.CascadeRules:
    found = [
        cascade_pb2.HolderWeight(holder=plans_pb2.Holder(unit_id=unit), weight=Decimal(value=value))
        for unit, value in given
    ]
    return cascade_pb2.CascadeRules(tree=[cascade_pb2.TreeRule(kind="region", method=CUSTOM, weights=found)])


@pytest.mark.mission("U6")
async def test_weights_that_are_zero_or_negative(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    for value in ("NaN", "1e3", ""):
        with company.refused("INVALID_ARGUMENT"):
            await split(company, top, weights(("east", "0.7"), ("north", value)))
    with company.refused("FAILED_PRECONDITION", "WEIGHT_NOT_POSITIVE"):
        await split(company, top, weights(("east", "0.7"), ("north", "-0.3")))
    with company.refused("FAILED_PRECONDITION", "WEIGHT_NOT_POSITIVE"):
        await split(company, top, weights(("east", "0"), ("north", "0")))
    # Zero beside others is a share like any: nothing, and the sum is exact.
    done = await split(company, top, weights(("east", "0"), ("north", "0.000001")))
    found = await cascades(company).GetCascade(cascade_pb2.GetCascadeRequest(cascade_id=done.id, page_size=100))
    by_holder = {one.holder.unit_id or one.holder.person_id: fen(one.amount) for one in found.allocations}
    assert (by_holder["north"], by_holder["rep4"], by_holder.get("east", 0)) == (100_000, 100_000, 0)


@pytest.mark.mission("S2", "U6")
async def test_a_year_of_53_weeks_sums_in_every_grain(company: Live) -> None:
    plan = await new_plan(company, period="2026", name="2026")
    top = await set_(company, plan, target(1_000_000.01, unit="co", period="2026"))
    await split(company, top, cascade_pb2.CascadeRules())
    await publish(company, plan)
    cells = {}
    for grain, count in (("WEEK", 53), ("FORTNIGHT", 27), ("MONTH", 12)):
        request = cascade_pb2.ListCellsRequest(
            plan_id=plan.id, version=1, person_id="rep1", page_size=1000,
            grain=periods_pb2.PeriodGrain.Value(f"PERIOD_GRAIN_{grain}"),
        )  # fmt: skip
        cells[grain] = (await cascades(company).ListCells(request)).cells
        assert len(cells[grain]) == count
    mine = (await people(company, period="2026"))["rep1"].progress
    assert {sum(fen(one.amount) for one in found) for found in cells.values()} == {fen(mine.target)}
    last = cells["WEEK"][-1]
    assert (last.period.code, protos.day(last.period.start_date), protos.day(last.period.end_date)) == (
        "2026-W53", date(2026, 12, 28), date(2026, 12, 31),
    )  # fmt: skip
    assert cells["FORTNIGHT"][-1].period.code == "2026-F27"
    assert protos.day(cells["FORTNIGHT"][-1].period.start_date) == date(2026, 12, 28)
    # The 53rd week belongs to one year alone: its own days on either side of New Year are two plans' cells.
    with company.refused("INVALID_ARGUMENT", "UNKNOWN_PERIOD"):
        await people(company, period="2027-W53")


@pytest.mark.mission("U5")
async def test_a_recall_after_actuals_came_in_takes_back_the_number_and_not_what_was_done(company: Live) -> None:
    plan = await in_force(company)
    await import_facts(company, fact("1", 10_000, "rep1"))
    stub = plans(company)
    opened = await stub.CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, cause=plans_pb2.REVISION_CAUSE_MARKET, reason="the market grew"
        )
    )
    listed_ = (
        await stub.ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=opened.number, page_size=100))
    ).targets
    top = next(one for one in listed_ if one.depth == 0)
    grown = target(800_000, unit="co", target_id=top.id)
    await stub.SetTarget(
        plans_pb2.SetTargetRequest(request_id=request_id(), plan_id=plan.id, version=2, target=grown, etag=top.etag)
    )
    held = await stub.GetTarget(plans_pb2.GetTargetRequest(target_id=top.id))
    await split(company, held, cascade_pb2.CascadeRules())
    second = await publish(company, plan, 2)
    await import_facts(company, fact("2", 30_000, "rep1"))
    during = (await people(company))["rep1"].progress
    assert (during.target.money.units, during.done.money.units, during.completion_ratio) == (200_000, 40_000, 0.2)
    recall = plans_pb2.RecallPlanVersionRequest(
        request_id=request_id(), plan_id=plan.id, version=2, etag=second.etag, reason="it did not"
    )
    await stub.RecallPlanVersion(recall)
    after = (await people(company))["rep1"].progress
    assert (after.target.money.units, after.done.money.units, after.completion_ratio) == (100_000, 40_000, 0.4)
    # And the recall of the first one leaves no number, yet all that was done.
    first = await stub.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
    await stub.RecallPlanVersion(
        plans_pb2.RecallPlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, version=1, etag=first.etag, reason="all of it"
        )
    )
    nothing = (await people(company))["rep1"].progress
    assert (nothing.HasField("target"), nothing.done.money.units) == (False, 40_000)


@pytest.mark.mission("U5")
async def test_of_two_who_publish_at_once_one_wins_and_the_other_hears_why(company: Live) -> None:
    plan = await new_plan(company)
    await put(company, plan, target(1000, unit="co"))
    stub = plans(company)
    held = await stub.GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))

    async def publishing(version: int, etag: str) -> str:
        request = plans_pb2.PublishPlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, version=version, etag=etag
        )
        try:
            return plans_pb2.PlanVersionState.Name((await stub.PublishPlanVersion(request)).state)
        except grpc.aio.AioRpcError as error:
            return reason_of(error)

    # The same draft, twice.
    said = await asyncio.gather(publishing(1, held.etag), publishing(1, held.etag))
    assert sorted(said) in (
        ["ETAG_MISMATCH", "PLAN_VERSION_STATE_IN_FORCE"],
        ["PLAN_VERSION_STATE_IN_FORCE", "VERSION_NOT_DRAFT"],
    )
    # Two drafts of the same version in force.
    drafts = []
    for reason in ("one idea", "another idea"):
        opened = await stub.CreatePlanVersion(
            plans_pb2.CreatePlanVersionRequest(
                request_id=request_id(), plan_id=plan.id, cause=plans_pb2.REVISION_CAUSE_MARKET, reason=reason
            )
        )
        drafts.append((opened.number, opened.etag))
    said = await asyncio.gather(*(publishing(*draft) for draft in drafts))
    assert sorted(said) == ["BASE_VERSION_SUPERSEDED", "PLAN_VERSION_STATE_IN_FORCE"]
    states = [
        one.state for one in (await stub.ListPlanVersions(plans_pb2.ListPlanVersionsRequest(plan_id=plan.id))).versions
    ]
    assert states.count(plans_pb2.PLAN_VERSION_STATE_IN_FORCE) == 1
    assert states.count(plans_pb2.PLAN_VERSION_STATE_SUPERSEDED) == 1
