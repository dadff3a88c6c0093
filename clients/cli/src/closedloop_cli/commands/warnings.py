"""Warnings of the funnel: who has to act, what was done, and whether it worked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import warnings_pb2 as pb
from closedloop.funnel.v1 import warnings_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Warnings: each has an owner, an action, and a check that it worked.")

_COLUMNS = [
    Column("id", lambda one: one.id),
    Column("light", lambda one: shapes.light(one.light)),
    Column("kind", lambda one: shapes.word(pb.WarningKind, one.kind)),
    Column("subject", lambda one: one.subject_name or one.subject_id),
    Column("owner", lambda one: one.ownership.owner_id),
    Column("raised", lambda one: shapes.when(one.raise_time)),
    Column("action", lambda one: one.action or one.automatic_action),
    Column("state", lambda one: shapes.word(pb.WarningState, one.state)),
    Column("outcome", lambda one: "; ".join(each.text or f"{each.name} {each.value:g}" for each in one.outcome)),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    kind: Annotated[list[str] | None, typer.Option(help="e.g. stage_dwell; may be repeated")] = None,
    state: Annotated[list[str] | None, typer.Option(help="open, acted, worked, failed, gone; may be repeated")] = None,
    owner: Annotated[str, typer.Option(help="who has to act")] = "",
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    light: Annotated[str, typer.Option(help="blue, yellow or red, and darker")] = "",
    days: Annotated[int, typer.Option(min=1, help="how far back")] = 31,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """The page of the last month, newest first."""
    run = session(ctx)
    since = Timestamp()
    since.FromDatetime(datetime.now(UTC) - timedelta(days=days))
    request = pb.ListWarningsRequest(
        kinds=[shapes.number(pb.WarningKind, word, "--kind") for word in kind or ()],
        states=[shapes.number(pb.WarningState, word, "--state") for word in state or ()],
        owner_id=owner,
        unit_id=unit,
        least_light=shapes.number(common_pb2.Light, light, "--light") if light else common_pb2.LIGHT_UNSPECIFIED,
        period=Interval(start_time=since),
    )
    run.screen.records(_COLUMNS, run.pages(_stub(run).ListWarnings, request, "warnings", limit))


@app.command()
def act(
    ctx: typer.Context, warning_id: str, action: Annotated[str, typer.Option(help="what was done about it")]
) -> None:
    """Records what was done; whether it worked is checked by itself."""
    run = session(ctx)
    stub = _stub(run)
    found = run.call(stub.GetWarning, pb.GetWarningRequest(warning_id=warning_id))
    request = pb.RecordWarningActionRequest(request_id=new_id(), warning_id=warning_id, etag=found.etag, action=action)
    after = run.call(stub.RecordWarningAction, request)
    fields = [
        ("id", after.id),
        ("state", shapes.word(pb.WarningState, after.state)),
        ("action", after.action),
        ("check_time", shapes.when(after.check_time)),
    ]
    run.screen.record(after, fields)


def _stub(run: Session) -> warnings_pb2_grpc.WarningServiceAsyncStub:
    return run.stub("funnel", warnings_pb2_grpc.WarningServiceStub)
