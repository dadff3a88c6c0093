"""What is said afterwards: how fast people decided, the trail as a document, and what came from a former system."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import events_pb2, policies_pb2, requests_pb2, tasks_pb2
from closedloop_approvals.requests import trail

from .conftest import ACCOUNT, Company, approval, asked, cny, facts, quote, rid, state

Rows = dict[str, requests_pb2.Turnaround]


async def turnaround(company: Company, grouping: str, person: str = "ops", **more: Any) -> Rows:
    call = requests_pb2.GetTurnaroundRequest(
        grouping=requests_pb2.TurnaroundGrouping.Value(f"TURNAROUND_GROUPING_{grouping}"), **more
    )
    call.period.start_time.FromDatetime(company.live.now.replace(month=1, day=1, tzinfo=None))
    call.period.end_time.FromDatetime(company.live.now.replace(tzinfo=None) + timedelta(days=1))
    answer = await company.requests(person).GetTurnaround(call)
    return {row.key: row for row in answer.rows}


def hours(row: requests_pb2.Turnaround) -> tuple[float, float]:
    return row.p50.ToTimedelta() / timedelta(hours=1), row.p90.ToTimedelta() / timedelta(hours=1)


@pytest.mark.mission("S65")
async def test_how_fast_each_policy_and_each_person_decides(company: Company) -> None:
    """Three discounts after 1, 2 and 3 working hours; a fourth returned after one and never mended; a fifth left to wait."""
    held = [await company.ask(approval(quote(subject_id=f"Q-{n}"), facts(0.15))) for n in range(3)]
    for number, one in enumerate(held):
        await company.live.advance(hours=1)
        await company.decide("lead", one, "REJECT" if number == 2 else "APPROVE")
    back = await company.ask(approval(quote(subject_id="Q-3"), facts(0.15)))
    await company.live.advance(hours=2)  # with the lunch hour: one of work
    await company.decide("lead", back, "RETURN")
    late = await company.ask(approval(quote(subject_id="Q-4"), facts(0.25)))
    by_policy = await turnaround(company, "POLICY")
    assert hours(by_policy["discount"]) == (2, pytest.approx(2.8))
    assert (by_policy["discount"].decided, by_policy["discount"].rejected, by_policy["discount"].open) == (3, 1, 1)
    assert by_policy["discount"].in_time_ratio == 1
    assert (by_policy["large_discount"].decided, by_policy["large_discount"].open) == (0, 1)
    lead = (await turnaround(company, "PERSON"))["lead"]
    assert (lead.decided, lead.returned, lead.rejected, lead.open) == (3, 1, 1, 1)
    assert hours(lead) == (1.5, pytest.approx(2.7))
    taken = events_pb2.ApprovalWithdrawn(origin="funnel", kind="quote", subject_id="Q-0", version=1, reason="新版本")
    await company.live.hear(taken, "Q-0", source="funnel")
    again = (await turnaround(company, "POLICY"))["discount"]
    assert (again.decided, hours(again)) == (3, (2, pytest.approx(2.8))), (
        "taken back later, it was decided all the same"
    )
    await company.live.advance(days=1)
    await company.decide("director", await company.read(late.id))
    by_person = await turnaround(company, "PERSON")
    assert (by_person["director"].escalated, by_person["director"].in_time_ratio) == (1, 0)
    assert set(await turnaround(company, "UNIT", unit_id="east")) == {"team1"}
    assert set(await turnaround(company, "KIND", kind="contract")) == set()
    assert set(await turnaround(company, "KIND", "director")) == {"quote"}
    assert not await turnaround(company, "KIND", "north_director"), "another region's matters are not his to measure"
    with company.live.refused("INVALID_ARGUMENT", "PERIOD_INVALID"):
        await company.requests("ops").GetTurnaround(
            requests_pb2.GetTurnaroundRequest(period={}, grouping=requests_pb2.TURNAROUND_GROUPING_KIND)
        )


@pytest.mark.mission("S66")
async def test_the_trail_is_exported_as_a_document(company: Company) -> None:
    held = await company.ask(approval(quote(title="报价 <b>|*重要*"), facts(0.25)))
    held = await company.decide("lead", held, comment="可以 | 但要快\n第二行<script>")
    held = await company.decide("director", held)

    async def export(form: str, person: str = "ops", language: str = "") -> requests_pb2.ExportTrailResponse:
        value = requests_pb2.DocumentFormat.Value(f"DOCUMENT_FORMAT_{form}")
        call = requests_pb2.ExportTrailRequest(id=held.id, format=value, language=language)
        return await company.requests(person).ExportTrail(call)

    answer = await export("MARKDOWN")
    text = answer.content.decode()
    assert (answer.media_type, answer.file_name) == ("text/markdown; charset=utf-8", f"approval-quote-{held.id}.md")
    assert "| 3 | 2026-01-05 09:00:00 +0800 | 王队长 (lead) | 同意 (步骤 1) |" in text
    assert r"可以 \| 但要快<br>第二行\<script\>" in text, "nobody's words break out of their cell"
    assert f"记录末尾哈希: `{held.trail_hash}`" in text
    assert held.subject.digest in text
    page = (await export("HTML", "rep", "en-GB")).content.decode()
    assert page.startswith("<!doctype html>")
    assert "<h2>Trail</h2>" in page
    assert "funnel for 张三 (rep)" in page
    assert "第二行&lt;script&gt;" in page
    assert "<script" not in page
    filed = json.loads((await export("JSON")).content)
    previous = trail.FIRST
    for link in filed["trail"]:
        assert link["hash"] == trail.link(previous, link["content"])
        previous = link["hash"]
    assert previous == filed["request"]["trail_hash"] == answer.trail_hash, "the file proves itself"
    with company.live.refused("INVALID_ARGUMENT", "LANGUAGE_UNKNOWN"):
        await export("HTML", language="fr")
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await export("HTML", "north_rep")


def past(company: Company, number: int, took: timedelta, **fields: Any) -> requests_pb2.ImportedRequest:
    opened: datetime = company.live.now.replace(tzinfo=None) - timedelta(days=14)
    row = requests_pb2.ImportedRequest(
        **{
            "subject": quote(subject_id=f"OLD-{number}", origin="oa", version=0),
            "facts": policies_pb2.Facts(
                amount=cny(600_000), discount_ratio=0.18, account_id=ACCOUNT, ownership={"owner_id": "rep"}
            ),
            "state": requests_pb2.REQUEST_STATE_APPROVED,
            "submitter_id": "rep",
            "decided_by": "lead",
            "comment": "老系统审批",
            "provenance": {"source": "oa", "source_id": str(number)},
            **fields,
        }
    )
    row.open_time.FromDatetime(opened)
    row.close_time.FromDatetime(opened + took)
    return row


@pytest.mark.mission("S65", "S67")
async def test_decisions_of_a_former_system_are_history_and_clear_nothing(company: Company) -> None:
    """It took 3.2 days before; here it is counted on the same calendar, so that the two compare."""
    rows = [past(company, n, timedelta(days=3, hours=2)) for n in range(4)]
    rows[1].state = requests_pb2.REQUEST_STATE_PENDING
    rows[2].provenance.source_id = ""
    rows.append(rows[0])
    rows.append(past(company, 9, timedelta(days=1), subject=quote(subject_id="Q-9")))
    rows.append(past(company, 10, timedelta(days=-1)))
    rows.append(past(company, 11, timedelta(days=99)))
    call = requests_pb2.ImportRequestsRequest(request_id=rid(), rows=rows, validate_only=True)
    stub = company.requests("ops")
    rehearsed = await stub.ImportRequests(call)
    assert (rehearsed.created, rehearsed.rejected) == (2, 6)
    assert not (await stub.ListRequests(requests_pb2.ListRequestsRequest(origin="oa"))).requests
    call.validate_only, call.request_id = False, rid()
    summary = await stub.ImportRequests(call)
    assert summary == rehearsed
    assert [(e.row, e.reason) for e in summary.errors] == [
        (1, "STATE_OPEN"),
        (2, "SOURCE_ID_REQUIRED"),
        (4, "DUPLICATE_ROW"),
        (5, "ORIGIN_RESERVED"),
        (6, "PERIOD_INVALID"),
        (7, "TIME_IN_FUTURE"),
    ]
    call.request_id = rid()
    again = await stub.ImportRequests(call)
    assert (again.created, again.unchanged, again.rejected) == (0, 2, 6)
    changed = past(company, 0, timedelta(days=3, hours=2), state=requests_pb2.REQUEST_STATE_REJECTED)
    again = await stub.ImportRequests(requests_pb2.ImportRequestsRequest(request_id=rid(), rows=[changed]))
    assert [e.reason for e in again.errors] == ["IMPORTED_DIFFERS"]
    found = (await stub.ListRequests(requests_pb2.ListRequestsRequest(origin="oa", query="mes"))).requests
    assert [state(held) for held in found] == ["approved", "approved"]
    assert (found[0].provenance.brought_by, found[0].decided_by) == ("ops", "lead")
    assert await company.trail(found[0]) == ["imported:ops>lead"]
    assert await company.breaks(*(held.id for held in found)) == []
    clearance = await stub.CheckClearance(
        requests_pb2.CheckClearanceRequest(origin="oa", kind="quote", subject_id="OLD-0", digest=rows[0].subject.digest)
    )
    assert (clearance.cleared, clearance.reason) == (False, "NEVER_ASKED")
    # The same matter may be asked here, properly.
    fresh = requests_pb2.OpenRequestRequest(request_id=rid(), subject=rows[0].subject, facts=facts(0.15), reason="?")
    assert asked(await company.requests("rep").OpenRequest(fresh)) == ["lead"]
    call = requests_pb2.GetTurnaroundRequest(grouping=requests_pb2.TURNAROUND_GROUPING_KIND)
    call.period.start_time.FromDatetime(company.live.now.replace(tzinfo=None) - timedelta(days=20))
    call.period.end_time.FromDatetime(company.live.now.replace(tzinfo=None))
    [before] = (await stub.GetTurnaround(call)).rows
    assert (before.decided, before.in_time_ratio) == (2, 0)
    assert hours(before)[0] == 26, "Monday 9:00 to Thursday 11:00 of a week without a holiday"
    with company.live.refused("PERMISSION_DENIED"):
        await company.requests("rep").ImportRequests(requests_pb2.ImportRequestsRequest(request_id=rid(), rows=rows))


@pytest.mark.mission("S102", "S14")
async def test_the_loop_report_says_which_warnings_had_an_act_that_worked(company: Company) -> None:
    async def warn(cause: str, **content: Any) -> None:
        fields = {"kind": "intervention", "title": "滞留", "assignee_id": "lead", "warning": "funnel.stage_dwell"}
        task = tasks_pb2.TaskContent(**(fields | content), origin="funnel", cause_key=cause)
        await company.live.hear(events_pb2.TaskRequested(content=task), cause, source="funnel")

    async def task_of(cause: str) -> tasks_pb2.Task:
        found = await company.tasks("ops").ListTasks(tasks_pb2.ListTasksRequest(origin="funnel", page_size=100))
        return next(task for task in reversed(found.tasks) if task.content.cause_key == cause)

    async def done(cause: str) -> None:
        task = await task_of(cause)
        call = tasks_pb2.CompleteTaskRequest(request_id=rid(), id=task.id, etag=task.etag, comment="谈过了")
        await company.tasks(task.assignee_id).CompleteTask(call)

    for cause in ("a", "b", "c", "d"):
        await warn(cause)
    await warn("x", warning="funnel.risk_phrase", assignee_id="rep")
    await company.live.advance(hours=2)
    await done("a")
    await done("b")
    await warn("b")  # it came back: what was done did not help
    cleared = events_pb2.TaskWithdrawn(
        origin="funnel", cause_key="a", reason=events_pb2.WITHDRAWAL_REASON_CAUSE_CLEARED
    )
    await company.live.hear(cleared, "a", source="funnel")
    gone = events_pb2.TaskWithdrawn(origin="funnel", cause_key="d", reason=events_pb2.WITHDRAWAL_REASON_SUBJECT_GONE)
    await company.live.hear(gone, "d", source="funnel")
    await company.live.advance(days=2)
    await done("c")  # by the director: it had climbed to him
    call = tasks_pb2.GetLoopReportRequest()
    call.period.start_time.FromDatetime(company.live.now.replace(tzinfo=None) - timedelta(days=9))
    call.period.end_time.FromDatetime(company.live.now.replace(tzinfo=None) + timedelta(days=1))
    rows = {row.warning: row for row in (await company.tasks("ops").GetLoopReport(call)).rows}
    dwell = rows["funnel.stage_dwell"]
    assert (dwell.raised, dwell.without_owner, dwell.withdrawn) == (5, 0, 1)
    assert (dwell.acted_in_time, dwell.acted_late, dwell.not_acted) == (2, 1, 1)
    assert (dwell.worked, dwell.recurred, dwell.effect_pending) == (1, 1, 1)
    assert dwell.response_p50.ToTimedelta() == timedelta(hours=2)
    assert (rows["funnel.risk_phrase"].raised, rows["funnel.risk_phrase"].not_acted) == (1, 1)
    call.warning = "funnel.risk_phrase"
    assert [row.raised for row in (await company.tasks("director").GetLoopReport(call)).rows] == [1]
    assert not (await company.tasks("north_director").GetLoopReport(call)).rows
    call.ClearField("period")
    call.period.start_time.FromDatetime(company.live.now.replace(tzinfo=None))
    with company.live.refused("INVALID_ARGUMENT", "PERIOD_INVALID"):
        await company.tasks("ops").GetLoopReport(call)
