"""Pilots: bottlenecks out of the data, a month of trying, what people say of it, before and after."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.funnel.v1 import pilots_pb2 as pb
from closedloop.funnel.v1 import pilots_pb2_grpc, pipelines_pb2
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Pilots: one or two bottlenecks, thirty days, before and after.")

_BOTTLENECKS = [
    Column("key", lambda one: one.key),
    Column("name", lambda one: one.name),
    Column("value", lambda one: shapes.estimate(one.value)),
    Column("healthy", lambda one: f"{one.healthy:g}", right=True),
    Column("certain", lambda one: "?" if one.undecided else "✓"),
    Column("held_up", lambda one: shapes.money(one.cost), right=True),
    Column("evidence", lambda one: "; ".join(each.text for each in one.evidence)),
]
_PILOTS = [
    Column("id", lambda one: one.id),
    Column("name", lambda one: one.name),
    Column("bottleneck", lambda one: ", ".join(each.key for each in one.bottlenecks)),
    Column("unit", lambda one: ", ".join(one.unit_ids)),
    Column("begins", lambda one: shapes.day(one.start_date)),
    Column("ends", lambda one: shapes.day(one.end_date)),
    Column("state", lambda one: shapes.word(pb.PilotState, one.state)),
    Column("decision", lambda one: shapes.word(pb.PilotDecision, one.decision)),
]
_RESULTS = [
    Column("bottleneck", lambda pair: pair[0].name),
    Column("before", lambda pair: shapes.estimate(pair[0].before)),
    Column("after", lambda pair: shapes.estimate(pair[0].after)),
    Column("change", lambda pair: shapes.estimate(pair[0].change)),
    Column("net_effect", lambda pair: shapes.estimate(pair[1])),
]
_FEEDBACK = [
    Column("person", lambda one: one.person_id),
    Column("rating", lambda one: str(one.rating), right=True),
    Column("content", lambda one: one.text),
    Column("time", lambda one: shapes.when(one.time)),
]


@app.command()
def bottlenecks(
    ctx: typer.Context,
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    pipeline: str = "",
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 20,
) -> None:
    """What is worse than healthy, by what it holds up; then what may be, and cannot be said."""
    run = session(ctx)
    request = pb.ListBottlenecksRequest(scope=pipelines_pb2.FunnelScope(unit_id=unit, pipeline_id=pipeline))
    run.screen.records(_BOTTLENECKS, run.pages(_stub(run).ListBottlenecks, request, "bottlenecks", limit))


@app.command()
def start(
    ctx: typer.Context,
    name: str,
    bottleneck: Annotated[list[str], typer.Option(help="a key of `bottlenecks`; one or two")],
    unit: Annotated[list[str], typer.Option(help="where it is tried; may be repeated")],
    measures: Annotated[str, typer.Option(help="what is done differently")],
    begins: Annotated[str, typer.Option("--from", help="first day")],
    ends: Annotated[str, typer.Option("--to", help="last day; thirty days when absent")] = "",
    against: Annotated[list[str] | None, typer.Option(help="units to compare with; may be repeated")] = None,
) -> None:
    """Freezes what was before, and begins."""
    run = session(ctx)
    request = pb.CreatePilotRequest(
        request_id=new_id(),
        name=name,
        bottleneck_keys=bottleneck,
        unit_ids=unit,
        comparison_unit_ids=against or (),
        measures=measures,
        start_date=shapes.parse_day(begins, "--from"),
    )
    if ends:
        request.end_date.CopyFrom(shapes.parse_day(ends, "--to"))
    _show(run, run.call(_stub(run).CreatePilot, request))


@app.command("list")
def list_(
    ctx: typer.Context,
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    state: Annotated[str, typer.Option(help="running or concluded")] = "",
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Newest first."""
    run = session(ctx)
    request = pb.ListPilotsRequest(unit_id=unit)
    if state:
        request.state = shapes.number(pb.PilotState, state, "--state")
    run.screen.records(_PILOTS, run.pages(_stub(run).ListPilots, request, "pilots", limit))


@app.command()
def show(ctx: typer.Context, pilot_id: str) -> None:
    """Before and after so far, against the others, and what people say."""
    run = session(ctx)
    _show(run, run.call(_stub(run).GetPilot, pb.GetPilotRequest(pilot_id=pilot_id)))


@app.command()
def say(
    ctx: typer.Context,
    pilot_id: str,
    rating: Annotated[int, typer.Argument(min=1, max=5, help="1: it hinders .. 5: it helps")],
    text: Annotated[str, typer.Argument()] = "",
) -> None:
    """What you say of it."""
    run = session(ctx)
    request = pb.RecordPilotFeedbackRequest(request_id=new_id(), pilot_id=pilot_id, rating=rating, text=text)
    _show(run, run.call(_stub(run).RecordPilotFeedback, request))


@app.command()
def conclude(
    ctx: typer.Context,
    pilot_id: str,
    decision: Annotated[str, typer.Argument(help="spread, change or drop")],
    conclusion: str,
) -> None:
    """Ends it; its results stay as they are then."""
    run = session(ctx)
    found = run.call(_stub(run).GetPilot, pb.GetPilotRequest(pilot_id=pilot_id))
    request = pb.ConcludePilotRequest(
        request_id=new_id(),
        pilot_id=pilot_id,
        etag=found.etag,
        decision=shapes.number(pb.PilotDecision, decision, "DECISION"),
        conclusion=conclusion,
    )
    _show(run, run.call(_stub(run).ConcludePilot, request))


def _show(run: Session, found: pb.Pilot) -> None:
    fields = [
        ("id", found.id),
        ("name", found.name),
        ("state", shapes.word(pb.PilotState, found.state)),
        ("begins", shapes.day(found.start_date)),
        ("ends", shapes.day(found.end_date)),
        ("measures", found.measures),
        ("decision", shapes.word(pb.PilotDecision, found.decision)),
        ("conclusion", found.conclusion),
    ]
    run.screen.record(found, fields)
    if not found.results:
        run.screen.table(_BOTTLENECKS, found.bottlenecks)
    run.screen.table(_RESULTS, zip(found.results, found.net_effects, strict=True))
    run.screen.table(_FEEDBACK, found.feedback)


def _stub(run: Session) -> pilots_pb2_grpc.PilotServiceAsyncStub:
    return run.stub("funnel", pilots_pb2_grpc.PilotServiceStub)
