"""How fast is decided and answered, walked down to requests and tasks, with the health of both (S79, S80, S83)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from closedloop.approvals.v1 import events_pb2, tasks_pb2
from closedloop.platform.v1 import metrics_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.figures import daily
from closedloop_devstack.testing import figures

from .conftest import Company, approval, facts, quote, rid
from .test_history import hours, turnaround

JANUARY = (date(2026, 1, 1), date(2026, 1, 31))


@pytest.mark.mission("S79", "S65", "S80")
async def test_decisions_walk_down_to_requests(company: Company) -> None:
    await daily.begin(company.live.process)
    held = [await company.ask(approval(quote(subject_id=f"Q-{n}"), facts(0.15))) for n in range(4)]
    for number, one in enumerate(held[:3]):
        await company.live.advance(hours=1 + number)
        await company.decide("lead", one, "REJECT" if number == 2 else "APPROVE")
    board = (await turnaround(company, "KIND"))["quote"]
    half, most = [
        await figures.traced(company.live, f"approvals.{name}", *JANUARY, kind="quote")
        for name in ("decision_hours", "decision_hours_p90")
    ]
    assert (half.value, pytest.approx(most.value)) == hours(board)
    # Two rows lie about the ninth decile, one about the middle.
    assert sum(bool(row.contribution) for row in half.rows) == 1
    assert sum(bool(row.contribution) for row in most.rows) == 2
    in_time = await figures.traced(company.live, "approvals.decided_in_time", *JANUARY, kind="quote")
    assert (in_time.value, in_time.total_rows) == (board.in_time_ratio, board.decided)
    waiting = await figures.traced(company.live, "approvals.open_requests", *JANUARY, kind="quote")
    assert (waiting.value, waiting.rows[0].record_id) == (board.open, held[3].id)
    assert len(await figures.every_figure(company.live, "team1")) == 7
    theirs = await figures.traced(company.live, "approvals.decision_hours", *JANUARY, who=("north_director", "manager"))
    assert (theirs.HasField("value"), theirs.reason) == (False, "no rows in the period")

    await company.live.move_to(datetime(2026, 1, 6, 1, tzinfo=UTC))
    stub = figures.metrics(company.live)
    listed = {one.name: one for one in (await stub.ListMetricHealth(pb.ListMetricHealthRequest())).healths}
    speed = listed["approvals.decision_hours"]
    assert (speed.consistency.score, speed.consistency.examined) == (1, 4)
    assert {one.name: one.value for one in speed.completeness.evidence}["request.account_id"] == 0
    [finding] = (await stub.GetCredibilityReport(pb.GetCredibilityReportRequest(year=2026, month=1))).findings
    assert (finding.kind, finding.field, finding.count, finding.owner_id) == (
        "missing_reference",
        "account_id",
        4,
        "ops",
    )


@pytest.mark.mission("S79", "S102", "S80")
async def test_answers_to_warnings_walk_down_to_tasks(company: Company) -> None:
    await daily.begin(company.live.process)
    for number in range(3):
        content = tasks_pb2.TaskContent(
            kind="intervention",
            title="滞留",
            assignee_id="lead",
            warning="funnel.stage_dwell",
            origin="funnel",
            cause_key=str(number),
            cause_time=protos.timestamp(company.live.now - timedelta(days=3 if number == 2 else 0)),
            outcomes=["rescued", "lost"],
        )
        await company.live.hear(events_pb2.TaskRequested(content=content), str(number), source="funnel")
    await company.live.advance(hours=2)
    listed = (await company.tasks("ops").ListTasks(tasks_pb2.ListTasksRequest(origin="funnel"))).tasks
    done = next(task for task in listed if task.content.cause_key == "0")
    await company.tasks("lead").CompleteTask(
        tasks_pb2.CompleteTaskRequest(request_id=rid(), id=done.id, etag=done.etag, comment="谈过了", outcome="rescued")
    )
    call = tasks_pb2.GetLoopReportRequest()
    call.period.start_time.FromDatetime(datetime(2025, 12, 31, 16))
    call.period.end_time.FromDatetime(datetime(2026, 1, 31, 16))
    [row] = (await company.tasks("ops").GetLoopReport(call)).rows
    acted = await figures.traced(company.live, "approvals.acted_in_time", *JANUARY)
    assert acted.value == pytest.approx(row.acted_in_time / (row.acted_in_time + row.acted_late + row.not_acted))
    response = await figures.traced(company.live, "approvals.response_hours", *JANUARY, person_id="lead")
    assert response.value == row.response_p50.ToTimedelta() / timedelta(hours=1) == 2
    await company.live.move_to(datetime(2026, 1, 7, 9, tzinfo=UTC))
    overdue = await figures.traced(company.live, "approvals.overdue_tasks", *JANUARY)
    tasks = (await company.tasks("ops").ListTasks(tasks_pb2.ListTasksRequest(origin="funnel"))).tasks
    late = {
        one.id for one in tasks if not one.HasField("settle_time") and protos.instant(one.due_time) < company.live.now
    }
    assert {one.record_id for one in overdue.rows} == late
    assert overdue.value == len(late)
    stub = figures.metrics(company.live)
    request = pb.ListMetricHealthRequest(
        name="approvals.acted_in_time",
        start_date=protos.date_proto(date(2026, 1, 5)),
        end_date=protos.date_proto(date(2026, 1, 6)),
    )
    first, _ = (await stub.ListMetricHealth(request)).healths
    # One came three days after its cause; none of them names what it is about.
    assert (first.timeliness.examined, first.timeliness.failed) == (3, 1)
    assert {one.name: one.value for one in first.completeness.evidence}["task.subject"] == 0
