"""Cascades through the contract: down the tree, across products, over time, exact to the fen."""

from __future__ import annotations

import itertools
import time
from datetime import date
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.decimal_pb2 import Decimal
from psycopg.types.json import Jsonb

from closedloop.targets.v1 import (
    actuals_pb2,
    actuals_pb2_grpc,
    cascade_pb2_grpc,
    periods_pb2,
    plans_pb2,
    products_pb2,
)
from closedloop.targets.v1 import cascade_pb2 as pb
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live

from .staff import bring_in, request_id
from .test_plans import cny, history, new_plan, plans, publish, put, set_, target
from .test_products import import_, product

EVEN, HISTORY, CUSTOM = pb.ALLOCATION_METHOD_EVEN, pb.ALLOCATION_METHOD_HISTORY, pb.ALLOCATION_METHOD_CUSTOM
WEIGHTED = pb.ALLOCATION_METHOD_PRODUCT_WEIGHTED


def cascades(live: Live, person: str = "ops", *roles: str) -> cascade_pb2_grpc.CascadeServiceStub:
    return live.stub(cascade_pb2_grpc.CascadeServiceStub, person, *(roles or ("operations",)))


def fen(amount: Any) -> int:
    return int(amount.money.units * 100 + amount.money.nanos // 10_000_000)


async def split(live: Live, top: plans_pb2.Target, rules: pb.CascadeRules, **who: Any) -> pb.Cascade:
    held = await plans(live).GetTarget(plans_pb2.GetTargetRequest(target_id=top.id))
    stub = who.get("stub") or cascades(live)
    return await stub.RunCascade(
        pb.RunCascadeRequest(request_id=request_id(), target_id=top.id, etag=held.etag, rules=rules)
    )


async def amounts(live: Live, cascade: pb.Cascade) -> dict[str, int]:
    found = await cascades(live).GetCascade(pb.GetCascadeRequest(cascade_id=cascade.id, page_size=1000))
    return {
        f"{one.holder.unit_id or one.holder.person_id}{one.scope.product_id and ':' + one.scope.product_id}": fen(
            one.amount
        )
        for one in found.allocations
    }


@pytest.mark.mission("S2", "U6")
async def test_evenly_by_heads_to_the_people_and_their_weeks(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000.01, unit="co"))
    done = await split(company, top, pb.CascadeRules())
    assert await amounts(company, done) == {
        "east": 75_001, "north": 25_000, "east-1": 50_001, "east-2": 25_000, "north-1": 25_000,
        "rep1": 25_001, "rep2": 25_000, "rep3": 25_000, "rep4": 25_000,
    }  # fmt: skip
    for grain, count in (("MONTH", 3), ("FORTNIGHT", 7), ("WEEK", 14)):
        request = pb.ListCellsRequest(
            plan_id=plan.id, version=1, person_id="rep1", grain=periods_pb2.PeriodGrain.Value(f"PERIOD_GRAIN_{grain}")
        )
        cells = (await cascades(company).ListCells(request)).cells
        assert len(cells) == count
        assert sum(fen(cell.amount) for cell in cells) == 25_001
    mine = pb.ListCellsRequest(plan_id=plan.id, version=1, grain=periods_pb2.PERIOD_GRAIN_MONTH)
    own = await cascades(company, "rep2", "rep").ListCells(mine)
    assert {cell.holder.person_id for cell in own.cells} == {"rep2"}
    assert [cell.period.code for cell in own.cells] == ["2026-M01", "2026-M02", "2026-M03"]
    assert (await publish(company, plan)).target_count == 10


@pytest.mark.mission("U6")
async def test_by_history_with_a_fallback_that_says_so(company: Live) -> None:
    await history(company, 300, "rep1")
    await history(company, 100, "rep4")
    plan = await new_plan(company)
    top = await set_(company, plan, target(800, unit="co"))
    rules = pb.CascadeRules(tree=[pb.TreeRule(method=HISTORY)])
    preview = await cascades(company).PreviewCascade(pb.PreviewCascadeRequest(target_id=top.id, rules=rules))
    by_name = {one.holder.unit_id or one.holder.person_id: one for one in preview.allocations}
    assert (fen(by_name["east"].amount), fen(by_name["north"].amount)) == (60_000, 20_000)
    assert by_name["east"].share_ratio == 0.75
    assert not preview.id
    assert by_name["east-2"].fell_back
    assert by_name["east-2"].method == EVEN
    assert by_name["east-1"].method == HISTORY
    assert await company.db.value("SELECT count(*) FROM target") == 1
    done = await split(company, top, rules)
    again = await split(company, top, rules)
    assert await amounts(company, done) == await amounts(company, again)
    assert await company.db.value("SELECT count(*) FROM target") == 10


@pytest.mark.mission("U6")
async def test_by_given_weights_pins_and_named_padding(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    weights = [
        pb.HolderWeight(holder=plans_pb2.Holder(unit_id=unit), weight=Decimal(value=value))
        for unit, value in (("east", "0.7"), ("north", "0.3"))
    ]
    layer = plans_pb2.Padding(name="stretch", ratio=0.1, reason="ambition")
    rules = pb.CascadeRules(
        tree=[pb.TreeRule(kind="region", method=CUSTOM, weights=weights, padding=[layer]), pb.TreeRule(method=EVEN)],
        pins=[pb.Pin(holder=plans_pb2.Holder(person_id="rep1"), amount=cny(100))],
        excluded=[plans_pb2.Holder(person_id="rep3")],
    )
    done = await split(company, top, rules)
    assert (fen(done.allocated), fen(done.padding)) == (100_000, 10_000)
    assert await amounts(company, done) == {
        "east": 77_000, "north": 33_000, "east-1": 70_000, "north-1": 30_000,
        "rep1": 10_000, "rep2": 60_000, "rep4": 30_000,
    }  # fmt: skip
    leak = await plans(company).GetLeakReport(
        plans_pb2.GetLeakReportRequest(plan_id=plan.id, version=1, metric="won_value")
    )
    assert (fen(leak.levels[1].difference), fen(leak.levels[1].padding)) == (10_000, 10_000)
    [padded] = [
        one
        for one in (await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1))).targets
        if one.holder.unit_id == "east"
    ]
    assert (padded.padding[0].name, padded.padding[0].reason) == ("stretch", "ambition")
    assert (await publish(company, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE


@pytest.mark.mission("S16", "U6")
async def test_across_products_by_their_past_times_their_stage(company: Live) -> None:
    await import_(
        company,
        product("new", "New", stage=products_pb2.LIFE_CYCLE_STAGE_INTRODUCTION),
        product("hot", "Hot", stage=products_pb2.LIFE_CYCLE_STAGE_GROWTH),
        product("old", "Old", stage=products_pb2.LIFE_CYCLE_STAGE_MATURE),
    )
    rows = []
    for name in ("new", "hot", "old"):
        row = actuals_pb2.ActualInput(
            metric="won_value",
            holder=plans_pb2.Holder(person_id="rep1"),
            scope=plans_pb2.TargetScope(product_id=name),
            date=protos.date_proto(date(2025, 6, 1)),
            amount=cny(100),
        )
        row.provenance.source, row.provenance.source_id = "crm", name
        rows.append(row)
    stub = company.stub(actuals_pb2_grpc.ActualServiceStub, "ops", "operations")
    summary = await stub.ImportActuals(actuals_pb2.ImportActualsRequest(request_id=request_id(), actuals=rows))
    assert summary.created == 3
    plan = await new_plan(company)
    top = await set_(company, plan, target(260, unit="co"))
    rules = pb.CascadeRules(product=pb.ProductRule(method=WEIGHTED), levels=1)
    found = await amounts(company, await split(company, top, rules))
    assert {name: found[f"co:{name}"] for name in ("new", "hot", "old")} == {"new": 7_000, "hot": 10_000, "old": 9_000}
    assert found["east:hot"] + found["north:hot"] == 10_000
    assert (await publish(company, plan)).target_count == 1 + 3 + 6


@pytest.mark.mission("S16", "U6")
async def test_a_pin_is_what_a_holder_gets_of_all_products_together(company: Live) -> None:
    await import_(company, product("a", "A"), product("b", "B"))
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    pin = pb.Pin(holder=plans_pb2.Holder(person_id="rep1"), amount=cny(100.01))
    weights = [pb.ProductWeight(product_id=name, weight=Decimal(value=of)) for name, of in (("a", "0.7"), ("b", "0.3"))]
    rule = pb.ProductRule(product_ids=["a", "b"], method=CUSTOM, weights=weights)
    found = await amounts(company, await split(company, top, pb.CascadeRules(product=rule, pins=[pin])))
    assert (found["rep1:a"], found["rep1:b"]) == (7_001, 3_000)
    # More than the team has of one product, and yet less than it has of all.
    pin.amount.CopyFrom(cny(400))
    top = await plans(company).GetTarget(plans_pb2.GetTargetRequest(target_id=top.id))
    found = await amounts(company, await split(company, top, pb.CascadeRules(product=rule, pins=[pin])))
    assert (found["rep1:a"], found["rep1:b"]) == (28_000, 12_000)


async def _cells(live: Live, plan: plans_pb2.Plan, grain: str) -> dict[str, dict[str, int]]:
    """By period and holder."""
    request = pb.ListCellsRequest(plan_id=plan.id, version=1, page_size=1000)
    request.grain = periods_pb2.PeriodGrain.Value(f"PERIOD_GRAIN_{grain}")
    found: dict[str, dict[str, int]] = {}
    for cell in (await cascades(live).ListCells(request)).cells:
        found.setdefault(cell.period.code, {})[cell.holder.unit_id or cell.holder.person_id] = fen(cell.amount)
    return found


async def _sums(live: Live, plan: plans_pb2.Plan) -> None:
    """Every unit's cell is what its children's come to, in every grain."""
    tree = {"co": "east north", "east": "east-1 east-2", "north": "north-1", "east-1": "rep1 rep2", "east-2": "rep3"}
    for grain, count in (("MONTH", 3), ("FORTNIGHT", 7), ("WEEK", 14)):
        cells = await _cells(live, plan, grain)
        assert len(cells) == count
        for period, minors in cells.items():
            for unit, below in tree.items():
                assert minors[unit] == sum(minors[one] for one in below.split()), (period, unit)


@pytest.mark.mission("S2")
async def test_weeks_add_up_over_the_tree_whoever_splits_and_whoever_changes_a_number(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(400_000.13, unit="co"))
    await split(company, top, pb.CascadeRules())
    await _sums(company, plan)
    listed = (await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1))).targets
    held = {one.holder.unit_id or one.holder.person_id: one for one in listed}
    # A manager splits a part of it anew, and ten fen go from one colleague to the other.
    rules = pb.CascadeRules(pins=[pb.Pin(holder=plans_pb2.Holder(unit_id="east-2"), amount=cny(100_000.55))])
    await split(company, held["east"], rules, stub=cascades(company, "m-east", "manager"))
    listed = (await plans(company).ListTargets(plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1))).targets
    for one in listed:
        if one.holder.person_id in ("rep1", "rep2"):
            more = 0.1 if one.holder.person_id == "rep1" else -0.1
            row = target(fen(one.amount) / 100 + more, person=one.holder.person_id, target_id=one.id)
            await set_(company, plan, row, etag=one.etag)
    assert (await publish(company, plan)).target_count == 10
    await _sums(company, plan)


# Nodes whose children do not come to them, cells that do not come to their target, and anything less than nothing.
INEXACT = """
SELECT (SELECT count(*) FROM target t JOIN (SELECT parent_id, sum(base_minor) AS below FROM target GROUP BY parent_id) AS c
                          ON c.parent_id = t.id WHERE c.below <> t.base_minor)
     + (SELECT count(*) FROM target t
         WHERE t.minor < 0 OR t.minor <> ALL (SELECT sum(minor) FROM cell WHERE target_id = t.id GROUP BY grain))
     + (SELECT count(*) FROM cell WHERE minor < 0)
"""


@pytest.mark.mission("S2", "S4", "S16", "U6")
async def test_every_method_is_exact_down_to_the_weeks_of_a_year_that_has_53(company: Live) -> None:
    await import_(company, product("new", "New"), product("hot", "Hot"), product("old", "Old"))
    stub = company.stub(actuals_pb2_grpc.ActualServiceStub, "ops", "operations")
    rows = []
    for number, (rep, name, month) in enumerate(
        itertools.product(("rep1", "rep2", "rep4"), ("hot", "old"), range(1, 13))
    ):
        row = actuals_pb2.ActualInput(
            metric="won_value", holder=plans_pb2.Holder(person_id=rep), date=protos.date_proto(date(2025, month, 7)),
            scope=plans_pb2.TargetScope(product_id=name), amount=cny(1_000 + 137.31 * number),
        )  # fmt: skip
        row.provenance.source, row.provenance.source_id = "crm", str(number)
        rows.append(row)
    assert not (
        await stub.ImportActuals(actuals_pb2.ImportActualsRequest(request_id=request_id(), actuals=rows))
    ).errors
    plan = await new_plan(company, period="2026", name="2026")
    top = await set_(company, plan, target(100_000.07, unit="co", period="2026"))
    holders = [plans_pb2.Holder(unit_id=unit) for unit in ("east", "north", "east-1", "east-2", "north-1")]
    holders += [plans_pb2.Holder(person_id=rep) for rep in ("rep1", "rep2", "rep3", "rep4")]
    weights = [pb.HolderWeight(holder=one, weight=Decimal(value=f"0.{at + 1}37")) for at, one in enumerate(holders)]
    shares = [
        pb.ProductWeight(product_id=one, weight=Decimal(value=value)) for one, value in (("new", "1"), ("hot", "2.5"))
    ]
    layers = [plans_pb2.Padding(name=name, ratio=0.0333, reason="ambition") for name in ("stretch", "reserve")]
    for method in pb.AllocationMethod.values():
        if not method:
            continue
        given = {"weights": weights} if method == CUSTOM else {}
        rules = pb.CascadeRules(
            tree=[pb.TreeRule(method=method, padding=layers, **given)],  # type: ignore[arg-type]
            product=pb.ProductRule(method=method, weights=shares if method == CUSTOM else []),  # type: ignore[arg-type]
            time=pb.TimeRule(profile=pb.TIME_PROFILE_HISTORY if method % 2 else pb.TIME_PROFILE_WORKING_DAYS),
        )
        done = await split(company, top, rules)
        assert (fen(done.allocated), await company.db.value(INEXACT)) == (10_000_007, 0), method
        first = await amounts(company, done)
        assert len(first) == (2 if method == CUSTOM else 3) * 10
        assert await amounts(company, await split(company, top, rules)) == first
    request = pb.ListCellsRequest(plan_id=plan.id, version=1, target_id=top.id, page_size=60)
    request.grain = periods_pb2.PERIOD_GRAIN_WEEK
    assert len((await cascades(company).ListCells(request)).cells) == 53


async def test_refusals_of_cascades(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    rep = await set_(company, plan, target(10, person="rep4"))
    taken = plans_pb2.Padding(name="relief", ratio=-0.6, reason="half a year of leave")
    nobody = plans_pb2.Holder(person_id="nobody")
    pin = pb.Pin(holder=plans_pb2.Holder(unit_id="east"), amount=cny(1))
    half = pb.HolderWeight(holder=pin.holder, weight=Decimal(value="0.5"))
    cases: list[tuple[plans_pb2.Target, pb.CascadeRules, str, str]] = [
        (rep, pb.CascadeRules(), "FAILED_PRECONDITION", "NO_CHILDREN"),
        (top, pb.CascadeRules(tree=[pb.TreeRule(method=CUSTOM)]), "FAILED_PRECONDITION", "WEIGHT_MISSING"),
        (
            top,
            pb.CascadeRules(pins=[pb.Pin(holder=plans_pb2.Holder(unit_id="east"), amount=cny(1001))]),
            "FAILED_PRECONDITION",
            "PINS_EXCEED_TARGET",
        ),
        (
            top,
            pb.CascadeRules(time=pb.TimeRule(profile=pb.TIME_PROFILE_SEASONAL)),
            "FAILED_PRECONDITION",
            "SEASONALITY_UNKNOWN",
        ),
        (
            top,
            pb.CascadeRules(tree=[pb.TreeRule(method=HISTORY, fallback=CUSTOM)]),
            "INVALID_ARGUMENT",
            "FALLBACK_INVALID",
        ),
        (top, pb.CascadeRules(product=pb.ProductRule(method=WEIGHTED)), "FAILED_PRECONDITION", "NO_CHILDREN"),
        (
            top,
            pb.CascadeRules(tree=[pb.TreeRule(method=EVEN, padding=2 * [taken])]),
            "INVALID_ARGUMENT",
            "PADDING_BELOW_NOTHING",
        ),
        (top, pb.CascadeRules(pins=[pb.Pin(holder=nobody, amount=cny(1))]), "INVALID_ARGUMENT", "HOLDER_UNKNOWN"),
        (top, pb.CascadeRules(pins=[pin], excluded=[pin.holder]), "INVALID_ARGUMENT", "HOLDER_UNKNOWN"),
        (top, pb.CascadeRules(excluded=[nobody]), "INVALID_ARGUMENT", "HOLDER_UNKNOWN"),
        (top, pb.CascadeRules(pins=[pin, pin]), "INVALID_ARGUMENT", "HOLDER_REPEATED"),
        (
            top,
            pb.CascadeRules(tree=[pb.TreeRule(method=CUSTOM, weights=2 * [half])]),
            "INVALID_ARGUMENT",
            "HOLDER_REPEATED",
        ),
        (
            top,
            pb.CascadeRules(product=pb.ProductRule(method=EVEN, product_ids=["nothing"])),
            "FAILED_PRECONDITION",
            "PRODUCT_NOT_FOUND",
        ),
    ]
    for which, rules, code, reason in cases:
        with company.refused(code, reason):
            await split(company, which, rules)
    with company.refused("ABORTED", "ETAG_MISMATCH"):
        await cascades(company).RunCascade(
            pb.RunCascadeRequest(request_id=request_id(), target_id=top.id, etag='"77"', rules=pb.CascadeRules())
        )
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await split(company, top, pb.CascadeRules(), stub=cascades(company, "m-east", "manager"))
    with company.refused("NOT_FOUND", "CASCADE_NOT_FOUND"):
        await cascades(company).GetCascade(pb.GetCascadeRequest(cascade_id=plan.id))
    with company.refused("NOT_FOUND", "TARGET_NOT_FOUND"):
        await cascades(company).PreviewCascade(
            pb.PreviewCascadeRequest(target_id=plan.id, rules=pb.CascadeRules(levels=1))
        )
    done = await split(company, top, pb.CascadeRules(levels=1))
    assert done.node_count == 2
    await put(company, plan, target(1000, unit="co"))
    await publish(company, plan)
    with company.refused("FAILED_PRECONDITION", "VERSION_NOT_DRAFT"):
        await split(company, top, pb.CascadeRules())


async def test_over_time_by_given_weights_and_in_every_grain_of_the_calendar(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))

    def months(*given: tuple[str, str]) -> pb.TimeRule:
        weights = [pb.PeriodWeight(period=period, weight=Decimal(value=value)) for period, value in given]
        return pb.TimeRule(profile=pb.TIME_PROFILE_CUSTOM, weights=weights)

    cases = [
        (months(("2026-M01", "1"), ("2026-M02", "1")), "FAILED_PRECONDITION", "WEIGHT_MISSING"),
        # As many days as the quarter has, and yet not its own.
        (months(("2026-M01", "1"), ("2026-M01", "1"), ("2026-M02", "1")), "FAILED_PRECONDITION", "WEIGHT_MISSING"),
        (
            months(("2026-M01", "1"), ("2026-M02", "-1"), ("2026-M03", "1")),
            "FAILED_PRECONDITION",
            "WEIGHT_NOT_POSITIVE",
        ),
        (months(("2026-M01", "1"), ("2026-W08", "1")), "INVALID_ARGUMENT", "WEIGHTS_OF_ONE_GRAIN"),
        (pb.TimeRule(grains=[periods_pb2.PERIOD_GRAIN_CUSTOM]), "INVALID_ARGUMENT", ""),
    ]
    for time_rule, code, reason in cases:
        with company.refused(code, reason):
            await split(company, top, pb.CascadeRules(time=time_rule))
    rule = months(("2026-M01", "1"), ("2026-M02", "2"), ("2026-M03", "5"))
    every = [grain for grain in periods_pb2.PeriodGrain.values() if 0 < grain < periods_pb2.PERIOD_GRAIN_CUSTOM]
    rule.grains.extend(every)
    await split(company, top, pb.CascadeRules(time=rule))
    for grain in every:
        request = pb.ListCellsRequest(plan_id=plan.id, version=1, target_id=top.id, grain=grain, page_size=1000)  # type: ignore[arg-type]
        found = [fen(one.amount) for one in (await cascades(company).ListCells(request)).cells]
        assert sum(found) == 100_000
        if grain == periods_pb2.PERIOD_GRAIN_MONTH:
            assert found == [12_500, 25_000, 62_500]
    # Who asks for months alone gets the weeks too: warnings look at them.
    await split(company, top, pb.CascadeRules(time=pb.TimeRule(grains=[periods_pb2.PERIOD_GRAIN_MONTH])))
    cut = {}
    for grain in every:
        request = pb.ListCellsRequest(plan_id=plan.id, version=1, person_id="rep1", grain=grain, page_size=1000)  # type: ignore[arg-type]
        if cells := (await cascades(company).ListCells(request)).cells:
            cut[grain] = sum(fen(one.amount) for one in cells)
    assert cut == dict.fromkeys((periods_pb2.PERIOD_GRAIN_WEEK, periods_pb2.PERIOD_GRAIN_MONTH), 25_000)


async def _months_of(live: Live, plan: plans_pb2.Plan, version: int) -> dict[str, list[int]]:
    request = pb.ListCellsRequest(plan_id=plan.id, version=version, page_size=1000)
    request.grain = periods_pb2.PERIOD_GRAIN_MONTH
    found: dict[str, list[int]] = {}
    for cell in (await cascades(live).ListCells(request)).cells:
        found.setdefault(cell.holder.unit_id or cell.holder.person_id, []).append(fen(cell.amount))
    return found


@pytest.mark.mission("S2", "S5")
async def test_a_number_changed_by_hand_goes_on_over_time_as_its_cascade_did(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(800, unit="co"))
    weights = [
        pb.PeriodWeight(period=f"2026-M0{month}", weight=Decimal(value=value)) for month, value in enumerate("125", 1)
    ]
    await split(company, top, pb.CascadeRules(time=pb.TimeRule(profile=pb.TIME_PROFILE_CUSTOM, weights=weights)))

    async def changed(version: int, **yuan: float) -> None:
        request = plans_pb2.ListTargetsRequest(plan_id=plan.id, version=version, page_size=100)
        for one in (await plans(company).ListTargets(request)).targets:
            if one.holder.person_id in yuan:
                row = target(yuan[one.holder.person_id], person=one.holder.person_id, target_id=one.id)
                request_ = plans_pb2.SetTargetRequest(
                    request_id=request_id(), plan_id=plan.id, version=version, target=row, etag=one.etag
                )
                await plans(company).SetTarget(request_)

    await changed(1, rep1=240, rep2=160)
    await publish(company, plan)
    found = await _months_of(company, plan, 1)
    assert (found["rep1"], found["rep2"], found["rep3"]) == (
        [3_000, 6_000, 15_000],
        [2_000, 4_000, 10_000],
        found["rep4"],
    )
    assert found["co"] == [10_000, 20_000, 50_000]
    # So it does in the version after it, whose targets are new ones.
    opened = await plans(company).CreatePlanVersion(
        plans_pb2.CreatePlanVersionRequest(
            request_id=request_id(), plan_id=plan.id, cause=plans_pb2.REVISION_CAUSE_MARKET, reason="a fair came"
        )
    )
    await changed(opened.number, rep1=200, rep2=200)
    await publish(company, plan, opened.number)
    found = await _months_of(company, plan, opened.number)
    assert found["rep1"] == found["rep2"] == [2_500, 5_000, 12_500]
    assert found["east-1"] == [5_000, 10_000, 25_000]
    assert found["co"] == [10_000, 20_000, 50_000]


async def test_a_manager_splits_one_level_of_their_own(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, target(1000, unit="co"))
    await split(company, top, pb.CascadeRules(levels=1))
    listed = await plans(company, "m-east", "manager").ListTargets(
        plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1)
    )
    [east] = listed.targets
    done = await split(company, east, pb.CascadeRules(), stub=cascades(company, "m-east", "manager"))
    assert (done.author_id, done.node_count) == ("m-east", 5)
    assert (await publish(company, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE


@pytest.mark.mission("S2")
async def test_176_reps_and_their_weeks_take_less_than_a_second(live: Live) -> None:
    units = [("co", "", "company", "Company", "boss")]
    people: list[tuple[str, str, str, list[str]]] = [("boss", "co", "Boss", ["executive"])]
    for region in range(4):
        units.append((f"r{region}", "co", "region", f"Region {region}", ""))
        for area in range(11):
            name = f"r{region}a{area}"
            units.append((name, f"r{region}", "area", name, ""))
            people += [(f"{name}p{n}", name, f"{name}p{n}", ["rep"]) for n in range(4)]
    await bring_in(live, units, people)
    plan = await new_plan(live)
    top = await set_(live, plan, target(120_000_000.07, unit="co"))
    began = time.process_time()
    done = await split(live, top, pb.CascadeRules())
    assert time.process_time() - began < 1
    assert (done.node_count, fen(done.allocated)) == (4 + 44 + 176, 12_000_000_007)
    assert done.cell_count == (1 + 4 + 44 + 176) * (3 + 7 + 14)
    wrong = await live.db.value(
        "SELECT count(*) FROM target t WHERE minor <> ALL"
        " (SELECT sum(minor) FROM cell WHERE target_id = t.id GROUP BY grain)"
    )
    assert wrong == 0


async def _months(live: Live, plan: plans_pb2.Plan) -> dict[tuple[str, str], list[int]]:
    """Whole yuan by month of each holder's target of a product."""
    request = pb.ListCellsRequest(plan_id=plan.id, version=1, page_size=1000, grain=periods_pb2.PERIOD_GRAIN_MONTH)
    found: dict[tuple[str, str], list[int]] = {}
    for cell in (await cascades(live).ListCells(request)).cells:
        key = (cell.holder.unit_id or cell.holder.person_id, cell.scope.product_id)
        found.setdefault(key, []).append(fen(cell.amount) // 100)
    return found


@pytest.mark.mission("S2", "S16")
async def test_each_product_goes_over_time_as_itself_and_a_cascade_says_what_it_went_by(company: Live) -> None:
    await import_(company, product("ice", "Ice"), product("soup", "Soup"), product("new", "New"))
    plan = await new_plan(company)
    top = await set_(company, plan, target(900, unit="co"))
    rules = pb.CascadeRules(product=pb.ProductRule(method=EVEN), time=pb.TimeRule(profile=pb.TIME_PROFILE_HISTORY))
    nothing = await split(company, top, rules)
    assert (nothing.time_profile, nothing.time_note) == (
        pb.TIME_PROFILE_WORKING_DAYS, "nothing was done in 2025-Q1 to go by: by working days",
    )  # fmt: skip
    stub = company.stub(actuals_pb2_grpc.ActualServiceStub, "ops", "operations")
    rows = []
    for sold, day, yuan in (
        ("ice", date(2025, 3, 3), 300),
        ("soup", date(2025, 1, 6), 100),
        ("soup", date(2025, 2, 5), 100),
    ):
        row = actuals_pb2.ActualInput(metric="won_value", date=protos.date_proto(day), amount=cny(yuan))
        row.holder.person_id, row.scope.product_id = "rep1", sold
        row.provenance.source, row.provenance.source_id = "crm", f"{sold}-{day}"
        rows.append(row)
    summary = await stub.ImportActuals(actuals_pb2.ImportActualsRequest(request_id=request_id(), actuals=rows))
    assert not summary.errors
    done = await split(company, top, rules)
    kept = await cascades(company).GetCascade(pb.GetCascadeRequest(cascade_id=done.id))
    for one in (done, kept):
        assert one.time_profile == pb.TIME_PROFILE_HISTORY
        assert one.time_note == "as everything together go new, of which nothing was done in 2025-Q1"
    months = await _months(company, plan)
    assert months["co", "ice"] == [0, 0, 300]
    assert months["rep4", "soup"] == [37, 37, 0]
    # As everything: a fifth, a fifth, three fifths.
    assert months["co", "new"] == [60, 60, 180]
    assert months["co", ""] == [210, 210, 480]
    # What is changed by hand goes on as its product does.
    listed = await plans(company).ListTargets(
        plans_pb2.ListTargetsRequest(plan_id=plan.id, version=1, person_id="rep4")
    )
    [ice] = [one for one in listed.targets if one.scope.product_id == "ice"]
    changed = target(70, person="rep4", scope=ice.scope)
    changed.target_id, changed.parent_id = ice.id, ice.parent_id
    await set_(company, plan, changed, etag=ice.etag)
    await plans(company).UpdatePlan(
        plans_pb2.UpdatePlanRequest(
            request_id=request_id(), plan_id=plan.id, must_sum=False, must_sum_reason="tried", etag=plan.etag,
            update_mask=FieldMask(paths=["must_sum"]),
        )
    )  # fmt: skip
    await publish(company, plan)
    assert (await _months(company, plan))["rep4", "ice"] == [0, 0, 70]


@pytest.mark.mission("S2", "S6")
async def test_seasons_are_each_products_own_where_its_forecast_tells_them(company: Live) -> None:
    await import_(company, product("ice", "Ice"), product("soup", "Soup"))
    plan = await new_plan(company)
    top = await set_(company, plan, target(900, unit="co"))
    for sold, seasons in (("", [1, 1, 1]), ("ice", [0, 0, 3]), ("soup", None)):
        await company.db.all(
            """INSERT INTO forecast SELECT (jsonb_populate_record(NULL::forecast, %(row)s)).* RETURNING 1""",
            {"row": Jsonb(_forecast(sold, seasons))},
        )
    seasonal = pb.CascadeRules(product=pb.ProductRule(method=EVEN), time=pb.TimeRule(profile=pb.TIME_PROFILE_SEASONAL))
    done = await split(company, top, seasonal)
    assert done.time_note == "as everything together go soup, whose forecasts tell no seasons of their own"
    months = await _months(company, plan)
    assert (months["co", "ice"], months["co", "soup"]) == ([0, 0, 450], [150, 150, 150])


def _forecast(product_id: str, seasons: list[int] | None) -> dict[str, Any]:
    return {
        "holder_kind": "unit", "holder_id": "co", "owner_id": "boss", "unit_id": "co", "metric": "won_value",
        "product_id": product_id, "stated_at": "2026-01-01T00:00:00Z", "run_id": "019b0000-0000-7000-8000-000000000001",
        "currency": "CNY", "method": "theta", "naive": False, "explanation": "", "history_months": 9,
        "interval_ratio": 0.8, "points": [{"start": "2026-01-01"}], "folds": 0, "fold_months": 0, "verdict": "",
        "seasons": seasons,
    }  # fmt: skip
