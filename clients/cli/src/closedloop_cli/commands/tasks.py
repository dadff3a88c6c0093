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
_LOOP = [
    Column("warning", lambda row: row.warning),
    Column("source", lambda row: row.origin),
    Column("raised", lambda row: str(row.raised), right=True),
    Column("ownerless", lambda row: str(row.without_owner or ""), right=True),
    Column("in_time", lambda row: str(row.acted_in_time or ""), right=True),
    Column("late", lambda row: str(row.acted_late or ""), right=True),
    Column("not_acted", lambda row: str(row.not_acted or ""), right=True),
    Column("worked", lambda row: str(row.worked or ""), right=True),
    Column("recurred", lambda row: str(row.recurred or ""), right=True),
    Column("half_within", lambda row: shapes.hours(row.response_p50), right=True),
    Column("most_within", lambda row: shapes.hours(row.response_p90), right=True),
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
    _show(run, after)


@app.command()
def start(ctx: typer.Context, task_id: str) -> None:
    """Says that you have begun; the time to respond ends here."""
    run = session(ctx)
    request = pb.StartTaskRequest(request_id=new_id(), id=task_id, etag=_etag(run, task_id))
    _show(run, run.call(_stub(run).StartTask, request))


@app.command()
def snooze(
    ctx: typer.Context,
    task_id: str,
    until: Annotated[str, typer.Argument(help="e.g. 2026-04-01T09:00; the due time stays")],
    comment: str = "",
) -> None:
    """Puts a task out of sight until a moment."""
    run = session(ctx)
    moment = shapes.parse_time(until, "UNTIL")
    request = pb.SnoozeTaskRequest(
        request_id=new_id(), id=task_id, etag=_etag(run, task_id), until=moment, comment=comment
    )
    _show(run, run.call(_stub(run).SnoozeTask, request))


@app.command()
def give(ctx: typer.Context, task_id: str, person: str, comment: str = "") -> None:
    """Gives a task to another person; the history says who gave it."""
    run = session(ctx)
    request = pb.DelegateTaskRequest(
        request_id=new_id(), id=task_id, etag=_etag(run, task_id), person_id=person, comment=comment
    )
    _show(run, run.call(_stub(run).DelegateTask, request))


@app.command()
def cancel(
    ctx: typer.Context, task_id: str, reason: Annotated[str, typer.Option(help="why nobody needs it any more")]
) -> None:
    """Takes back a task that you, or somebody below you, raised."""
    run = session(ctx)
    request = pb.CancelTaskRequest(request_id=new_id(), id=task_id, etag=_etag(run, task_id), reason=reason)
    _show(run, run.call(_stub(run).CancelTask, request))


@app.command()
def report(
    ctx: typer.Context,
    since: Annotated[str, typer.Option("--from", help="raised from, e.g. 2026-01-01")],
    until: Annotated[str, typer.Option("--to", help="raised before")],
    unit: Annotated[str, typer.Option(help="with all below it")] = "",
    warning: Annotated[str, typer.Option(help='e.g. "funnel.stage_dwell"')] = "",
) -> None:
    """Each kind of warning: had it an owner, an action in time, an action that worked?"""
    run = session(ctx)
    request = pb.GetLoopReportRequest(unit_id=unit, warning=warning)
    request.period.start_time.CopyFrom(shapes.parse_time(since, "--from"))
    request.period.end_time.CopyFrom(shapes.parse_time(until, "--to"))
    run.screen.records(_LOOP, run.call(_stub(run).GetLoopReport, request).rows)


def _etag(run: Session, task_id: str) -> str:
    return run.call(_stub(run).GetTask, pb.GetTaskRequest(id=task_id)).etag


def _show(run: Session, task: pb.Task) -> None:
    fields = [
        ("id", task.id),
        ("title", task.content.title),
        ("person", task.assignee_id),
        ("state", shapes.word(pb.TaskState, task.state)),
        ("due_time", shapes.when(task.due_time)),
        ("until", shapes.when(task.snoozed_until)),
        ("outcome", task.outcome),
        ("comment", task.outcome_comment),
        ("by", task.settled_by),
        ("effect", shapes.word(pb.TaskEffect, task.effect)),
    ]
    run.screen.record(task, fields)


def _stub(run: Session) -> tasks_pb2_grpc.TaskServiceAsyncStub:
    return run.stub("approvals", tasks_pb2_grpc.TaskServiceStub)
