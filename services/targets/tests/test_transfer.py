"""A rep leaves or changes team in mid-period, a unit closes: what is left goes to somebody else, to the fen."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closedloop.targets.v1 import cascade_pb2, plans_pb2
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_targets.cascade.handover import Piece, halves

from .staff import request_id
from .test_cascade import cascades, fen, split
from .test_plans import new_plan, plans, publish, set_, target

FEBRUARY = date(2026, 2, 1)


@pytest.mark.mission("S4", "S5")
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_both_halves_of_every_node_sum_as_the_whole_did(leaves: list[int], before: int, after: int) -> None:
    top = Piece("top", None, 0, sum(leaves), sum(leaves) + 7)
    pieces = [top, *(Piece(f"leaf{n}", "top", 1, amount, amount) for n, amount in enumerate(leaves))]
    found = halves(pieces, before, after, 1)
    for piece in pieces:
        half = found[piece.id]
        assert half.base_before + half.base_after == piece.base
        assert half.minor_before + half.minor_after == piece.minor
        assert min(half.base_before, half.base_after) >= 0
    assert sum(found[p.id].base_before for p in pieces[1:]) == found["top"].base_before
    assert sum(found[p.id].base_after for p in pieces[1:]) == found["top"].base_after


async def transfer(live: Live, plan: plans_pb2.Plan, giver: Any, taker: Any, day: date = FEBRUARY, **more: Any) -> Any:
    who, version = more.pop("who", ("ops", "operations")), more.pop("version", 1)
    held = await plans(live).GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=version))
    request = cascade_pb2.TransferTargetsRequest(
        request_id=request_id(), plan_id=plan.id, version=version, etag=held.etag, to=taker,
        effective_date=protos.date_proto(day), reason="left for the coast", **more,
    )  # fmt: skip
    getattr(request, "from").CopyFrom(giver)
    return await cascades(live, *who).TransferTargets(request)


def rep(name: str) -> plans_pb2.Holder:
    return plans_pb2.Holder(person_id=name)


def unit(name: str) -> plans_pb2.Holder:
    return plans_pb2.Holder(unit_id=name)


@pytest.mark.mission("S5")
async def test_a_rep_leaves_in_mid_period_and_the_plan_still_sums(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(100_000.03, unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    done = (await transfer(company, plan, rep("rep1"), rep("rep3"))).targets
    assert [(one.holder.person_id, one.period.code) for one in done] == [
        ("rep1", "2026-01-01/2026-01-31"),
        ("rep3", "2026-02-01/2026-03-31"),
    ]
    assert sum(fen(one.amount) for one in done) == 2_500_001
    assert done[0].parent_id == done[1].parent_id
    assert (done[1].ownership.owner_id, done[1].ownership.unit_id) == ("rep3", "east-2")
    # 20 working days of January of 57 in the quarter, 2026's holidays and make-up days included.
    assert fen(done[0].amount) / 2_500_001 == pytest.approx(20 / 57, abs=0.02)
    assert (await publish(company, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE


@pytest.mark.mission("S5")
async def test_a_unit_closes_and_its_people_go_on_under_another(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(100_000, unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    await transfer(company, plan, unit("east-1"), unit("east-2"))
    listed = await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1, page_size=100))
    by_holder: dict[str, int] = {}
    for one in listed.targets:
        name = one.holder.unit_id or one.holder.person_id
        by_holder[name] = by_holder.get(name, 0) + fen(one.amount)
    assert by_holder["rep1"] == by_holder["rep2"] == by_holder["rep3"] == 2_500_000
    assert by_holder["east-1"] + by_holder["east-2"] == by_holder["east"] == 7_500_000
    assert (await publish(company, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE
    with company.refused("FAILED_PRECONDITION", "VERSION_NOT_DRAFT"):
        await transfer(company, plan, unit("east-1"), unit("east-2"))


@pytest.mark.mission("S5")
async def test_whoever_takes_a_whole_target_over_keeps_their_own(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(100_000, unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    await publish(company, plan)
    stub = plans(company)
    cause = plans_pb2.REVISION_CAUSE_MARKET
    opened = await stub.CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(request_id=request_id(), plan_id=plan.id, cause=cause, reason="rep1 left")
    )
    await transfer(company, plan, rep("rep1"), rep("rep2"), date(2026, 1, 1), version=opened.number)
    request = plans_pb2.ComparePlanVersionsRequest(plan_id=plan.id, before=1, after=opened.number, unit_id="east-1")
    changes = (await stub.ComparePlanVersions(request)).changes
    assert sorted((one.holder.person_id, fen(one.difference)) for one in changes) == [
        ("rep1", -2_500_000),
        ("rep2", 2_500_000),
    ]
    listed = await stub.ListTargets(
        plans_pb2.ListTargetsRequest(plan_id=plan.id, version=opened.number, person_id="rep2", page_size=100)
    )
    first = listed.targets[0]
    changed = await stub.SetTarget(
        plans_pb2.SetTargetRequest(
            request_id=request_id(),
            plan_id=plan.id,
            version=opened.number,
            target=target(24_000, person="rep2", target_id=first.id, parent_id=first.parent_id),
            etag=first.etag,
        )
    )
    assert fen(changed.amount) == 2_400_000


async def test_refusals_of_transfers(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(100_000, unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    with company.refused("FAILED_PRECONDITION", "HOLDER_HAS_NO_TARGETS"):
        await transfer(company, plan, rep("rep1"), rep("rep2"), date(2027, 1, 1))
    with company.refused("INVALID_ARGUMENT", "HOLDERS_DIFFER_IN_KIND"):
        await transfer(company, plan, rep("rep1"), unit("east-2"))
    with company.refused("NOT_FOUND", "PERSON_NOT_FOUND"):
        await transfer(company, plan, rep("rep1"), rep("nobody"))
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await transfer(company, plan, rep("rep1"), rep("rep4"), who=("m-east", "manager"))
    with company.refused("INVALID_ARGUMENT", "NOT_A_DAY"):
        request = cascade_pb2.TransferTargetsRequest(
            request_id=request_id(), plan_id=plan.id, version=1, etag='"1"', to=rep("rep2"), reason="x"
        )
        getattr(request, "from").CopyFrom(rep("rep1"))
        request.effective_date.month = 13
        request.etag = (
            await plans(company).GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
        ).etag
        await cascades(company).TransferTargets(request)
