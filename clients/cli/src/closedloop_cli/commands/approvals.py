"""Approvals: what waits for my signature, one matter with its trail, the decision."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop.approvals.v1 import requests_pb2_grpc, worklist_pb2, worklist_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.commands import delegations, policies, trails
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Approvals: every human decision, on time.")
app.add_typer(policies.app, name="policies")
app.add_typer(trails.app, name="trail")
app.add_typer(delegations.app, name="delegations")

WORK = [
    Column("id", lambda item: item.id),
    Column("kind", lambda item: item.kind),
    Column("title", lambda item: item.title),
    Column("from", lambda item: item.from_person_id),
    Column("on_behalf_of", lambda item: item.on_behalf_of),
    Column("amount", lambda item: shapes.money(item.amount), right=True),
    Column(
        "discount",
        lambda item: shapes.ratio(item.discount_ratio) if item.HasField("discount_ratio") else "",
        right=True,
    ),
    Column("due_time", lambda item: shapes.when(item.due_time)),
    Column("level", lambda item: str(item.escalation_level or ""), right=True),
    Column("light", lambda item: shapes.light(item.light)),
]


@app.command()
def inbox(
    ctx: typer.Context,
    person: Annotated[str, typer.Option(help="whose; yours when absent")] = "",
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Signatures asked of you and requests that came back to you, the most urgent first."""
    run = session(ctx)
    types = [worklist_pb2.WORK_TYPE_APPROVAL, worklist_pb2.WORK_TYPE_RETURNED_REQUEST]
    request = worklist_pb2.ListWorkRequest(person_id=person, types=types)
    stub = run.stub("approvals", worklist_pb2_grpc.WorklistServiceStub)
    run.screen.records(WORK, run.pages(stub.ListWork, request, "items", limit), empty="inbox_empty")


@app.command()
def show(ctx: typer.Context, request_id: str) -> None:
    """One request with its steps, its signers and its trail."""
    run = session(ctx)
    stub = _stub(run)
    found = run.call(stub.GetRequest, pb.GetRequestRequest(id=request_id))
    trail = list(run.pages(stub.ListTrail, pb.ListTrailRequest(id=request_id), "entries"))
    if run.screen.as_json:
        run.screen.document({**plain(found), "trail": [plain(entry) for entry in trail]})
        return
    _show(run, found)
    run.screen.table(_TRAIL, trail)


@app.command()
def decide(
    ctx: typer.Context,
    request_id: str,
    verdict: Annotated[str, typer.Argument(help="approve, reject or return")],
    comment: Annotated[str, typer.Option(help="obligatory for reject and return")] = "",
    conditions: Annotated[str, typer.Option(help="with approve: what must be kept")] = "",
    step: Annotated[int, typer.Option(min=0, help="where several steps ask you")] = 0,
    return_to: Annotated[int, typer.Option(min=0, help="with return: an earlier step; 0: the submitter")] = 0,
    on_behalf_of: Annotated[str, typer.Option(help="whom you stand in for")] = "",
) -> None:
    """Decides a request you are asked to sign."""
    run = session(ctx)
    stub = _stub(run)
    found = run.call(stub.GetRequest, pb.GetRequestRequest(id=request_id))
    request = pb.DecideRequest(
        request_id=new_id(),
        id=request_id,
        etag=found.etag,
        step=step,
        verdict=shapes.number(pb.Verdict, verdict, "VERDICT"),
        comment=comment,
        return_to_step=return_to,
        conditions=conditions,
        on_behalf_of=on_behalf_of,
    )
    after = run.call(stub.Decide, request)
    if run.screen.as_json:
        run.screen.document(plain(after))
    else:
        _show(run, after)


@app.command()
def recall(
    ctx: typer.Context, request_id: str, reason: Annotated[str, typer.Option(help="why you take it back")]
) -> None:
    """Takes back a request of yours that is not decided yet."""
    run = session(ctx)
    stub = _stub(run)
    found = run.call(stub.GetRequest, pb.GetRequestRequest(id=request_id))
    request = pb.RecallRequest(request_id=new_id(), id=request_id, etag=found.etag, reason=reason)
    after = run.call(stub.Recall, request)
    if run.screen.as_json:
        run.screen.document(plain(after))
    else:
        _show(run, after)


@app.command()
def turnaround(
    ctx: typer.Context,
    since: Annotated[str, typer.Option("--from", help="e.g. 2026-01-01")],
    until: Annotated[str, typer.Option("--to", help="e.g. 2026-04-01")],
    by: Annotated[str, typer.Option(help="policy, person, unit or kind")] = "policy",
    unit: Annotated[str, typer.Option(help="with all below it")] = "",
    kind: Annotated[str, typer.Option(help='e.g. "quote"')] = "",
) -> None:
    """Working time to decide, and the share decided in time."""
    run = session(ctx)
    request = pb.GetTurnaroundRequest(
        grouping=shapes.number(pb.TurnaroundGrouping, by, "--by"), unit_id=unit, kind=kind
    )
    request.period.start_time.CopyFrom(shapes.parse_time(since, "--from"))
    request.period.end_time.CopyFrom(shapes.parse_time(until, "--to"))
    run.screen.records(_TURNAROUND, run.call(_stub(run).GetTurnaround, request).rows)


def _stub(run: Session) -> requests_pb2_grpc.RequestServiceAsyncStub:
    return run.stub("approvals", requests_pb2_grpc.RequestServiceStub)


def _show(run: Session, request: pb.Request) -> None:
    subject = request.subject
    run.screen.fields(
        [
            ("id", request.id),
            ("title", subject.title),
            ("kind", subject.kind),
            ("summary", subject.summary),
            ("state", shapes.word(pb.RequestState, request.state)),
            ("from", request.submitter_id),
            ("why", request.reason),
            ("received_time", shapes.when(request.open_time)),
            ("due_time", shapes.when(request.due_time)),
            ("level", str(request.escalation_level or "")),
            ("conditions", request.conditions),
            ("decided_by", request.decided_by),
            ("rule", "; ".join(rule.explanation or rule.rule for rule in request.rules)),
        ]
    )
    signers = [(step, signer) for step in request.steps for signer in step.signers]
    run.screen.table(_SIGNERS, signers)


_TURNAROUND = [
    Column("name", lambda row: row.key),
    Column("decided", lambda row: str(row.decided), right=True),
    Column("half_within", lambda row: shapes.hours(row.p50), right=True),
    Column("most_within", lambda row: shapes.hours(row.p90), right=True),
    Column("in_time", lambda row: shapes.ratio(row.in_time_ratio) if row.decided or row.returned else "", right=True),
    Column("escalated", lambda row: str(row.escalated or ""), right=True),
    Column("returned", lambda row: str(row.returned or ""), right=True),
    Column("rejected", lambda row: str(row.rejected or ""), right=True),
    Column("open", lambda row: str(row.open or ""), right=True),
]
_SIGNERS = [
    Column("step", lambda pair: f"{pair[0].number} {pair[0].name}".strip()),
    Column("person", lambda pair: pair[1].person_id),
    Column("state", lambda pair: shapes.word(pb.SignerState, pair[1].state)),
    Column("on_behalf_of", lambda pair: pair[1].signed_by),
    Column("why", lambda pair: pair[1].reason),
    Column("comment", lambda pair: pair[1].comment),
]
_TRAIL = [
    Column("time", lambda entry: shapes.when(entry.time)),
    Column("by", lambda entry: entry.actor_id),
    Column("on_behalf_of", lambda entry: entry.on_behalf_of),
    Column("action", lambda entry: shapes.word(pb.TrailAction, entry.action)),
    Column("comment", lambda entry: entry.comment),
    Column("person", lambda entry: ", ".join(entry.person_ids)),
    Column("rule", lambda entry: entry.rule.explanation or entry.rule.rule),
]
