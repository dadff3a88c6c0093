"""Step 10: the loop regulates itself: what is open has an owner and a clock; what broke was closed."""

from __future__ import annotations

from collections import Counter

from closedloop.approvals.v1 import tasks_pb2, tasks_pb2_grpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Chapter, Tale

PAGE = 1000
BREAKS = 6
OPEN = (tasks_pb2.TASK_STATE_OPEN, tasks_pb2.TASK_STATE_STARTED, tasks_pb2.TASK_STATE_SNOOZED)


def play(tale: Tale) -> None:
    tale.stage.settle()
    _clocks(tale)
    _tasks(tale)
    _nothing_lost(tale)
    rows: list[tuple[str | Text, ...]] = [(break_, by) for break_, by in tale.threads.closed]
    tale.table(
        Text("断点与闭合", "What broke, and what closed it"),
        (Text("断点", "break"), Text("由什么闭合", "closed by")),
        rows,
    )
    tale.facts(closed=[{"break": break_.en, "by": by.en} for break_, by in tale.threads.closed])
    tale.check(f"{len(rows)} 个断点全部闭合", f"all {len(rows)} breaks were closed in this story", len(rows) == BREAKS)


def _clocks(tale: Tale) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    kinds: set[str] = set()
    for service in tale.stage.services:
        clocks = tale.stage.stub(platform_pb2_grpc.ClockServiceStub, OPERATIONS, service)
        token = ""
        while True:
            page = clocks.ListClocks(platform_pb2.ListClocksRequest(page_size=PAGE, page_token=token))
            for clock in page.clocks:
                state = platform_pb2.ClockState.Name(clock.state).removeprefix("CLOCK_STATE_").lower()
                counted[clock.kind, state] += 1
                kinds.add(clock.kind)
            token = page.next_page_token
            if not token:
                break
    states = ("open", "met", "breached", "cancelled")
    rows: list[tuple[str | Text, ...]] = [
        (kind, *(str(counted[kind, state]) for state in states)) for kind in sorted(kinds)
    ]
    heads = (
        Text("时钟", "clock"),
        Text("计时中", "running"),
        Text("按时", "met"),
        Text("超时", "breached"),
        Text("取消", "cancelled"),
    )
    tale.table(Text("时钟", "Clocks"), heads, rows)
    tale.facts(clocks={kind: {state: counted[kind, state] for state in states} for kind in sorted(kinds)})
    tale.check(
        "每条时间规则都有自己的时钟",
        "every time rule of the story has its clocks",
        {"customers.first_response", "customers.silence", "funnel.stage_dwell", "approvals.decision"} <= kinds,
    )


def _tasks(tale: Tale) -> None:
    tasks = tale.stage.stub(tasks_pb2_grpc.TaskServiceStub, OPERATIONS)
    found = tasks.ListTasks(tasks_pb2.ListTasksRequest(states=OPEN, page_size=PAGE)).tasks
    rows: list[tuple[str | Text, ...]] = [
        (tale.name(task.assignee_id), task.content.kind, task.content.title, task.content.warning)
        for task in found[:10]
    ]
    heads = (Text("谁", "who"), Text("类型", "kind"), Text("任务", "task"), Text("起因", "warning"))
    tale.table(Text(f"未了任务 {len(found)} 项", f"{len(found)} open tasks"), heads, rows)
    tale.facts(open_tasks=len(found))
    tale.rule(
        "approvals",
        "approvals.tasks",
        "每项任务有负责人和时限，到期逐级上报",
        "every task has an owner and a due time, and goes up the line when it passes",
    )
    [clock] = tale.stage.clocks("approvals", "approvals.task", found[0].id)
    tale.clock(clock)
    tale.check(
        f"{len(found)} 项未了任务，项项有人负责、有期限",
        f"{len(found)} open tasks, each with its owner and its due time",
        all(task.assignee_id in tale.company.person and task.HasField("due_time") for task in found),
    )


def _nothing_lost(tale: Tale) -> None:
    left: dict[str, int] = {}
    for service in tale.stage.services:
        events = tale.stage.stub(platform_pb2_grpc.EventServiceStub, OPERATIONS, service)
        backlog = events.GetEventBacklog(platform_pb2.GetEventBacklogRequest())
        left[service] = int(backlog.parked)
    tale.facts(parked=left)
    tale.check(
        "五个服务之间没有一条消息搁浅", "not one event between the five services is stranded", not any(left.values())
    )


CHAPTER = Chapter(
    id="10",
    title=Text("闭环：自我调节", "The loop regulates itself"),
    rows=("U-A",),
    play=play,
    needs=("2", "3", "4", "5", "6", "7", "8", "9"),
)
