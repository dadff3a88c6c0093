"""Tasks of any origin: one per cause, due, escalated, settled, and whether they helped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from closedloop.approvals.v1 import delegations_pb2, events_pb2, tasks_pb2
from closedloop.common.v1.common_pb2 import LIGHT_RED, LIGHT_YELLOW, Evidence
from closedloop.customers.v1 import accounts_pb2
from closedloop.customers.v1.events_pb2 import PersonErased
from closedloop.integrations.v1.events_pb2 import DeliveryRequested
from closedloop.targets.v1.events_pb2 import PersonChanged

from .conftest import ACCOUNT, Company, rid

OWNED = {"owner_id": "rep", "unit_id": "team1"}
CAUSE = f"funnel.stage_dwell:{ACCOUNT}"


def wanted(**more: Any) -> events_pb2.TaskRequested:
    fields = {
        "kind": "intervention",
        "title": "商机停滞",
        "assignee_role": "manager_of_owner",
        "ownership": OWNED,
        "origin": "funnel",
        "cause_key": CAUSE,
        "warning": "funnel.stage_dwell",
        "light": LIGHT_YELLOW,
        "subject_type": "opportunity",
        "subject_id": ACCOUNT,
        "opportunity_id": ACCOUNT,
        "evidence": [Evidence(name="dwell", value=5.5, unit="d")],
    }
    return events_pb2.TaskRequested(content=tasks_pb2.TaskContent(**(fields | more)))


async def told(company: Company, **more: Any) -> tasks_pb2.Task:
    event = wanted(**more)
    await company.live.hear(event, event.content.cause_key, source="funnel")
    found = await company.tasks("ops").ListTasks(tasks_pb2.ListTasksRequest(origin="funnel"))
    return next(
        task
        for task in found.tasks
        if task.content.cause_key == event.content.cause_key and not task.HasField("settle_time")
    )


async def read(company: Company, task: tasks_pb2.Task) -> tasks_pb2.Task:
    return await company.tasks("ops").GetTask(tasks_pb2.GetTaskRequest(id=task.id))


async def complete(company: Company, person: str, task: tasks_pb2.Task, **more: Any) -> tasks_pb2.Task:
    call = tasks_pb2.CompleteTaskRequest(request_id=rid(), id=task.id, etag=more.pop("etag", task.etag), **more)
    return await company.tasks(person).CompleteTask(call)


def local(company: Company, moment: Any) -> str:
    shown: datetime = moment.ToDatetime(tzinfo=company.live.now.tzinfo) + timedelta(hours=8)
    return shown.strftime("%d %H:%M")


@pytest.mark.mission("U-A", "U20")
async def test_one_open_task_per_cause_with_its_owner_found_by_the_org(company: Company) -> None:
    task = await told(company)
    assert (task.assignee_id, task.state, task.content.outcomes) == ("lead", tasks_pb2.TASK_STATE_OPEN, [])
    assert local(company, task.due_time) == "05 18:00", "one working day"
    again = await told(company, light=LIGHT_RED, evidence=[Evidence(name="dwell", value=7, unit="d")])
    assert (again.id, again.repeats, again.content.light) == (task.id, 1, LIGHT_RED)
    assert [e.value for e in again.content.evidence] == [7]
    deliveries = [d.content for d in await company.live.told(DeliveryRequested)]
    assert [(d.recipient.person_id, d.template.template) for d in deliveries] == [("lead", "task_assigned")]
    assert [line.action for line in (await read(company, task)).history] == ["raised", "repeated"]
    other = await told(company, cause_key="funnel.stage_dwell:other", assignee_id="director")
    assert (other.id != task.id, other.assignee_id) == (True, "director")


@pytest.mark.mission("U-A")
async def test_overdue_tasks_climb_the_line(company: Company) -> None:
    task = await told(company)
    await company.live.advance(hours=9, minutes=1)
    task = await read(company, task)
    assert (task.assignee_id, task.original_assignee_id, task.escalation_level) == ("director", "lead", 1)
    assert local(company, task.due_time) == "06 18:00"
    await company.live.advance(days=1)
    task = await read(company, task)
    assert (task.assignee_id, task.escalation_level) == ("boss", 2)
    await company.live.advance(days=3)
    task = await read(company, task)
    assert (task.assignee_id, task.escalation_level) == ("boss", 2), "nobody stands above the boss"
    deliveries = [d.content.recipient.person_id for d in await company.live.told(DeliveryRequested)]
    assert deliveries == ["lead", "director", "boss", "boss"]
    assert [(h.action, h.from_person_id, h.to_person_id) for h in task.history] == [
        ("raised", "", "lead"),
        ("escalated", "lead", "director"),
        ("escalated", "director", "boss"),
    ]
    with company.live.refused("PERMISSION_DENIED", "NOT_THE_ASSIGNEE"):
        await complete(company, "lead", task)
    await complete(company, "boss", task)
    [settled] = await company.live.told(events_pb2.TaskSettled)
    assert (settled.overdue, settled.escalation_level, settled.settled_by) == (True, 2, "boss")


@pytest.mark.mission("U-A", "S14")
async def test_settling_tells_the_origin_what_was_done(company: Company) -> None:
    task = await told(company, kind="confirmation", cause_time=company.live.now - timedelta(hours=1))
    assert task.content.outcomes == ["confirmed", "rejected"]
    started = await company.tasks("lead").StartTask(
        tasks_pb2.StartTaskRequest(request_id=rid(), id=task.id, etag=task.etag)
    )
    assert started.state == tasks_pb2.TASK_STATE_STARTED
    begun = company.live.now
    await company.live.advance(hours=1)
    with company.live.refused("INVALID_ARGUMENT", "OUTCOME_REQUIRED"):
        await complete(company, "lead", started)
    with company.live.refused("INVALID_ARGUMENT", "OUTCOME_UNKNOWN"):
        await complete(company, "lead", started, outcome="maybe")
    with company.live.refused("ABORTED"):
        await complete(company, "lead", started, outcome="confirmed", etag=task.etag)
    for other in ("director", "north_rep"):
        with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
            await complete(company, other, started, outcome="confirmed")
    done = await complete(
        company,
        "lead",
        started,
        outcome="confirmed",
        comment="已核实",
        evidence=[Evidence(name="calls", value=2)],
        outcome_fields={"next": "demo"},
    )
    assert (done.state, done.settled_by, done.outcome_comment) == (tasks_pb2.TASK_STATE_DONE, "lead", "已核实")
    [settled] = await company.live.told(events_pb2.TaskSettled)
    assert (settled.origin, settled.cause_key, settled.outcome) == ("funnel", CAUSE, "confirmed")
    assert settled.response_time.ToDatetime(tzinfo=begun.tzinfo) == begun
    assert settled.cause_time.ToDatetime(tzinfo=begun.tzinfo) == begun - timedelta(hours=1)
    assert settled.outcome_fields["next"] == "demo"
    assert [e.name for e in settled.evidence] == ["dwell", "calls"]
    assert (settled.subject_type, settled.subject_id, settled.overdue) == ("opportunity", ACCOUNT, False)
    with company.live.refused("FAILED_PRECONDITION", "TASK_CLOSED"):
        await complete(company, "lead", done, outcome="confirmed")
    await company.live.advance(days=10)
    assert (await read(company, done)).escalation_level == 0


@pytest.mark.mission("S102")
async def test_whether_it_helped_is_watched(company: Company) -> None:
    first = await complete(company, "lead", await told(company))
    assert first.effect == tasks_pb2.TASK_EFFECT_PENDING
    await company.live.advance(days=3)
    second = await told(company)
    assert second.previous_task_id == first.id
    assert (await read(company, first)).effect == tasks_pb2.TASK_EFFECT_RECURRED
    second = await complete(company, "lead", second)
    await company.live.advance(days=15)
    assert (await read(company, second)).effect == tasks_pb2.TASK_EFFECT_WORKED, "it stayed away for the check window"
    third = await told(company)
    assert third.previous_task_id == "", "after the window it is a new story"
    third = await complete(company, "lead", third)
    cleared = events_pb2.TaskWithdrawn(
        origin="funnel",
        cause_key=CAUSE,
        reason=events_pb2.WITHDRAWAL_REASON_CAUSE_CLEARED,
        evidence=[Evidence(name="moved", value=1)],
    )
    await company.live.hear(cleared, CAUSE, source="funnel")
    third = await read(company, third)
    assert (third.effect, third.effect_evidence[0].name) == (tasks_pb2.TASK_EFFECT_WORKED, "moved")


@pytest.mark.mission("S102")
async def test_where_the_origin_watches_its_silence_is_no_success(company: Company) -> None:
    def says(reason: Any, cause: str) -> events_pb2.TaskWithdrawn:
        looked = [Evidence(name="dwell", value=9)]
        return events_pb2.TaskWithdrawn(origin="funnel", cause_key=cause, reason=reason, evidence=looked)

    task = await told(company, origin_checks=True)
    await company.live.hear(says(events_pb2.WITHDRAWAL_REASON_CAUSE_HOLDS, CAUSE), CAUSE, source="funnel")
    task = await read(company, task)
    assert task.state == tasks_pb2.TASK_STATE_OPEN, "that it still stands closes nothing"
    done = await complete(company, "lead", task)
    await company.live.advance(days=60)
    done = await read(company, done)
    assert (done.effect, done.HasField("effect_due_time")) == (tasks_pb2.TASK_EFFECT_PENDING, False)
    await company.live.hear(says(events_pb2.WITHDRAWAL_REASON_ANSWERED, CAUSE), CAUSE, source="funnel")
    assert (await read(company, done)).effect == tasks_pb2.TASK_EFFECT_PENDING, "an answer is no proof"
    await company.live.hear(says(events_pb2.WITHDRAWAL_REASON_CAUSE_HOLDS, CAUSE), CAUSE, source="funnel")
    judged = await read(company, done)
    assert (judged.effect, judged.effect_evidence[0].value) == (tasks_pb2.TASK_EFFECT_RECURRED, 9)
    again = await complete(company, "lead", await told(company, origin_checks=True))
    await company.live.hear(says(events_pb2.WITHDRAWAL_REASON_CAUSE_CLEARED, CAUSE), CAUSE, source="funnel")
    assert (await read(company, again)).effect == tasks_pb2.TASK_EFFECT_WORKED


@pytest.mark.mission("S102")
async def test_a_person_may_judge_but_not_their_own_work(company: Company) -> None:
    task = await told(company, check_window=Duration(seconds=0))

    def judging(effect: Any, etag: str) -> tasks_pb2.JudgeEffectRequest:
        return tasks_pb2.JudgeEffectRequest(request_id=rid(), id=task.id, etag=etag, effect=effect, comment="看过了")

    with company.live.refused("FAILED_PRECONDITION", "TASK_NOT_SETTLED"):
        await company.tasks("director").JudgeEffect(judging(tasks_pb2.TASK_EFFECT_WORKED, task.etag))
    done = await complete(company, "lead", task)
    assert done.effect == tasks_pb2.TASK_EFFECT_NOT_CHECKED
    with company.live.refused("PERMISSION_DENIED", "OWN_TASK"):
        await company.tasks("lead").JudgeEffect(judging(tasks_pb2.TASK_EFFECT_WORKED, done.etag))
    with company.live.refused("INVALID_ARGUMENT", "EFFECT_UNKNOWN"):
        await company.tasks("director").JudgeEffect(judging(tasks_pb2.TASK_EFFECT_PENDING, done.etag))
    judged = await company.tasks("director").JudgeEffect(judging(tasks_pb2.TASK_EFFECT_WORKED, done.etag))
    assert judged.effect == tasks_pb2.TASK_EFFECT_WORKED


@pytest.mark.mission("U-A")
async def test_a_cause_that_goes_away_closes_its_task(company: Company) -> None:
    task = await told(company)
    gone = events_pb2.TaskWithdrawn(origin="funnel", cause_key=CAUSE, reason=events_pb2.WITHDRAWAL_REASON_SUBJECT_GONE)
    await company.live.hear(gone, CAUSE, source="funnel")
    task = await read(company, task)
    assert (task.state, task.outcome_comment) == (tasks_pb2.TASK_STATE_WITHDRAWN, "subject_gone")
    [settled] = await company.live.told(events_pb2.TaskSettled)
    assert settled.state == tasks_pb2.TASK_STATE_WITHDRAWN
    await company.live.advance(days=5)
    assert (await read(company, task)).escalation_level == 0


@pytest.mark.mission("U-A", "U9")
async def test_put_off_and_given_on(company: Company) -> None:
    task = await company.raise_task("lead", assignee_id="rep")

    async def snooze(person: str, hours: float) -> tasks_pb2.Task:
        call = tasks_pb2.SnoozeTaskRequest(
            request_id=rid(), id=task.id, etag=task.etag, until=company.live.now + timedelta(hours=hours)
        )
        return await company.tasks(person).SnoozeTask(call)

    with company.live.refused("INVALID_ARGUMENT", "SNOOZE_TOO_LONG"):
        await snooze("rep", 24 * 8)
    with company.live.refused("INVALID_ARGUMENT", "SNOOZE_IN_THE_PAST"):
        await snooze("rep", -1)
    with company.live.refused("PERMISSION_DENIED", "NOT_THE_ASSIGNEE"):
        await snooze("lead", 1)
    due = task.due_time
    task = await snooze("rep", 2)
    assert (task.state, task.due_time) == (tasks_pb2.TASK_STATE_SNOOZED, due)
    await company.live.advance(hours=3)
    task = await read(company, task)
    assert (task.state, task.HasField("snoozed_until")) == (tasks_pb2.TASK_STATE_OPEN, False)

    async def give(person: str, to: str) -> tasks_pb2.Task:
        call = tasks_pb2.DelegateTaskRequest(request_id=rid(), id=task.id, etag=task.etag, person_id=to, comment="帮忙")
        return await company.tasks(person).DelegateTask(call)

    with company.live.refused("INVALID_ARGUMENT", "ASSIGNEE_NOT_FOUND"):
        await give("rep", "nobody")
    with company.live.refused("PERMISSION_DENIED"):
        await give("peer", "peer")
    task = await give("rep", "peer")
    assert (task.assignee_id, task.original_assignee_id) == ("peer", "rep")
    task = await give("director", "north_rep")
    assert task.assignee_id == "north_rep"
    task = await complete(company, "north_rep", task)
    assert task.state == tasks_pb2.TASK_STATE_DONE
    history = [(h.action, h.actor_id, h.from_person_id, h.to_person_id) for h in (await read(company, task)).history]
    assert history[2:4] == [("delegated", "rep", "rep", "peer"), ("delegated", "director", "peer", "north_rep")]


@pytest.mark.mission("U9")
async def test_a_stand_in_settles_for_the_absent(company: Company) -> None:
    task = await told(company)
    with company.live.refused("PERMISSION_DENIED"):
        await complete(company, "peer", task)
    period = {"start_time": company.live.now, "end_time": company.live.now + timedelta(days=1)}
    await company.delegations("lead").CreateDelegation(
        delegations_pb2.CreateDelegationRequest(
            request_id=rid(), delegate_id="peer", period=period, task_kinds=["intervention"], reason="出差"
        )
    )
    give = tasks_pb2.DelegateTaskRequest(request_id=rid(), id=task.id, etag=task.etag, person_id="cfo", comment="?")
    with company.live.refused("PERMISSION_DENIED", "NOT_THE_ASSIGNEE"):
        await company.tasks("peer").DelegateTask(give)
    done = await complete(company, "peer", task)
    assert (done.settled_by, done.settled_on_behalf_of) == ("peer", "lead")
    assert {"actor_id": "peer", "on_behalf_of": "lead"} in await company.live.db.all(
        "SELECT actor_id, on_behalf_of FROM audit_entry WHERE action = 'completed'"
    )
    [settled] = await company.live.told(events_pb2.TaskSettled)
    assert (settled.settled_by, settled.on_behalf_of) == ("peer", "lead")


async def test_nobody_gets_rid_of_a_duty_by_cancelling_it(company: Company) -> None:
    task = await told(company)

    def cancel(held: tasks_pb2.Task) -> tasks_pb2.CancelTaskRequest:
        return tasks_pb2.CancelTaskRequest(request_id=rid(), id=held.id, etag=held.etag, reason="误报")

    with company.live.refused("PERMISSION_DENIED", "OWN_TASK"):
        await company.tasks("lead").CancelTask(cancel(task))
    task = await company.tasks("director").CancelTask(cancel(task))
    assert task.state == tasks_pb2.TASK_STATE_CANCELLED
    [settled] = await company.live.told(events_pb2.TaskSettled)
    assert (settled.state, settled.comment) == (tasks_pb2.TASK_STATE_CANCELLED, "误报")
    own = await company.raise_task("rep", assignee_id="rep")
    assert (await company.tasks("rep").CancelTask(cancel(own))).state == tasks_pb2.TASK_STATE_CANCELLED


@pytest.mark.mission("S67")
async def test_who_may_raise_what_for_whom(company: Company) -> None:
    with company.live.refused("PERMISSION_DENIED", "ORIGIN_RESERVED"):
        await company.raise_task("lead", origin="funnel", cause_key=CAUSE)
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.raise_task("rep", assignee_id="north_rep")
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.raise_task("rep", assignee_id="peer")
    with company.live.refused("INVALID_ARGUMENT", "ASSIGNEE_NOT_FOUND"):
        await company.raise_task("lead", assignee_id="nobody")
    asked = await company.raise_task("rep", assignee_id="lead", cause_key="help")
    assert asked.provenance.brought_by == "rep"
    again = await company.raise_task("rep", assignee_id="lead", cause_key="help")
    assert (again.id, again.repeats) == (asked.id, 1)
    with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await company.tasks("north_rep").GetTask(tasks_pb2.GetTaskRequest(id=asked.id))
    with company.live.refused("NOT_FOUND", "TASK_UNKNOWN"):
        await company.tasks("rep").GetTask(tasks_pb2.GetTaskRequest(id=ACCOUNT))


async def test_tasks_of_somebody_who_leaves_go_up_the_line(company: Company) -> None:
    task = await told(company)
    gone = PersonChanged(person_id="lead", unit_id="team1", name="王队长", active=False, version=10**6)
    await company.live.hear(gone, "lead", source="targets")
    assert (await read(company, task)).assignee_id == "director"
    later = await told(company, cause_key="later", assignee_id="lead")
    assert later.assignee_id == "director", "a task for somebody who is gone is nobody's no more than any other"


async def test_a_named_due_time_holds_also_when_it_is_over(company: Company) -> None:
    soon = await told(company, cause_key="soon", due_time=company.live.now + timedelta(minutes=30))
    late = await told(company, cause_key="late", due_time=company.live.now - timedelta(days=1))
    assert late.state == tasks_pb2.TASK_STATE_OPEN
    await company.live.advance(minutes=1)
    assert [(await read(company, t)).assignee_id for t in (soon, late)] == ["lead", "director"]
    await company.live.advance(minutes=30)
    assert (await read(company, soon)).assignee_id == "director"


async def test_lists_are_scoped_filtered_and_paged(company: Company) -> None:
    for number in range(3):
        await told(company, cause_key=f"c{number}", kind="review" if number else "intervention")
    await company.raise_task("north_director", assignee_id="north_rep", cause_key="north")

    async def seen(person: str, **filters: Any) -> list[str]:
        keys, token = [], ""
        while True:
            answer = await company.tasks(person).ListTasks(
                tasks_pb2.ListTasksRequest(page_size=2, page_token=token, **filters)
            )
            keys += [task.content.cause_key for task in answer.tasks]
            token = answer.next_page_token
            if not token:
                return keys

    assert await seen("ops", origin="funnel") == ["c0", "c1", "c2"]
    assert await seen("director") == await seen("lead") == ["c0", "c1", "c2"]
    assert await seen("rep") == []
    assert await seen("north_rep") == await seen("north_director") == ["north"]
    assert await seen(
        "ops", kind="review", states=[tasks_pb2.TASK_STATE_OPEN], unit_id="east", include_subtree=True
    ) == ["c1", "c2"]
    assert await seen(
        "ops", warning="funnel.stage_dwell", opportunity_id=ACCOUNT, assignee_id="lead", subject_type="opportunity"
    ) == ["c0", "c1", "c2"]
    assert await seen("ops", states=[tasks_pb2.TASK_STATE_SNOOZED]) == await seen("ops", overdue=True) == []
    await company.live.advance(hours=10)
    assert await seen("ops", overdue=True) == ["c0"]


@pytest.mark.mission("U15")
async def test_many_at_once(company: Company) -> None:
    row = tasks_pb2.TaskContent(kind="follow_up", title="t", assignee_id="rep", origin="import", cause_key="k")

    def rows(count: int) -> list[tasks_pb2.TaskContent]:
        made = []
        for number in range(count):
            content = tasks_pb2.TaskContent()
            content.CopyFrom(row)
            content.cause_key = f"k{number}"
            made.append(content)
        return made

    bad = rows(5)
    bad[1].title, bad[2].assignee_id, bad[3].cause_key = "", "nobody", "k0"
    call = tasks_pb2.BulkRaiseTasksRequest(request_id=rid(), rows=bad, validate_only=True)
    rehearsed = await company.tasks("ops").BulkRaiseTasks(call)
    assert (rehearsed.read, rehearsed.created, rehearsed.unchanged) == (5, 2, 1)
    assert [(e.row, e.reason) for e in rehearsed.errors] == [(1, "ROW_INVALID"), (2, "ASSIGNEE_NOT_FOUND")]
    assert not (await company.tasks("ops").ListTasks(tasks_pb2.ListTasksRequest())).tasks
    call.validate_only = False
    assert await company.tasks("ops").BulkRaiseTasks(call) == rehearsed
    again = await company.tasks("ops").BulkRaiseTasks(
        tasks_pb2.BulkRaiseTasksRequest(request_id=rid(), rows=rows(1000))
    )
    assert (again.created, again.unchanged) == (998, 2)

    found = (await company.tasks("rep").ListTasks(tasks_pb2.ListTasksRequest(page_size=1000))).tasks
    assert len(found) == 1000
    versions = [tasks_pb2.TaskVersion(id=t.id, etag=t.etag) for t in found[:500]]
    versions[3].etag = '"9"'
    done = await company.tasks("rep").BulkActOnTasks(
        tasks_pb2.BulkActOnTasksRequest(request_id=rid(), tasks=versions, complete={"comment": "全部回访"})
    )
    assert (done.updated, [(e.row, e.reason) for e in done.errors]) == (499, [(3, "ETAG_MISMATCH")])
    rest = [tasks_pb2.TaskVersion(id=t.id, etag=t.etag) for t in found[500:503]]
    acts: list[tuple[str, dict[str, Any]]] = [
        ("snooze", {"until": company.live.now + timedelta(days=1)}),
        ("delegate", {"person_id": "peer"}),
        ("cancel", {"reason": "重复"}),
    ]
    for (name, body), version, person in zip(acts, rest, ("rep", "rep", "ops"), strict=True):
        acted = await company.tasks(person).BulkActOnTasks(
            tasks_pb2.BulkActOnTasksRequest(request_id=rid(), tasks=[version], **{name: body})
        )
        assert acted.updated == 1, acted


async def test_a_task_about_an_erased_person_stays_without_a_word_of_them(company: Company) -> None:
    said = "王女士 13800138000"
    about = {"subject_type": "lead", "subject_id": rid(), "title": said, "description": said, "account_id": ACCOUNT}
    evidence = [Evidence(name="dwell", value=5.5, unit="d", text=said)]
    task = await told(company, cause_key="customers.first_response:x", evidence=evidence, **about)
    other = await told(company)
    done = await complete(company, "lead", task, comment=f"{said} 已回访")
    erased = PersonErased()
    erased.records.add(type=accounts_pb2.RECORD_TYPE_LEAD, id=about["subject_id"])
    await company.live.hear(erased, about["subject_id"], source="customers")
    left = await read(company, task)
    assert said not in str(left)
    assert (left.content.title, left.state, left.settle_time) == (
        "（客户个人信息已删除）",
        done.state,
        done.settle_time,
    )
    assert (left.content.evidence[0].value, left.content.evidence[0].text) == (5.5, "")
    assert (await read(company, other)).content.title == "商机停滞"
    for table in ("task", "task_history", "audit_entry"):
        rows = await company.live.db.all(f"SELECT 1 FROM {table} AS t WHERE t::text LIKE '%%13800138000%%'")
        assert rows == [], table
