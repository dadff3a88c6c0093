"""The case of S4 out of raw inputs: 120 M at the top, 108 M at the regions, 93 M at the areas, 176 reps, ±27 %."""

from __future__ import annotations

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.targets.v1 import cascade_pb2, cascade_pb2_grpc, plans_pb2
from closedloop_devstack.testing.service import Live

from .staff import bring_in, request_id
from .test_plans import new_plan, plans, publish, put, target

MILLION = 1_000_000
REGIONS = {"east": 38 * MILLION, "south": 30 * MILLION, "north": 22 * MILLION, "west": 18 * MILLION}
AREAS = {
    "east": (12 * MILLION, 11 * MILLION, 10 * MILLION),
    "south": (14 * MILLION, 12 * MILLION),
    "north": (10 * MILLION, 9 * MILLION),
    "west": (8 * MILLION, 7 * MILLION),
}
HEADS = 176


async def fast_moving_goods(live: Live) -> list[plans_pb2.TargetInput]:
    """Company, regions and areas with what each said; 93 M over 176 reps, the farthest 27 % off the mean either way."""
    units = [("co", "", "company", "快消公司", "boss")]
    people = [("boss", "co", "老板", ["executive"])]
    rows = [target(120 * MILLION, unit="co")]
    areas = []
    for region, received in REGIONS.items():
        units.append((region, "co", "region", region, f"m-{region}"))
        people.append((f"m-{region}", region, region, ["manager"]))
        rows.append(target(received, unit=region))
        for number, amount in enumerate(AREAS[region]):
            area = f"{region}-{number}"
            units.append((area, region, "area", area, f"m-{area}"))
            people.append((f"m-{area}", area, area, ["manager"]))
            rows.append(target(amount, unit=area))
            areas.append((area, amount))
    assert sum(amount for _, amount in areas) == 93 * MILLION
    # Heads in proportion to the areas' amounts, so that a fair share is the same everywhere.
    heads = [round(HEADS * amount / (93 * MILLION)) for _, amount in areas]
    heads[0] += HEADS - sum(heads)
    for (area, amount), count in zip(areas, heads, strict=True):
        shares = _spread(amount * 100, count, 93 * MILLION * 100 / HEADS)
        for number, fen in enumerate(shares):
            rep = f"{area}-r{number:02}"
            people.append((rep, area, rep, ["rep"]))
            rows.append(target(fen / 100, person=rep))
    await bring_in(live, units, people)
    return rows


def _spread(total: int, count: int, fair: float) -> list[int]:
    """One 27 % above and one 27 % below the company's mean; the others share the rest evenly, to the fen."""
    extremes = [round(fair * 1.27), round(fair * 0.73)]
    rest, others = total - sum(extremes), count - 2
    even, left = divmod(rest, others)
    return [*extremes, *(even + (position < left) for position in range(others))]


@pytest.mark.mission("S4")
async def test_the_case_of_120_million_is_reproduced_and_closed(live: Live) -> None:
    rows = await fast_moving_goods(live)
    plan = await new_plan(live, name="Q4")
    summary = await put(live, plan, *rows)
    assert (summary.created, summary.rejected) == (1 + 4 + 9 + HEADS, 0), summary.errors[:3]

    request = plans_pb2.GetLeakReportRequest(plan_id=plan.id, version=1, metric="won_value", leaking_only=True)
    report = await plans(live, "boss", "executive").GetLeakReport(request)
    found = [
        (one.kind, one.node_count, one.received.money.units, one.passed_on.money.units, round(one.difference_ratio, 3))
        for one in report.levels
    ]
    assert found == [
        ("company", 1, 120 * MILLION, 120 * MILLION, 0),
        ("region", 4, 120 * MILLION, 108 * MILLION, -0.10),
        ("area", 9, 108 * MILLION, 93 * MILLION, -0.139),
        ("rep", HEADS, 93 * MILLION, 93 * MILLION, 0),
    ]
    assert report.levels[2].difference.money.units == -15 * MILLION
    assert report.levels[3].cumulative_ratio == pytest.approx(-0.225)
    assert report.heads.head_count == HEADS
    assert report.heads.highest_ratio == pytest.approx(0.27, abs=1e-6)
    assert report.heads.lowest_ratio == pytest.approx(-0.27, abs=1e-6)
    assert len(report.heads.farthest) == 50
    assert report.nodes[0].holder.unit_id == "co"
    assert report.nodes[0].difference.money.units == -12 * MILLION
    assert len(report.nodes) == 5

    version = await plans(live).GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
    assert {one.reason for one in version.obstacles} == {"PLAN_DOES_NOT_SUM"}
    assert version.obstacle_count == 5
    with live.refused("FAILED_PRECONDITION", "PLAN_DOES_NOT_SUM"):
        await publish(live, plan)

    # Closed: the top is split again, exactly.
    top = await plans(live).GetTarget(plans_pb2.GetTargetRequest(target_id=version.obstacles[0].target_id))
    assert top.holder.unit_id == "co"
    cascade = live.stub(cascade_pb2_grpc.CascadeServiceStub, "ops", "operations")
    rules = cascade_pb2.CascadeRules()
    run = cascade_pb2.RunCascadeRequest(request_id=request_id(), target_id=top.id, etag=top.etag, rules=rules)
    done = await cascade.RunCascade(run)
    assert (done.node_count, done.allocated.money.units) == (4 + 9 + HEADS, 120 * MILLION)
    report = await plans(live).GetLeakReport(request)
    assert [round(one.difference_ratio, 6) for one in report.levels] == [0, 0, 0, 0]
    assert not report.nodes
    assert abs(report.heads.highest_ratio) < 1e-6
    assert (await publish(live, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE
    assert not await live.told(approvals.ApprovalRequested)
