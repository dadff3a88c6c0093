"""Management put to the test: actions with their quarters, and A/B tests with what they could find and did."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop.funnel.v1 import experiments_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Management actions, quarter by quarter, and A/B tests of them.")

_ACTIONS = [
    Column("id", lambda one: one.id),
    Column("name", lambda one: one.name),
    Column("metric", lambda one: one.metric_key),
    Column("owner", lambda one: one.ownership.owner_id),
    Column("core", lambda one: "*" if one.core else ""),
    Column("state", lambda one: shapes.word(pb.ManagementActionState, one.state)),
    Column("flat_quarters", lambda one: str(one.flat_quarters or ""), right=True),
    Column("experiment", lambda one: one.experiment_id),
]
_QUARTERS = [
    Column("quarter", lambda one: shapes.day(one.quarter)),
    Column("value", lambda one: shapes.estimate(one.value)),
    Column("change", lambda one: shapes.estimate(one.change)),
    Column("flat", lambda one: "*" if one.flat else ""),
]
_EXPERIMENTS = [
    Column("id", lambda one: one.id),
    Column("hypothesis", lambda one: one.hypothesis),
    Column("metric", lambda one: one.design.metric_key),
    Column("state", lambda one: shapes.word(pb.ExperimentState, one.state)),
    Column("begins", lambda one: shapes.when(one.start_time)),
    Column("ends", lambda one: shapes.when(one.planned_end_time)),
    Column("verdict", lambda one: one.verdict),
]
_ARMS = [
    Column("arm", lambda arm: arm.name),
    Column("drawn", lambda arm: str(len(arm.unit_ids)), right=True),
    Column("value", lambda arm: shapes.estimate(arm.value) if arm.HasField("value") else ""),
]


@app.command()
def actions(
    ctx: typer.Context,
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    owner: str = "",
    core: Annotated[bool, typer.Option(help="only those to be tested this quarter")] = False,
    flat: Annotated[int, typer.Option(min=0, help="so many flat quarters in a row at the least")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """What managers hold to, newest first."""
    run = session(ctx)
    request = pb.ListManagementActionsRequest(unit_id=unit, owner_id=owner, core_only=core, least_flat_quarters=flat)
    run.screen.records(_ACTIONS, run.pages(_stub(run).ListManagementActions, request, "actions", limit))


@app.command()
def action(ctx: typer.Context, action_id: str) -> None:
    """One action with its quarters, and what others do instead where two were flat."""
    run = session(ctx)
    found = run.call(_stub(run).GetManagementAction, pb.GetManagementActionRequest(action_id=action_id))
    _show_action(run, found)


@app.command()
def register(
    ctx: typer.Context,
    name: str,
    metric: Annotated[str, typer.Option(help="what it should move: visit_completion, win_rate...")],
    since: Annotated[str, typer.Option(help="its first day, today at the latest")],
    owner: Annotated[str, typer.Option(help="you, when absent; needed, or --as, where the caller is no person")] = "",
    core: Annotated[bool, typer.Option(help="to be tested this quarter")] = False,
) -> None:
    """Registers what a manager holds to; from now on every quarter of it is judged."""
    run = session(ctx)
    request = pb.CreateManagementActionRequest(
        request_id=new_id(),
        owner_id=owner,
        name=name,
        metric_key=metric,
        core=core,
        start_date=shapes.parse_day(since, "--since"),
    )
    _show_action(run, run.call(_stub(run).CreateManagementAction, request))


@app.command("list")
def list_(
    ctx: typer.Context,
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    state: Annotated[str, typer.Option(help="draft, running or concluded")] = "",
    quarter: Annotated[str, typer.Option(help="any day of it")] = "",
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Tests, newest first."""
    run = session(ctx)
    request = pb.ListExperimentsRequest(unit_id=unit)
    if state:
        request.state = shapes.number(pb.ExperimentState, state, "--state")
    if quarter:
        request.quarter.CopyFrom(shapes.parse_day(quarter, "--quarter"))
    run.screen.records(_EXPERIMENTS, run.pages(_stub(run).ListExperiments, request, "experiments", limit))


@app.command()
def show(ctx: typer.Context, experiment_id: str) -> None:
    """One test: what it could find, and what the stopping rule lets be seen."""
    run = session(ctx)
    _show(run, run.call(_stub(run).GetExperiment, pb.GetExperimentRequest(experiment_id=experiment_id)))


@app.command()
def design(
    ctx: typer.Context,
    action_id: str,
    hypothesis: str,
    metric: Annotated[str, typer.Option(help="what it should move")],
    effect: Annotated[
        float, typer.Option(help="the least worth finding, in the metric's unit; its sign says which way")
    ],
    days: Annotated[int, typer.Option(min=1, help="how long")],
    of: Annotated[str, typer.Option(help="who is drawn: person, team or account")] = "person",
    unit: Annotated[str, typer.Option(help="whose; that of the action when absent")] = "",
    stratum: Annotated[list[str] | None, typer.Option(help="unit, tenure, customer_type...; may be repeated")] = None,
    looks: Annotated[int, typer.Option(min=0, help="on the way")] = 0,
) -> None:
    """Fixes a test beforehand; refused with its power where there are too few."""
    run = session(ctx)
    fixed = pb.ExperimentDesign(
        metric_key=metric,
        assignment_unit=shapes.number(pb.AssignmentUnit, of, "--of"),
        least_effect=effect,
        length=Duration(seconds=int(timedelta(days=days).total_seconds())),
        interim_looks=looks,
        strata=stratum or (),
        unit_id=unit,
    )
    request = pb.CreateExperimentRequest(request_id=new_id(), action_id=action_id, hypothesis=hypothesis, design=fixed)
    _show(run, run.call(_stub(run).CreateExperiment, request))


@app.command()
def start(
    ctx: typer.Context,
    experiment_id: str,
    seed: Annotated[int | None, typer.Option(help="draws the same arms again; made by the server when absent")] = None,
) -> None:
    """Draws the arms and begins; from here on nothing of the design changes."""
    run = session(ctx)
    found = run.call(_stub(run).GetExperiment, pb.GetExperimentRequest(experiment_id=experiment_id))
    request = pb.StartExperimentRequest(request_id=new_id(), experiment_id=experiment_id, etag=found.etag, seed=seed)
    _show(run, run.call(_stub(run).StartExperiment, request))


@app.command()
def conclude(
    ctx: typer.Context,
    experiment_id: str,
    reason: Annotated[str, typer.Option(help="required before the planned end")] = "",
) -> None:
    """Ends it and says what is known: keep, drop, or that it cannot be said."""
    run = session(ctx)
    found = run.call(_stub(run).GetExperiment, pb.GetExperimentRequest(experiment_id=experiment_id))
    request = pb.ConcludeExperimentRequest(
        request_id=new_id(), experiment_id=experiment_id, etag=found.etag, stop_reason=reason
    )
    _show(run, run.call(_stub(run).ConcludeExperiment, request))


def _show_action(run: Session, found: pb.ManagementAction) -> None:
    fields = [
        ("id", found.id),
        ("name", found.name),
        ("metric", found.metric_key),
        ("owner", found.ownership.owner_id),
        ("state", shapes.word(pb.ManagementActionState, found.state)),
        ("flat_quarters", str(found.flat_quarters)),
        ("experiment", found.experiment_id),
        ("comparison", found.comparison.summary),
    ]
    run.screen.record(found, fields)
    run.screen.table(_QUARTERS, found.quarters)


def _show(run: Session, found: pb.Experiment) -> None:
    detectable = f"{found.detectable_effect:.3g} {found.baseline.unit}" if found.HasField("detectable_effect") else ""
    fields = [
        ("id", found.id),
        ("hypothesis", found.hypothesis),
        ("state", shapes.word(pb.ExperimentState, found.state)),
        ("baseline", shapes.estimate(found.baseline)),
        ("power", shapes.ratio(found.power_ratio)),
        ("needed_per_arm", str(found.needed_sample_size)),
        ("detectable", detectable),
        ("stopping_rule", found.stopping_rule),
        ("seed", str(found.seed or "")),
        ("begins", shapes.when(found.start_time)),
        ("ends", shapes.when(found.planned_end_time)),
        ("effect", shapes.estimate(found.effect)),
        ("verdict", found.verdict),
    ]
    run.screen.record(found, fields)
    run.screen.table(_ARMS, found.arms)


def _stub(run: Session) -> experiments_pb2_grpc.ExperimentServiceAsyncStub:
    return run.stub("funnel", experiments_pb2_grpc.ExperimentServiceStub)
