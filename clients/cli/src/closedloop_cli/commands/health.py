"""Health, grade and the visit brief: how an account stands, and what to win there."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.customers.v1 import (
    grades_pb2,
    grades_pb2_grpc,
    health_pb2,
    health_pb2_grpc,
    quality_pb2,
    quality_pb2_grpc,
    visit_brief_pb2,
    visit_brief_pb2_grpc,
)
from closedloop_cli import shapes
from closedloop_cli.screen import Column, Fields
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Health: how relationships stand, in a number that can be taken apart.")


@app.command("list")
def list_(
    ctx: typer.Context,
    owner: Annotated[list[str] | None, typer.Option(help="person; may be repeated")] = None,
    drop: Annotated[float, typer.Option(min=0, max=100, help="fell by so many points in 30 days")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Accounts by health, the worst first."""
    run = session(ctx)
    request = health_pb2.ListHealthRequest(owner_ids=owner or [], minimum_drop=drop)
    run.screen.records(_HEALTHS, run.pages(_health(run).ListHealth, request, "healths", limit))


@app.command()
def show(ctx: typer.Context, account_id: str) -> None:
    """One account's score, dimension by dimension."""
    run = session(ctx)
    found = run.call(_health(run).GetHealth, health_pb2.GetHealthRequest(account_id=account_id))
    fields: Fields = [
        ("id", found.account_id),
        ("score", f"{found.score:.1f}"),
        ("light", shapes.light(found.light)),
        ("change", f"{found.change:+.1f}"),
        ("rule", found.rule.explanation),
    ]
    run.screen.record(found, fields)
    if not run.screen.as_json:
        run.screen.table(_DIMENSIONS, found.dimensions)


@app.command()
def grade(ctx: typer.Context, account_id: str) -> None:
    """One account's grade, the reason, and what would lift it."""
    run = session(ctx)
    stub = run.stub("customers", grades_pb2_grpc.GradeServiceStub)
    found = run.call(stub.GetGrade, grades_pb2.GetGradeRequest(account_id=account_id))
    fields: Fields = [
        ("id", found.account_id),
        ("grade", found.grade),
        ("reason", found.rule.explanation),
        ("to_next_grade", "\n".join(found.to_next_grade)),
    ]
    run.screen.record(found, fields)


@app.command()
def findings(
    ctx: typer.Context,
    owner: Annotated[list[str] | None, typer.Option(help="person; may be repeated")] = None,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """What is doubtful and waits to be worked off, the worst first."""
    run = session(ctx)
    stub = run.stub("customers", quality_pb2_grpc.QualityServiceStub)
    request = quality_pb2.ListFindingsRequest(owner_ids=owner or [])
    run.screen.records(_FINDINGS, run.pages(stub.ListFindings, request, "findings", limit))


def brief(ctx: typer.Context, account_id: str) -> None:
    """What to win on a visit: two technical concerns and one question of return."""
    run = session(ctx)
    stub = run.stub("customers", visit_brief_pb2_grpc.VisitBriefServiceStub)
    found = run.call(stub.GetVisitBrief, visit_brief_pb2.GetVisitBriefRequest(account_id=account_id))
    fields: Fields = [
        ("name", found.account_name),
        ("grade", found.grade),
        ("score", f"{found.health_score:.1f}"),
        ("light", shapes.light(found.quality_light)),
        ("people", ", ".join(f"{one.name} {one.job_title} {one.influence:.0f}" for one in found.people)),
        ("gaps", "\n".join(found.gaps)),
    ]
    run.screen.record(found, fields)
    if not run.screen.as_json:
        run.screen.table(_POINTS, [*found.technical_concerns, *found.roi_questions])


def _health(run: Session) -> health_pb2_grpc.HealthServiceAsyncStub:
    return run.stub("customers", health_pb2_grpc.HealthServiceStub)


_HEALTHS = [
    Column("id", lambda one: one.account_id),
    Column("score", lambda one: f"{one.score:.1f}", right=True),
    Column("change", lambda one: f"{one.change:+.1f}", right=True),
    Column("light", lambda one: shapes.light(one.light)),
    Column("owner", lambda one: one.ownership.owner_id or f"({one.ownership.unit_id})"),
    Column("why", lambda one: one.rule.explanation),
]
_DIMENSIONS = [
    Column("title", lambda part: part.title),
    Column("score", lambda part: f"{part.points:.0f}", right=True),
    Column("weight", lambda part: shapes.ratio(part.weight_ratio), right=True),
    Column("contribution", lambda part: f"{part.contribution:.1f}", right=True),
    Column("why", lambda part: part.explanation),
]
_FINDINGS = [
    Column("id", lambda one: one.id),
    Column("account", lambda one: one.account_name),
    Column("kind", lambda one: shapes.word(quality_pb2.FindingKind, one.kind)),
    Column("light", lambda one: shapes.light(one.light)),
    Column("owner", lambda one: one.ownership.owner_id or f"({one.ownership.unit_id})"),
    Column("since", lambda one: shapes.when(one.since_time)),
]
_POINTS = [
    Column("topic", lambda point: point.topic),
    Column("concern", lambda point: point.concern),
    Column("person", lambda point: point.contact_name),
    Column("advice", lambda point: point.advice),
    Column("why", lambda point: point.rule.explanation),
]
