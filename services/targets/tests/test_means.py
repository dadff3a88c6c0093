"""Metrics that do not add up, the ratios, scores and hours among the 12 process metrics: handed down, checked, read."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from google.type.decimal_pb2 import Decimal

from closedloop.common.v1.common_pb2 import LIGHT_NONE, LIGHT_RED
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop.targets.v1 import (
    actuals_pb2,
    alarms_pb2,
    boards_pb2,
    cascade_pb2,
    cascade_pb2_grpc,
    commitments_pb2,
    forecasts_pb2,
    forecasts_pb2_grpc,
    metrics_pb2,
    periods_pb2,
    plans_pb2,
    reviews_pb2,
    reviews_pb2_grpc,
)
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_targets.aggregation import Manner
from closedloop_targets.metrics.rules import PROCESS

from .staff import request_id
from .test_actuals import import_facts
from .test_alarms import listed as warned
from .test_alarms import monday
from .test_appraisals import cards
from .test_boards import boards, people
from .test_cascade import cascades, split
from .test_commitments import listed as commitments
from .test_plans import new_plan, plans, publish, set_, target
from .test_printed import typed
from .test_reviews import prepared
from .test_transfer import transfer

HOURS = Manner("mean", lower_is_better=True)
RATIO = Manner("mean")


def number(value: str) -> metrics_pb2.Amount:
    return metrics_pb2.Amount(number=Decimal(value=value))


def asked(metric: str, value: str, **holder: str) -> plans_pb2.TargetInput:
    return target(metric=metric, amount=number(value), **holder)


async def measured(live: Live, metric: str, person: str, value: str, day: date, sample: str = "1") -> None:
    row = actuals_pb2.ActualInput(metric=metric, amount=number(value), date=protos.date_proto(day))
    row.holder.person_id, row.weight.value = person, sample
    row.provenance.source, row.provenance.source_id = "test", f"{metric}-{person}-{day}"
    summary = await import_facts(live, row)
    assert not summary.errors, summary.errors


async def held(live: Live, plan: plans_pb2.Plan, metric: str, version: int = 1) -> dict[str, plans_pb2.Target]:
    request = plans_pb2.ListTargetsRequest(plan_id=plan.id, version=version, metric=metric, page_size=1000)
    listed = await plans(live).ListTargets(request)
    return {one.holder.unit_id or one.holder.person_id: one for one in listed.targets}


async def _cells(live: Live, plan: plans_pb2.Plan, metric: str, grain: Any) -> set[str]:
    stub = live.stub(cascade_pb2_grpc.CascadeServiceStub, "ops", "operations")
    request = cascade_pb2.ListCellsRequest(plan_id=plan.id, version=1, metric=metric, grain=grain, page_size=1000)
    return {one.amount.number.value for one in (await stub.ListCells(request)).cells}


@pytest.mark.parametrize(
    ("manner", "values", "whole"),
    [
        (Manner("sum"), [(2, None), (3, None)], 5),
        (RATIO, [(900_000, 2), (600_000, 1)], 800_000),
        (RATIO, [(900_000, None), (600_000, 1)], 600_000),
        (HOURS, [(2, 3), (5, 1)], 3),
        (HOURS, [(2, None), (5, None)], 5),
        (RATIO, [(7, 0), (5, 0)], 5),
    ],
)
def test_what_children_have_together(manner: Manner, values: list[Any], whole: int) -> None:
    assert manner.together(values) == whole


@pytest.mark.parametrize(
    ("manner", "whole", "passed", "missing"),
    [
        (Manner("sum"), 10, 12, -2),
        (RATIO, 900_000, 850_000, 50_000),
        (RATIO, 900_000, 950_000, 0),
        (HOURS, 2, 3, -1),
        (HOURS, 2, 1, 0),
    ],
)
def test_children_may_be_stricter_and_not_looser(manner: Manner, whole: int, passed: int, missing: int) -> None:
    assert manner.missing(whole, passed) == missing


@pytest.mark.mission("S2", "S17")
async def test_each_of_the_twelve_process_metrics_goes_down_to_everybodys_weeks(company: Live) -> None:
    plan = await new_plan(company)
    assert len(PROCESS) == 12
    for metric in PROCESS:
        value = {"ratio": "0.9", "score": "80", "duration": "4", "count": "8"}[metric.kind]
        top = await set_(company, plan, asked(metric.code, value, unit="co"))
        cascade = await split(company, top, cascade_pb2.CascadeRules())
        assert cascade.node_count == 9
        below = await held(company, plan, metric.code)
        one = {"rep1", "rep2", "rep3", "rep4"}
        if metric.adds_up:
            assert {below[rep].amount.number.value for rep in one} == {"2"}
            continue
        assert {target_.amount.number.value for target_ in below.values()} == {value}, metric.code
        assert (below["co"].passed_on.number.value, below["co"].difference.number.value) == (value, "0")
        assert cascade.allocated.number.value == value
    await publish(company, plan)
    for grain in (periods_pb2.PERIOD_GRAIN_MONTH, periods_pb2.PERIOD_GRAIN_FORTNIGHT, periods_pb2.PERIOD_GRAIN_WEEK):
        assert await _cells(company, plan, "first_response", grain) == {"4"}


@pytest.mark.mission("S4", "U6")
async def test_a_value_of_ones_own_is_no_looser_on_the_whole_or_somebody_signs(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, asked("first_response", "4", unit="co"))

    def pinned(**hours: str) -> cascade_pb2.CascadeRules:
        pins = []
        for holder, value in hours.items():
            unit = holder.replace("_", "-")
            named = plans_pb2.Holder(person_id=holder) if holder.startswith("rep") else plans_pb2.Holder(unit_id=unit)
            pins.append(cascade_pb2.Pin(holder=named, amount=number(value)))
        return cascade_pb2.CascadeRules(pins=pins)

    await split(company, top, pinned(north="8", rep1="2"))
    below = await held(company, plan, "first_response")
    got = {name: one.amount.number.value for name, one in below.items()}
    assert got == {
        "co": "4", "east": "4", "east-1": "4", "rep1": "2", "rep2": "4", "east-2": "4", "rep3": "4", "north": "8",
        "north-1": "8", "rep4": "8",
    }  # fmt: skip
    # Three heads in the east and one in the north: (3 x 4 + 8) / 4.
    assert below["co"].passed_on.number.value == "5"
    assert below["east-1"].passed_on.number.value == "3"
    with company.refused("FAILED_PRECONDITION", "PLAN_DOES_NOT_SUM") as refused:
        await publish(company, plan)
    assert "asked for 1 more, which is looser" in (refused.value.details() or "")
    exception = await plans(company).RequestSumException(
        plans_pb2.RequestSumExceptionRequest(request_id=request_id(), target_id=below["co"].id, reason="new market")
    )
    assert exception.difference.number.value == "-1"
    # Stricter in the east makes good for the north: (3 x 2 + 8) / 4 = 3.5.
    await split(company, top, pinned(north="8", east="2"))
    exceptions = await plans(company).ListSumExceptions(plans_pb2.ListSumExceptionsRequest(plan_id=plan.id))
    assert [one.state for one in exceptions.exceptions] == [plans_pb2.SUM_EXCEPTION_STATE_LAPSED]
    with company.refused("FAILED_PRECONDITION", "TARGET_SUMS"):
        await plans(company).RequestSumException(
            plans_pb2.RequestSumExceptionRequest(request_id=request_id(), target_id=below["co"].id, reason="none")
        )
    # Who is asked for something else by hand counts as the cascade said.
    rep2 = (await held(company, plan, "first_response"))["rep2"]
    row = asked("first_response", "1", person="rep2")
    row.target_id = rep2.id
    await set_(company, plan, row, etag=rep2.etag)
    assert (await held(company, plan, "first_response"))["east-1"].passed_on.number.value == "1.5"
    assert (await publish(company, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE


@pytest.mark.mission("U6")
async def test_by_history_it_is_what_a_mean_rested_on_that_weighs(company: Live) -> None:
    for person, visits, share in (("rep1", "30", "0.5"), ("rep3", "10", "1")):
        await measured(company, "visit_completion", person, share, date(2025, 2, 3), visits)
    plan = await new_plan(company, unit="east", owner_id="m-east")
    top = await set_(company, plan, asked("visit_completion", "0.9", unit="east"))
    rule = cascade_pb2.TreeRule(method=cascade_pb2.ALLOCATION_METHOD_HISTORY)
    pin = cascade_pb2.Pin(holder=plans_pb2.Holder(unit_id="east-2"), amount=number("0.98"))
    cascade = await split(company, top, cascade_pb2.CascadeRules(tree=[rule], pins=[pin]))
    found = await cascades(company).GetCascade(cascade_pb2.GetCascadeRequest(cascade_id=cascade.id, page_size=100))
    teams = {one.holder.unit_id: (one.weight.value, one.amount.number.value) for one in found.allocations}
    # Thirty visits against ten, and not who was better at them.
    assert (teams["east-1"], teams["east-2"]) == (("30", "0.9"), ("10", "0.98"))
    assert (await held(company, plan, "visit_completion"))["east"].passed_on.number.value == "0.92"


@pytest.mark.mission("S4")
async def test_without_weights_the_loosest_child_counts(company: Live) -> None:
    plan = await new_plan(company)
    await set_(company, plan, asked("visit_completion", "0.9", unit="co"))
    for unit, value in (("east", "0.95"), ("north", "0.85")):
        await set_(company, plan, asked("visit_completion", value, unit=unit))
    with company.refused("FAILED_PRECONDITION", "PLAN_DOES_NOT_SUM"):
        await publish(company, plan)
    known = (await held(company, plan, "visit_completion"))["north"]
    row = asked("visit_completion", "0.92", unit="north")
    row.target_id = known.id
    await set_(company, plan, row, etag=known.etag)
    assert (await publish(company, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE


async def rulebook(live: Live, name: str, **body: Any) -> None:
    rulebooks = live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations")
    publish_ = platform_pb2.PublishRulebookRequest(request_id=request_id(), name=name, reason="as asked")
    publish_.body.update(body)
    await rulebooks.PublishRulebook(publish_)
    await live.process.look()


@pytest.mark.mission("S7", "S8", "S10", "S11", "S13", "S14", "S17", "S19")
async def test_boards_warnings_and_reports_hold_a_mean_against_a_mean(company: Live) -> None:
    """Hours to the first answer, four of them asked of everybody: whoever takes longer is behind."""
    await rulebook(company, "targets.alarms", metrics=["first_response"])
    await rulebook(company, "targets.boards", metrics=["first_response"])
    plan = await new_plan(company)
    top = await set_(company, plan, asked("first_response", "4", unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    await publish(company, plan)
    took = {"rep1": ("8", "3"), "rep2": ("4", "1"), "rep3": ("2", "1")}
    for week in (2, 3, 4):
        await company.move_to(monday(week + 1, 6))
        for person, (hours, leads) in took.items():
            await measured(
                company, "first_response", person, hours, date(2025, 12, 31) + timedelta(weeks=week - 1), leads
            )
        await company.move_to(monday(week + 1, 8))

    board = await people(company, metric="first_response")
    lines = {who: (one.progress.done.number.value, one.progress.completion_ratio) for who, one in board.items()}
    assert lines == {"rep1": ("8", 0.5), "rep2": ("4", 1), "rep3": ("2", 2), "rep4": ("", 0)}
    rep1, rep4 = board["rep1"].progress, board["rep4"].progress
    assert (rep1.expected.number.value, rep1.deviation_ratio, rep1.weeks_under, rep1.light) == ("4", 1, 3, LIGHT_RED)
    # Whom nobody measured is neither good nor bad.
    assert (rep4.HasField("done"), rep4.HasField("completion_ratio"), rep4.light) == (False, False, LIGHT_NONE)
    taken = await people(company, metric="first_response", view=boards_pb2.BOARD_VIEW_UNSPECIFIED)
    assert taken["rep1"].progress.completion_ratio == 0.5
    # A team's is the mean of its leads, not of its people's means: (3 x 8 + 1 x 4) / 4 = 7.
    ranks = (await boards(company).ListTeamRanking(
        boards_pb2.ListTeamRankingRequest(metric="first_response", view=boards_pb2.BOARD_VIEW_LIVE)
    )).ranks  # fmt: skip
    assert [(one.unit_id, one.progress.done.number.value) for one in ranks][:2] == [("east-2", "2"), ("east-1", "7")]

    open_ = [one for one in await warned(company) if one.metric == "first_response"]
    kinds = {(one.holder.person_id or one.holder.unit_id, alarms_pb2.AlarmKind.Name(one.kind)[11:]) for one in open_}
    # East-1 and all above it are slow with it; nobody is warned of rep3, who is twice as quick.
    assert kinds >= {("rep1", "WEEKS_UNDER"), ("east-1", "WEEKS_UNDER")}
    assert not any(who in ("rep2", "rep3", "rep4", "east-2") for who, _ in kinds)
    await company.move_to(monday(6, 8))
    low = {one.holder.person_id for one in await warned(company) if one.kind == alarms_pb2.ALARM_KIND_LOW_ATTAINMENT}
    assert low >= {"rep1"}

    pack = await prepared(company, "east-1", "2026-F02")
    own = {one.deviation.holder.person_id: one for one in pack.deviations}
    assert (own["rep1"].deviation.actual.number.value, own["rep1"].deviation.forecast.number.value) == ("8", "4")
    assert own["rep1"].causes
    assert not own["rep2"].causes

    reports = company.stub(reviews_pb2_grpc.ReviewServiceStub, "boss", "executive")
    health = await reports.GetHealthReport(reviews_pb2.GetHealthReportRequest(period="2026-M01", unit_id="east"))
    total = health.total
    assert (total.decomposed_ratio, total.leaking_nodes, total.targets_held) == (1, 0, 6)
    # Ten leads within the month's days: three weeks of 3 x 8, 4 and 2 hours are six on the mean, for four.
    assert total.attainment_ratio == pytest.approx(4 / 6)
    assert total.targets_missed == 3

    printed = [line.split() for line in (await typed(company, "board", "--metric", "first_response")).splitlines()]
    assert [line[1:5] + line[-1:] for line in printed if "rep1" in line] == [["rep1", "east-1", "8", "4", "50.0%"]]
    leak = await plans(company).GetLeakReport(plans_pb2.GetLeakReportRequest(plan_id=plan.id, metric="first_response"))
    assert (
        {one.received.number.value for one in leak.levels}
        == {one.passed_on.number.value for one in leak.levels}
        == {"4"}
    )
    assert {one.difference.number.value for one in (*leak.levels, *leak.nodes)} == {"0"}
    assert (leak.heads.head_count, leak.heads.highest_ratio) == (4, 0)

    aligned = await boards(company, "boss", "executive").ListAlignment(
        boards_pb2.ListAlignmentRequest(driven_metric="first_response", view=boards_pb2.BOARD_VIEW_LIVE)
    )
    assert aligned.lines[0].attainment_ratio == pytest.approx(4 / 6)

    promised = {
        one.ownership.owner_id: one for one in await commitments(company, metric="first_response", period="2026-F02")
    }
    states = {who: commitments_pb2.CommitmentState.Name(one.state)[17:] for who, one in promised.items()}
    # What nobody measured nobody has shown to be kept.
    assert states == {"rep1": "MISSED", "rep2": "KEPT", "rep3": "KEPT", "rep4": "MISSED"}
    assert {one.proposed.number.value for one in promised.values()} == {"4"}
    assert (promised["rep1"].completion_ratio, promised["rep4"].HasField("actual")) == (0.5, False)

    card = (await cards(company, person_id="rep1", period="2026-01-01/2026-02-10"))["rep1"]
    line = next(one for track in card.tracks for one in track.lines if one.metric == "first_response")
    assert (line.target.number.value, line.actual.number.value, line.completion_ratio) == ("4", "8", 0.5)

    flow = await boards(company).GetTargetFlow(boards_pb2.GetTargetFlowRequest(target_id=board["rep1"].target_id))
    assert (flow.progress.completion_ratio, flow.commitment.proposed.number.value) == (0.5, "4")
    weeks = [one.done.number.value for one in flow.weeks]
    assert weeks[:6] == ["", "8", "8", "8", "", ""]

    with company.refused("INVALID_ARGUMENT", "METRIC_NOT_SUMMED"):
        await company.stub(forecasts_pb2_grpc.ForecastServiceStub, "ops", "operations").RestateForecasts(
            forecasts_pb2.RestateForecastsRequest(
                request_id=request_id(), unit_id="co", metrics=["first_response"], reason="?"
            )
        )


@pytest.mark.mission("S5")
async def test_who_takes_over_a_mean_is_asked_for_the_same(company: Live) -> None:
    plan = await new_plan(company)
    top = await set_(company, plan, asked("visit_completion", "0.9", unit="co"))
    await split(company, top, cascade_pb2.CascadeRules())
    answer = await transfer(
        company, plan, plans_pb2.Holder(person_id="rep1"), plans_pb2.Holder(person_id="rep2"), date(2026, 2, 2)
    )
    assert {one.amount.number.value for one in answer.targets} == {"0.9"}
    assert len(answer.targets) == 2
    assert (await publish(company, plan)).state == plans_pb2.PLAN_VERSION_STATE_IN_FORCE
    totals = await plans(company).GetPlanVersion(plans_pb2.GetPlanVersionRequest(plan_id=plan.id, version=1))
    assert [one.amount.number.value for one in totals.totals] == ["0.9"]


async def test_what_was_taken_back_counts_in_no_mean(company: Live) -> None:
    await measured(company, "visit_quality", "rep1", "40", date(2026, 1, 2))
    await measured(company, "visit_quality", "rep1", "80", date(2026, 1, 2))
    board = await people(company, metric="visit_quality", person_id="rep1")
    assert board["rep1"].progress.done.number.value == "80"
    plan = await new_plan(company)
    check = await plans(company).CheckTargets(
        plans_pb2.CheckTargetsRequest(plan_id=plan.id, targets=[asked("visit_quality", "90", person="rep1")])
    )
    # Of the same period: nothing but what stands.
    assert check.checks[0].passed
