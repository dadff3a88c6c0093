"""Scorecards and records: two tracks side by side, and what was fixed of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.targets.v1 import appraisals_pb2 as pb
from closedloop.targets.v1 import appraisals_pb2_grpc
from closedloop_chassis import protos
from closedloop_devstack.testing.service import Live
from closedloop_targets.appraisals import rules
from closedloop_targets.appraisals.rules import AppraisalRules, Figure, TrackRule
from closedloop_targets.metrics.rules import MetricRules

from .staff import request_id
from .test_actuals import fact, import_facts
from .test_alarms import weekly
from .test_boards import in_force
from .test_cascade import fen

SHANGHAI = ZoneInfo("Asia/Shanghai")
CATALOGUE = MetricRules()


def figure(code: str, target: int | None, actual: int | None) -> Figure:
    return Figure(CATALOGUE.metric(code), target, actual, None, "")


def appraisals(live: Live, person: str = "ops", *roles: str) -> appraisals_pb2_grpc.AppraisalServiceStub:
    return live.stub(appraisals_pb2_grpc.AppraisalServiceStub, person, *(roles or ("operations",)))


async def cards(live: Live, who: tuple[str, ...] = ("ops", "operations"), **more: Any) -> dict[str, pb.Scorecard]:
    request = pb.ListScorecardsRequest(**{"period": "2026-Q1", "page_size": 100, **more})
    found = (await appraisals(live, *who).ListScorecards(request)).scorecards
    return {one.holder.person_id or one.holder.unit_id: one for one in found}


async def measured(live: Live, person: str, version: int = 1, **values: float) -> None:
    """A week of the process track, as the funnel measures it."""
    told = funnel.ProcessMetricsMeasured(
        person_id=person,
        unit_id="east-1",
        week=protos.date_proto(date(2026, 1, 5)),
        version=version,
        metrics=[funnel.MeasuredMetric(key=key, value=value, sample_size=10) for key, value in values.items()],
    )
    await live.hear(told, person, source="funnel")


async def issue(live: Live, **more: Any) -> pb.IssueAppraisalsResponse:
    given = {"request_id": request_id(), "unit_id": "co", "period": "2026-Q1"}
    return await appraisals(live).IssueAppraisals(pb.IssueAppraisalsRequest(**{**given, **more}))


@pytest.mark.mission("S17")
@pytest.mark.parametrize(
    ("figures", "score"),
    [
        # 80 % of 1,000 is 80 points; the process half of healthy is cut off at its floor.
        ([figure("won_value", 1000, 800), figure("visit_completion", None, 475_000)], 0.7 * 80 + 0.3 * 50),
        ([figure("won_value", 1000, 800), figure("visit_completion", None, 95_000)], 0.7 * 80 + 0.3 * 40),
        ([figure("won_value", 1000, 2000), figure("visit_completion", None, 2_000_000)], 0.7 * 150 + 0.3 * 120),
        # Less is better: twice the healthy days are half the score.
        ([figure("won_value", 1000, 1000), figure("stage_pace", None, 11_000_000)], 0.7 * 100 + 0.3 * 50),
        # Who lets customers lie is appraised for it (S82).
        ([figure("won_value", 1000, 1000), figure("customer_care", None, 500_000)], 0.7 * 100 + 0.3 * 50),
        # Nobody measured the process: finance counts alone.
        ([figure("won_value", 1000, 900), figure("visit_completion", None, None)], 90),
        # Two metrics of the finance track by 0.7 and 0.3.
        ([figure("won_value", 1000, 1000), figure("invoiced_value", 1000, 500)], 0.7 * 100 + 0.3 * 50),
        ([figure("won_value", 1000, None)], 0),
        ([], 0),
    ],
)
def test_scores(figures: list[Figure], score: float) -> None:
    assert rules.score(figures, AppraisalRules()).score == pytest.approx(score)


def test_what_nobody_measured_may_score_the_floor_and_weights_share_one_whole() -> None:
    strict = AppraisalRules(missing_scores_floor=True)
    figures = [figure("won_value", 1000, 1000), figure("visit_completion", None, None)]
    assert rules.score(figures, strict).score == pytest.approx(0.7 * 100 + 0.3 * 40)
    with pytest.raises(ValueError, match="one whole"):
        AppraisalRules(finance=TrackRule(weight=0.9))


@pytest.mark.mission("S17")
async def test_two_tracks_stand_side_by_side(company: Live) -> None:
    plan = await in_force(company)
    await import_facts(company, fact("1", 80_000, "rep1", date(2026, 1, 5)))
    await measured(company, "rep1", visit_completion=0.95, stage_pace=11.0, visit_quality=70)
    found = await cards(company)
    mine = found["rep1"]
    finance, process = mine.tracks
    by_metric = {line.metric: line for track in mine.tracks for line in track.lines}
    assert (finance.score, finance.weight_ratio) == (80, 0.7)
    assert len(process.lines) == 12
    # Who owns customers answers for them (S82).
    assert "customer_care" in by_metric
    assert by_metric["won_value"].completion_ratio == 0.8
    assert list(by_metric["won_value"].plan_versions) == [1]
    assert (by_metric["visit_completion"].score, by_metric["stage_pace"].score) == (100, 50)
    assert by_metric["visit_completion"].weight_ratio == 0.5
    assert by_metric["visit_quality"].note == "no target in force and no healthy value"
    assert by_metric["feedback_collected"].note == "was not measured"
    assert process.score == 75
    assert mine.score == pytest.approx(0.7 * 80 + 0.3 * 75)
    assert set(await cards(company, ("rep1", "rep"))) == {"rep1"}
    # Any span is asked for what its days are: a week and a half of thirteen, by the weeks every target has.
    span = (await cards(company, period="2026-01-05/2026-01-14", person_id="rep1"))["rep1"]
    [won] = [line for line in span.tracks[0].lines if line.metric == "won_value"]
    weeks = await weekly(company, plan)
    whole, part = weeks["rep1", "2026-W02"], weeks["rep1", "2026-W03"] * 3 / 7
    assert fen(won.target) == pytest.approx(whole + part, abs=1)
    team = (await cards(company, units=True, unit_id="east-1"))["east-1"]
    assert team.tracks[0].lines[0].completion_ratio == 0.4
    first = await appraisals(company).ListScorecards(pb.ListScorecardsRequest(period="2026-Q1", page_size=3))
    assert (len(first.scorecards), bool(first.next_page_token)) == (3, True)


@pytest.mark.mission("S3")
async def test_a_period_is_fixed_once_and_revised_when_its_figures_change(company: Live) -> None:
    await in_force(company)
    await import_facts(company, fact("1", 80_000, "rep1", date(2026, 1, 5)))
    with company.refused("FAILED_PRECONDITION", "PERIOD_NOT_OVER"):
        await issue(company)
    await company.move_to(datetime(2026, 4, 2, 9, tzinfo=SHANGHAI))
    with company.refused("FAILED_PRECONDITION", "NO_PLAN_IN_FORCE"):
        await issue(company, period="2025-Q1")
    with company.refused("NOT_FOUND", "UNIT_NOT_FOUND"):
        await issue(company, unit_id="west")
    first = await issue(company)
    assert (first.issued, first.revised, first.unchanged) == (4, 0, 0)
    assert "boss" in first.without_target_ids
    again = await issue(company)
    assert (again.issued, again.revised, again.unchanged) == (0, 0, 4)
    await import_facts(company, fact("late", 10_000, "rep1", date(2026, 3, 30)))
    revised = await issue(company, reason="an order came late")
    assert (revised.issued, revised.revised, revised.unchanged) == (0, 1, 3)
    listed = await appraisals(company, "rep1", "rep").ListAppraisals(pb.ListAppraisalsRequest())
    [mine] = listed.appraisals
    assert (mine.revision, mine.reason, list(mine.unit_ids)) == (2, "an order came late", ["east-1"])
    assert mine.scorecard.score == pytest.approx(90)
    old = await appraisals(company).GetAppraisal(pb.GetAppraisalRequest(appraisal_id=mine.id, revision=1))
    assert old.scorecard.score == pytest.approx(80)
    assert (len(old.digest), old.digest != mine.digest) == (64, True)
    with company.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await appraisals(company, "rep4", "rep").GetAppraisal(pb.GetAppraisalRequest(appraisal_id=mine.id))
    with company.refused("NOT_FOUND", "APPRAISAL_NOT_FOUND"):
        await appraisals(company).GetAppraisal(pb.GetAppraisalRequest(appraisal_id=mine.id, revision=9))
    everybody = await appraisals(company).ListAppraisals(pb.ListAppraisalsRequest(unit_id="east", period="2026-Q1"))
    assert [one.person_id for one in everybody.appraisals] == ["rep1", "rep2", "rep3"]
