"""An action done nearly always whose result stands still goes to review (S54)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import experiments_pb2, reviews_pb2, reviews_pb2_grpc
from closedloop.funnel.v1 import performance_pb2 as pb
from closedloop.funnel.v1 import performance_pb2_grpc as rpc
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.ids import new_id
from closedloop_funnel import estimates
from closedloop_funnel.effects.rules import EffectRules, stands_still

from .conftest import Company, remember, rid
from .raw_history import moment
from .test_performance import visit


@pytest.mark.mission("S54")
@pytest.mark.parametrize(
    ("due", "done", "before", "risen", "expected"),
    [
        (100, 91, 100, False, True),
        (100, 90, 100, False, False),
        (100, 100, 100, True, False),
        (29, 29, 100, False, False),
        (100, 100, 29, False, False),
    ],
)
def test_more_than_ninety_percent_done_and_nothing_moves(
    due: int, done: int, before: int, risen: bool, expected: bool
) -> None:
    assert stands_still(EffectRules(), due, done, before, risen) is expected


def test_a_difference_says_how_sure_it_is() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80, and 9/10 against 3/10.
    for given, low, high in (((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090)):
        found = estimates.difference(*given)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
        assert found.verdict == experiments_pb2.ESTIMATE_VERDICT_HIGHER
    assert estimates.difference(5, 10, 5, 10).verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    assert estimates.difference(1, 10, 9, 10).verdict == experiments_pb2.ESTIMATE_VERDICT_LOWER
    assert estimates.difference(1, 2, 1, 1, 3).verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY


def stay(left: date, went_on: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A deal that was in the need stage and left it that day."""
    at, deal_id = moment(left, 9), new_id()
    deal = {
        "id": deal_id, "version": 1, "name": "d", "owner_id": "rep1", "unit_id": "team1", "source": "crm",
        "pipeline_id": "b2b", "pipeline_version": 0, "stage_key": "proposal" if went_on else "lost",
        "state": "open" if went_on else "lost", "probability": 0.5, "category": "pipeline", "move_count": 2,
        "stage_entered_at": at, "created_at": at, "updated_at": at, "need": "", "source_id": "", "brought_by": "",
        "imported": False, "import_digest": "", "closed_from": "", "lines": [], "product_ids": [], "currency": "",
        "reporting_currency": "", "category_set": False, "push_count": 0, "pushed_days": 0, "reason_code": "",
        "reason_comment": "", "competitors": [], "participants": {}, "participant_ids": [], "dwell_light": "none",
        "repurchase": False, "customer_type": "", "margin_version": 0, "custom_fields": {},
    }  # fmt: skip
    moves = [
        {
            "opportunity_id": deal_id, "sequence": number, "from_stage_key": "", "to_stage_key": stage, "at": when,
            "author_id": "rep1", "direction": direction, "skipped_stage_keys": [], "skipped_requirement_keys": [],
            "reason": "", "evidence_ids": [], "pipeline_id": "b2b", "pipeline_version": 0, "imported": False,
        }
        for number, stage, when, direction in (
            (1, "need", at - timedelta(days=1), "opened"),
            (2, deal["stage_key"], at, "forward" if went_on else "lost"),
        )
    ]  # fmt: skip
    return deal, moves


@pytest.mark.mission("S54", "S53")
async def test_an_action_without_result_is_reviewed_and_judged(company: Company) -> None:
    live = company.live
    await live.move_to(moment(date(2026, 6, 20), 9))
    await live.hear(targets.OrgUnitChanged(unit_id="west", parent_id="co", kind="region", name="华西", version=1))
    history, logs = [], []
    # Of 40 deals a quarter half go on; the report was written for 38 of the last 40, for none before.
    for number in range(80):
        recent = number >= 40
        deal, moves = stay(date(2026, 6, 1) if recent else date(2026, 2, 10), went_on=bool(number % 2))
        history.append((deal, moves))
        if recent and number < 78:
            log = visit("rep1", date(2026, 5, 20), number, done=True)
            claim = {"actionUnitKey": "needs_report", "verified": number % 2 == 0}
            logs.append({**log, "opportunity_id": deal["id"], "actions": [claim]})
    await remember(company, "opportunity", [deal for deal, _ in history])
    await remember(company, "stage_move", [move for _, moves in history for move in moves])
    await remember(company, "activity", logs)
    await live.move_to(moment(date(2026, 7, 1), 8))
    boss = live.stub(rpc.PerformanceServiceStub, "boss", "executive")
    report = await boss.GetActionReport(pb.GetActionReportRequest(action_unit_keys=["needs_report"]))
    [found] = report.actions
    assert (found.due_count, found.done_count, found.verified_count) == (40, 38, 19)
    assert (found.execution_ratio, found.result_metric) == (0.95, "need_conversion")
    assert found.result_change.verdict == experiments_pb2.ESTIMATE_VERDICT_NO_DIFFERENCE
    assert found.result_change.value == 0
    assert found.effect.verdict == experiments_pb2.ESTIMATE_VERDICT_CANNOT_SAY, "two without it are too few"
    reviews = live.stub(reviews_pb2_grpc.ReviewServiceStub, "ops", "operations")
    asked = reviews_pb2.ListReviewsRequest(kind=reviews_pb2.REVIEW_KIND_PROCESS)
    [review] = (await reviews.ListReviews(asked)).reviews
    assert (review.id, review.action_unit_key, review.ownership.owner_id) == (found.review_id, "needs_report", "boss")
    assert {one.name: one.value for one in review.evidence} == {
        "execution": 0.95,
        "result_now": 0.5,
        "result_before": 0.5,
    }
    tasks = [one.content for one in await live.told(approvals.TaskRequested)]
    assert [one.subject_id for one in tasks if one.warning == "funnel.action_without_result"] == [review.id]
    conclude = reviews_pb2.ConcludeReviewRequest(
        request_id=rid(), review_id=review.id, etag=review.etag, conclusion="改为附客户确认"
    )
    with live.refused("INVALID_ARGUMENT", "VERDICT_MISPLACED"):
        await reviews.ConcludeReview(conclude)
    conclude.process_verdict = reviews_pb2.PROCESS_VERDICT_CHANGE
    done = await reviews.ConcludeReview(conclude)
    assert (done.process_verdict, done.rule.rulebook) == (reviews_pb2.PROCESS_VERDICT_CHANGE, "funnel.effects")
    with live.refused("INVALID_ARGUMENT", "ACTION_UNKNOWN"):
        await boss.GetActionReport(pb.GetActionReportRequest(action_unit_keys=["dance"]))
