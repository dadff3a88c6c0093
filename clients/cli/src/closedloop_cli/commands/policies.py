"""Approval policies: as they read, a route tried, a changed rulebook tried on the past."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from closedloop.approvals.v1 import policies_pb2 as pb
from closedloop.approvals.v1 import policies_pb2_grpc
from closedloop.common.v1.common_pb2 import Ownership
from closedloop_cli import shapes
from closedloop_cli.commands.rules import read_body
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Policies: which signatures a matter needs.")

Draft = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a body of approvals.policies, JSON or YAML")]


@app.command("list")
def list_(ctx: typer.Context, kind: Annotated[str, typer.Option(help='e.g. "quote"')] = "") -> None:
    """The policies in force, in order of precedence."""
    run = session(ctx)
    request = pb.ListPoliciesRequest(kind=kind)
    run.screen.records(_POLICIES, run.pages(_stub(run).ListPolicies, request, "policies"))


@app.command()
def route(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(help='e.g. "quote"')],
    amount: Annotated[str, typer.Option(help='e.g. "120000 CNY"')] = "",
    discount: Annotated[float | None, typer.Option(min=0, max=1, help="off the list price, 0.15 is 15 %")] = None,
    margin: Annotated[float | None, typer.Option(max=1, help="expected, 0.3 is 30 %")] = None,
    account: Annotated[str, typer.Option(help="its id; matters of one account may count together")] = "",
    grade: Annotated[str, typer.Option(help="of the account")] = "",
    region: Annotated[str, typer.Option(help="code of the account's region")] = "",
    owner: Annotated[str, typer.Option(help="yours when absent")] = "",
    major: Annotated[bool, typer.Option("--major", help="a major project")] = False,
    draft: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="under this rulebook instead")] = None,
) -> None:
    """The signatures a matter would need, opening nothing."""
    run = session(ctx)
    facts = pb.Facts(
        amount=shapes.parse_money(amount, "--amount") if amount else None,
        account_id=account,
        account_grade=grade,
        region=region,
        major_project=major,
        ownership=Ownership(owner_id=owner),
    )
    if discount is not None:
        facts.discount_ratio = discount
    if margin is not None:
        facts.margin_ratio = margin
    request = pb.PreviewRouteRequest(kind=kind, facts=facts, draft=read_body(draft) if draft else None)
    found = run.call(_stub(run).PreviewRoute, request)
    if run.screen.as_json:
        run.screen.document(plain(found))
        return
    for rule in found.rules:
        run.screen.print(rule.explanation or rule.rule)
    if found.partial:
        run.screen.say("route_partial")
    if not found.approval_required:
        run.screen.say("route_clear")
        return
    if found.accumulated_request_ids:
        total = shapes.money(found.accumulated_amount)
        run.screen.say("route_together", count=len(found.accumulated_request_ids), total=total)
    run.screen.table(_ROUTE, [(step, signer) for step in found.steps for signer in step.signers])


@app.command()
def backtest(
    ctx: typer.Context,
    file: Draft,
    since: Annotated[str, typer.Option("--from", help="e.g. 2026-01-01")],
    until: Annotated[str, typer.Option("--to", help="e.g. 2026-04-01")],
    kind: Annotated[str, typer.Option(help="of this kind only")] = "",
    limit: Annotated[int, typer.Option(min=0, help="differences shown; 0: all that were kept")] = 20,
) -> None:
    """What a changed rulebook would have done to the requests of a past period."""
    run = session(ctx)
    request = pb.BacktestPoliciesRequest(draft=read_body(file), kind=kind)
    request.period.start_time.CopyFrom(shapes.parse_time(since, "--from"))
    request.period.end_time.CopyFrom(shapes.parse_time(until, "--to"))
    found = run.call(_stub(run).BacktestPolicies, request)
    if run.screen.as_json:
        run.screen.document(plain(found))
        return
    run.screen.fields([(name, str(getattr(found, name))) for name in _FIGURES])
    run.screen.table(_LOADS, [load for load in found.loads if load.signatures_before != load.signatures_after])
    run.screen.table(_DIFFERENCES, found.differences[: limit or None])


def _stub(run: Session) -> policies_pb2_grpc.PolicyServiceAsyncStub:
    return run.stub("approvals", policies_pb2_grpc.PolicyServiceStub)


_FIGURES = (
    "examined",
    "changed",
    "signatures_added",
    "signatures_dropped",
    "approved_then_blocked",
    "rejected_then_cleared",
)
_POLICIES = [
    Column("name", lambda policy: policy.name),
    Column("title", lambda policy: policy.title),
    Column("kind", lambda policy: ", ".join(policy.kinds)),
    Column("condition", lambda policy: policy.condition),
    Column("why", lambda policy: policy.explanation),
    Column("signers", lambda policy: "; ".join(", ".join(step.signers) for step in policy.steps)),
]
_ROUTE = [
    Column("step", lambda pair: f"{pair[0].number} {pair[0].name}".strip()),
    Column("mode", lambda pair: shapes.word(pb.StepMode, pair[0].mode)),
    Column("person", lambda pair: pair[1].person_id),
    Column("why", lambda pair: pair[1].reason),
    Column("stands_in", lambda pair: pair[1].delegate_id),
    Column("due_time", lambda pair: shapes.when(pair[0].due_time)),
]
_LOADS = [
    Column("person", lambda load: load.person_id),
    Column("before", lambda load: str(load.signatures_before), right=True),
    Column("after", lambda load: str(load.signatures_after), right=True),
]
_DIFFERENCES = [
    Column("id", lambda difference: difference.request_id),
    Column("before", lambda difference: difference.was),
    Column("after", lambda difference: difference.would_be),
    Column("rule", lambda difference: difference.rule.rule),
]
