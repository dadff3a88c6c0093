"""Tasks: my list, and getting one done."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.approvals.v1 import tasks_pb2 as pb
from closedloop.approvals.v1 import tasks_pb2_grpc, worklist_pb2, worklist_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.commands.approvals import WORK
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Tasks: what a person must do because something happened.")

_COLUMNS = [
    Column("id", lambda task: task.id),
    Column("kind", lambda task: task.content.kind),
    Column("title", lambda task: task.content.title),
    Column("person", lambda task: task.assignee_id),
    Column("state", lambda task: shapes.word(pb.TaskState, task.state)),
    Column("due_time", lambda task: shapes.when(task.due_time)),
    Column("level", lambda task: str(task.escalation_level or ""), right=True),
    Column("warning", lambda task: task.content.warning),
    Column("light", lambda task: shapes.light(task.content.light)),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    everyone: Annotated[bool, typer.Option("--everyone", help="of all you may see, not only yours")] = False,
    person: Annotated[str, typer.Option(help="of this person")] = "",
    state: Annotated[list[str] | None, typer.Option(help="with --everyone or --person; may be repeated")] = None,
    warning: Annotated[str, typer.Option(help='e.g. "funnel.stage_dwell"')] = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="past their due time")] = False,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Tasks that wait for you, the most urgent first."""
    run = session(ctx)
    if not (everyone or person or state or warning or overdue):
        work = worklist_pb2.ListWorkRequest(types=[worklist_pb2.WORK_TYPE_TASK])
        items = run.stub("approvals", worklist_pb2_grpc.WorklistServiceStub).ListWork
        run.screen.records(WORK, run.pages(items, work, "items", limit), empty="tasks_empty")
        return
    states = [shapes.number(pb.TaskState, word, "--state") for word in state or ("open", "started", "snoozed")]
    mine = "" if everyone else person or run.connection.me
    request = pb.ListTasksRequest(states=states, assignee_id=mine, warning=warning, overdue=overdue)
    run.screen.records(_COLUMNS, run.pages(_stub(run).ListTasks, request, "tasks", limit), empty="tasks_empty")


@app.command()
def done(
    ctx: typer.Context,
    task_id: str,
    comment: Annotated[str, typer.Option(help="what was done")] = "",
    outcome: Annotated[str, typer.Option(help="one of the outcomes offered")] = "",
    on_behalf_of: str = "",
) -> None:
    """Settles a task with what was done; who raised it is told."""
    run = session(ctx)
    stub = _stub(run)
    task = run.call(stub.GetTask, pb.GetTaskRequest(id=task_id))
    request = pb.CompleteTaskRequest(
        request_id=new_id(), id=task_id, etag=task.etag, outcome=outcome, comment=comment, on_behalf_of=on_behalf_of
    )
    after = run.call(stub.CompleteTask, request)
    fields = [
        ("id", after.id),
        ("title", after.content.title),
        ("state", shapes.word(pb.TaskState, after.state)),
        ("outcome", after.outcome),
        ("comment", after.outcome_comment),
        ("by", after.settled_by),
        ("effect", shapes.word(pb.TaskEffect, after.effect)),
    ]
    run.screen.record(after, fields)


def _stub(run: Session) -> tasks_pb2_grpc.TaskServiceAsyncStub:
    return run.stub("approvals", tasks_pb2_grpc.TaskServiceStub)
