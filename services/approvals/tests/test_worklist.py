"""One list per person: everything that waits, the most urgent first, in one answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from closedloop.approvals.v1 import delegations_pb2, events_pb2, tasks_pb2, worklist_pb2
from closedloop.customers.v1.events_pb2 import AccountChanged

from .conftest import ACCOUNT, Company, approval, facts, quote, rid


async def listed(company: Company, person: str, **filters: Any) -> worklist_pb2.ListWorkResponse:
    return await company.worklist(person).ListWork(worklist_pb2.ListWorkRequest(**filters))


def titles(answer: worklist_pb2.ListWorkResponse) -> list[str]:
    return [item.title for item in answer.items]


@pytest.mark.mission("U-A", "U9")
async def test_approvals_and_tasks_side_by_side_by_urgency(company: Company) -> None:
    await company.live.hear(AccountChanged(account_id=ACCOUNT, name="阿克姆", version=2), ACCOUNT, source="customers")
    await company.live.hear(AccountChanged(account_id=ACCOUNT, name="旧名", version=1), ACCOUNT, source="customers")
    held = await company.ask(approval(quote(title="报价"), facts(0.15, 88_000, account_id=ACCOUNT)))
    now = company.live.now
    await company.raise_task("director", title="急", assignee_id="lead", due_time=now + timedelta(hours=1))
    low = tasks_pb2.TASK_PRIORITY_LOW
    await company.raise_task(
        "director", title="缓", assignee_id="lead", due_time=now + timedelta(hours=9), priority=low
    )
    await company.raise_task("director", title="远", assignee_id="lead", due_time=now + timedelta(days=3))
    answer = await listed(company, "lead")
    assert titles(answer) == ["急", "报价", "缓", "远"], "by due time, then by priority"
    line = answer.items[1]
    assert (line.type, line.id, line.etag, line.kind) == (worklist_pb2.WORK_TYPE_APPROVAL, held.id, held.etag, "quote")
    assert (line.account_name, line.amount.units, line.discount_ratio) == ("阿克姆", 88_000, 0.15)
    assert (line.from_person_id, line.step, line.due_time) == ("rep", 1, held.due_time)
    assert "above 10 % needs the manager" in line.explanation
    assert answer.counts == worklist_pb2.WorkCounts(approvals=1, tasks=3, due_today=3)
    await company.live.advance(hours=2)
    answer = await listed(company, "director")
    assert [(i.title, i.overdue, i.escalation_level) for i in answer.items] == [("急", True, 1)]
    assert answer.counts.overdue == 1
    # Whoever comes in the list decides with the etag he was shown.
    await company.decide("lead", held, etag=(await listed(company, "lead")).items[0].etag)
    assert titles(await listed(company, "lead")) == ["缓", "远"]


async def test_what_was_returned_and_what_sleeps(company: Company) -> None:
    held = await company.decide("lead", await company.ask(approval(told=facts(0.15))), "RETURN", comment="补充毛利")
    task = await company.raise_task("lead", title="回访", assignee_id="rep")
    answer = await listed(company, "rep")
    assert [(i.type, i.from_person_id) for i in answer.items] == [
        (worklist_pb2.WORK_TYPE_TASK, "lead"),
        (worklist_pb2.WORK_TYPE_RETURNED_REQUEST, "lead"),
    ]
    assert answer.items[1].id == held.id
    assert answer.items[1].explanation == "补充毛利"
    until = company.live.now + timedelta(hours=1)
    await company.tasks("rep").SnoozeTask(
        tasks_pb2.SnoozeTaskRequest(request_id=rid(), id=task.id, etag=task.etag, until=until)
    )
    answer = await listed(company, "rep")
    assert (len(answer.items), answer.counts) == (1, worklist_pb2.WorkCounts(returned_requests=1, snoozed=1))
    await company.live.advance(hours=2)
    assert (await listed(company, "rep")).counts.tasks == 1


@pytest.mark.mission("U9")
async def test_delegated_work_stands_among_one_s_own_and_says_for_whom(company: Company) -> None:
    await company.ask(approval(quote(title="小", subject_id="1"), facts(0.15, 1_000)))
    await company.ask(approval(quote(title="大", subject_id="2"), facts(0.15, 90_000)))
    await company.ask(
        approval(quote(title="自己的", subject_id="3"), facts(0.15, 1_000, owner="peer"), submitter="peer")
    )
    event = events_pb2.TaskRequested(
        content=tasks_pb2.TaskContent(
            kind="review", title="复盘", assignee_id="lead", origin="funnel", cause_key="x", outcomes=["ok"]
        )
    )
    await company.live.hear(event, "x", source="funnel")
    await company.raise_task("lead", title="本人", assignee_id="peer")
    period = {"start_time": company.live.now, "end_time": company.live.now + timedelta(hours=4)}
    await company.delegations("lead").CreateDelegation(
        delegations_pb2.CreateDelegationRequest(
            request_id=rid(),
            delegate_id="peer",
            period=period,
            reason="出差",
            request_kinds=["quote"],
            task_kinds=["review"],
            amount_limit={"currency_code": "CNY", "units": 50_000},
        )
    )
    answer = await listed(company, "peer")
    assert [(i.title, i.on_behalf_of) for i in answer.items] == [("小", "lead"), ("本人", ""), ("复盘", "lead")]
    assert list(answer.items[2].outcomes) == ["ok"]
    assert titles(await listed(company, "peer", on_behalf_only=True)) == ["小", "复盘"]
    assert titles(await listed(company, "peer", types=[worklist_pb2.WORK_TYPE_TASK], kind="review")) == ["复盘"]
    assert titles(await listed(company, "peer", due_before=company.live.now + timedelta(hours=10))) == ["小"]
    assert len((await listed(company, "lead")).items) == 4, "the delegator keeps his list"
    await company.live.advance(hours=5)
    assert titles(await listed(company, "peer")) == ["本人"]


async def test_whose_list_may_be_read(company: Company) -> None:
    await company.ask()
    assert len((await listed(company, "director", person_id="lead")).items) == 1
    assert len((await listed(company, "ops", person_id="lead")).items) == 1
    for person in ("rep", "north_director"):
        with company.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
            await listed(company, person, person_id="lead")
    with company.live.refused("NOT_FOUND", "PERSON_UNKNOWN"):
        await listed(company, "ops", person_id="nobody")
    empty = await company.worklist("stranger", "rep").ListWork(worklist_pb2.ListWorkRequest())
    assert (len(empty.items), empty.counts) == (0, worklist_pb2.WorkCounts())


async def test_a_long_list_is_paged_without_loss(company: Company) -> None:
    same = company.live.now + timedelta(hours=20)
    rows = [
        tasks_pb2.TaskContent(
            kind="follow_up",
            title=f"{n}",
            assignee_id="lead",
            origin="import",
            cause_key=f"{n}",
            due_time=same,
            priority=1 + n % 4,
        )
        for n in range(25)
    ]
    await company.tasks("ops").BulkRaiseTasks(tasks_pb2.BulkRaiseTasksRequest(request_id=rid(), rows=rows))
    await company.ask(approval(told=facts(0.15)))
    seen, token = [], ""
    while True:
        answer = await listed(company, "lead", page_size=4, page_token=token)
        seen += titles(answer)
        assert answer.counts.tasks == 25
        token = answer.next_page_token
        if not token:
            break
    assert (len(seen), len(set(seen))) == (26, 26)
    with company.live.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await listed(company, "lead", page_token="bm9uc2Vuc2U")
