"""Targets: the tree with its attainment, the boards, the leaks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from closedloop.targets.v1 import boards_pb2, boards_pb2_grpc, org_pb2, org_pb2_grpc, plans_pb2, plans_pb2_grpc
from closedloop_chassis.ids import is_id
from closedloop_cli import shapes
from closedloop_cli.commands import target_pages
from closedloop_cli.commands.target_pages import PERSON, PROGRESS, Currency, Limit, Live, Metric, Out, Period, Unit
from closedloop_cli.failures import Refused, Usage
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Targets: tree, boards, leaks, packs, health.")
app.add_typer(target_pages.app)


@app.command()
def tree(
    ctx: typer.Context,
    unit: Unit = "",
    period: Period = "",
    metric: Metric = "",
    depth: Annotated[int, typer.Option(min=0, help="levels; 0: all")] = 0,
    people: Annotated[bool, typer.Option(help="people below their unit")] = True,
    live: Live = True,
) -> None:
    """The organisation with a progress bar of attainment at every unit and person."""
    run = session(ctx)
    org = run.stub("targets", org_pb2_grpc.OrgServiceStub)
    request = org_pb2.GetOrgTreeRequest(unit_id=unit, max_depth=depth, include_people=people)
    answer = run.call(org.GetOrgTree, request)
    while answer.next_page_token:
        request.page_token = answer.next_page_token
        more = run.call(org.GetOrgTree, request)
        answer.nodes.extend(more.nodes)
        answer.next_page_token = more.next_page_token
    progress = _progress(run, answer, unit, period, metric, target_pages.view(live))
    if run.screen.as_json:
        nodes = [
            {**plain(node), "progress": plain(found) if (found := progress.get(_key(node))) else None}
            for node in answer.nodes
        ]
        run.screen.document({"date": shapes.day(answer.date), "nodes": nodes})
        return
    if not answer.nodes:
        run.screen.say("tree_empty")
        return
    run.screen.print(_drawn(answer, progress))


@app.command()
def board(
    ctx: typer.Context,
    unit: Unit = "",
    period: Period = "",
    metric: Metric = "",
    teams: Annotated[bool, typer.Option("--teams", help="units ranked by completion instead of people")] = False,
    kind: Annotated[str, typer.Option(help="with --teams: which level is ranked")] = "",
    currency: Currency = "",
    live: Live = False,
    limit: Limit = 50,
    out: Out = None,
) -> None:
    """Each person's progress, the lowest first; with --teams the ranking of units."""
    if teams:
        target_pages.ranking(ctx, unit, kind, period, metric, currency, live, limit, out)
        return
    run = session(ctx)
    boards = run.stub("targets", boards_pb2_grpc.BoardServiceStub)
    wanted = boards_pb2.ListPersonProgressRequest(
        unit_id=unit, period=period, metric=metric, currency_code=currency, view=target_pages.view(live)
    )
    found = list(run.pages(boards.ListPersonProgress, wanted, "people", limit))
    target_pages.records(run, run.words("page_board"), [*PERSON, *PROGRESS], found, out)


@app.command()
def leak(
    ctx: typer.Context,
    plan: Annotated[str, typer.Argument(help="id or name of the plan")],
    version: Annotated[int, typer.Option(min=0, help="the version in force, or the latest draft, when 0")] = 0,
    metric: Annotated[str, typer.Option(help="the plan's own when it has just one")] = "",
    unit: Unit = "",
    limit: Limit = 20,
) -> None:
    """Where a plan leaks: level by level, per head, and at which nodes."""
    run = session(ctx)
    plans = run.stub("targets", plans_pb2_grpc.PlanServiceStub)
    plan_id, newest = _plan(run, plan)
    if not metric:
        metric = _metric(run, plan_id, version or newest)
    request = plans_pb2.GetLeakReportRequest(
        plan_id=plan_id, version=version, metric=metric, unit_id=unit, leaking_only=True, page_size=limit
    )
    report = run.call(plans.GetLeakReport, request)
    if run.screen.as_json:
        run.screen.document(plain(report))
        return
    run.screen.table(_LEVELS, report.levels, title=run.words("leak_levels", version=report.version, metric=metric))
    heads = report.heads
    if heads.head_count:
        figures = {"low": shapes.ratio(heads.lowest_ratio), "high": shapes.ratio(heads.highest_ratio)}
        run.screen.say("leak_heads", heads=heads.head_count, **figures)
    if not run.screen.table(_NODES, report.nodes, title=run.words("leak_nodes")):
        run.screen.say("leak_none")


def _key(node: org_pb2.OrgNode) -> tuple[str, str]:
    return ("unit", node.unit_id) if node.WhichOneof("member") == "unit_id" else ("person", node.person_id)


def _progress(
    run: Session, tree: org_pb2.OrgTree, unit: str, period: str, metric: str, view: boards_pb2.BoardView.ValueType
) -> dict[tuple[str, str], boards_pb2.Progress]:
    """By node; the ranking tells units level by level."""
    boards = run.stub("targets", boards_pb2_grpc.BoardServiceStub)
    found: dict[tuple[str, str], boards_pb2.Progress] = {}
    kinds = dict.fromkeys(node.kind for node in tree.nodes if node.WhichOneof("member") == "unit_id")
    with run.screen.progress("reading_progress", len(kinds) + 1) as step:
        for kind in kinds:
            ranking = boards_pb2.ListTeamRankingRequest(
                unit_id=unit, kind=kind, period=period, metric=metric, view=view
            )
            for rank in run.pages(boards.ListTeamRanking, ranking, "ranks"):
                found["unit", rank.unit_id] = rank.progress
            step(1)
        if any(node.WhichOneof("member") == "person_id" for node in tree.nodes):
            wanted = boards_pb2.ListPersonProgressRequest(unit_id=unit, period=period, metric=metric, view=view)
            for person in run.pages(boards.ListPersonProgress, wanted, "people"):
                found["person", person.person_id] = person.progress
        step(1)
    return found


def _drawn(tree: org_pb2.OrgTree, progress: dict[tuple[str, str], boards_pb2.Progress]) -> Tree:
    branches: list[Tree] = []
    for node in tree.nodes:
        label = _label(node, progress.get(_key(node)))
        if not branches:
            branches.append(Tree(label, guide_style="dim"))
            continue
        # The parent is the last node before this one that stands higher.
        del branches[max(node.depth, 1) :]
        branches.append(branches[-1].add(label))
    return branches[0]


def _label(node: org_pb2.OrgNode, progress: boards_pb2.Progress | None) -> Text:
    is_unit = node.WhichOneof("member") == "unit_id"
    text = Text.assemble((node.name or _key(node)[1], "bold" if is_unit else ""), " ", (_key(node)[1], "dim"))
    if is_unit and node.total_heads:
        text.append(f" ({node.total_heads})", "dim")
    if progress is not None and progress.HasField("completion_ratio"):
        ratio = progress.completion_ratio
        full = round(max(0.0, min(ratio, 1.0)) * 20)
        text.append("  ")
        text.append("━" * full, shapes.colour(progress.light))
        text.append("━" * (20 - full), "grey37")
        text.append(f" {ratio:.1%}  {shapes.amount(progress.done) or 0} / {shapes.amount(progress.target)}")
    return text


def _plan(run: Session, plan: str) -> tuple[str, int]:
    """Its id and the version a report would take."""
    plans = run.stub("targets", plans_pb2_grpc.PlanServiceStub)
    if is_id(plan):
        found = [run.call(plans.GetPlan, plans_pb2.GetPlanRequest(plan_id=plan))]
    else:
        every = run.pages(plans.ListPlans, plans_pb2.ListPlansRequest(query=plan), "plans")
        listed: list[plans_pb2.Plan] = list(every)
        found = [one for one in listed if one.name == plan] or listed
    if not found:
        raise Refused("plan_unknown", plan=plan)
    if len(found) > 1:
        raise Usage("plan_ambiguous", plan=plan, found="; ".join(f"{one.id} {one.name}" for one in found[:5]))
    return found[0].id, found[0].version_in_force or found[0].latest_version


def _metric(run: Session, plan_id: str, version: int) -> str:
    plans = run.stub("targets", plans_pb2_grpc.PlanServiceStub)
    answer = run.call(plans.GetPlanVersion, plans_pb2.GetPlanVersionRequest(plan_id=plan_id, version=version))
    metrics = [total.metric for total in answer.totals]
    if len(metrics) != 1:
        raise Usage("metric_needed", metrics=", ".join(metrics) or "-")
    return metrics[0]


def _holder(node: plans_pb2.LeakNode) -> str:
    return node.holder.unit_id or node.holder.person_id


_LEVELS = [
    Column("level", lambda row: row.kind),
    Column("nodes", lambda row: str(row.node_count), right=True),
    Column("received", lambda row: shapes.amount(row.received), right=True),
    Column("passed_on", lambda row: shapes.amount(row.passed_on), right=True),
    Column("difference", lambda row: shapes.amount(row.difference), right=True),
    Column("ratio", lambda row: shapes.ratio(row.difference_ratio), right=True),
    Column("cumulative", lambda row: shapes.ratio(row.cumulative_ratio), right=True),
]
_NODES = [
    Column("holder", _holder),
    Column("owner", lambda row: row.owner_id),
    Column("received", lambda row: shapes.amount(row.received), right=True),
    Column("passed_on", lambda row: shapes.amount(row.passed_on), right=True),
    Column("difference", lambda row: shapes.amount(row.difference), right=True),
    Column("ratio", lambda row: shapes.ratio(row.difference_ratio), right=True),
]
