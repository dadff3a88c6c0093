"""Warnings of all services: who has to act, what was done, and whether it worked."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import warnings_pb2 as pb
from closedloop.funnel.v1 import warnings_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import fleet, printing, shapes
from closedloop_cli.commands.target_pages import Out
from closedloop_cli.failures import Usage
from closedloop_cli.printing import Page, Section
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session
from closedloop_cli.warned import asking
from closedloop_cli.warned.line import RESULTS, Result

app = typer.Typer(no_args_is_help=True, help="Warnings: each has an owner, an action, and a check that it worked.")

_COLUMNS = [
    Column("id", lambda one: one.id),
    Column("light", lambda one: shapes.light(one.light)),
    Column("kind", lambda one: one.kind),
    Column("subject", lambda one: one.subject),
    Column("owner", lambda one: one.owner_id),
    Column("raised", lambda one: f"{one.raised.astimezone():%Y-%m-%d %H:%M}"),
    Column("action", lambda one: one.action or one.automatic),
]

_SAID: dict[Result, str] = {
    "open": "result_open",
    "cannot_say": "result_cannot_say",
    "worked": "result_worked",
    "did_not_work": "result_did_not_work",
    "gone": "result_gone",
    "called_off": "result_called_off",
    "not_checked": "result_not_checked",
}


@app.command("list")
def list_(
    ctx: typer.Context,
    service: fleet.Of = "",
    kind: Annotated[list[str] | None, typer.Option(help="e.g. stage_dwell, targets.deviation; may be repeated")] = None,
    result: Annotated[list[str] | None, typer.Option(help=f"{', '.join(RESULTS)}; may be repeated")] = None,
    owner: Annotated[str, typer.Option(help="who has to act")] = "",
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    light: Annotated[str, typer.Option(help="blue, yellow or red, and darker")] = "",
    days: Annotated[int, typer.Option(min=1, max=366, help="how far back")] = 31,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
    out: Out = None,
) -> None:
    """The page of the last month over all services, newest first: owner, action, and whether it worked."""
    run = session(ctx)
    unknown = [word for word in result or () if word not in RESULTS]
    if unknown:
        raise Usage("unknown_word", option="--result", word=unknown[0], known=", ".join(RESULTS))
    least = shapes.number(common_pb2.Light, light, "--light") if light else 0
    now = datetime.now(UTC)
    wanted = asking.Wanted(now - timedelta(days=days), now + timedelta(minutes=1), unit)
    found = [
        one
        for one in asking.page(run, wanted, service)
        if one.light >= least
        and (not kind or one.kind in kind or one.kind.partition(".")[2] in kind)
        and (not result or one.result in result)
        and (not owner or one.owner_id == owner)
    ]
    shown = found[:limit] if limit else found
    worked = Column("worked", lambda one: run.words(_SAID[one.result]))
    columns = [*_COLUMNS, worked, Column("outcome", lambda one: one.told)]
    counts = Counter(one.result for one in found)
    told = [f"{run.words(_SAID[one])}: {counts[one]}" for one in RESULTS if counts[one]]
    if out is not None:
        title = run.words("page_warnings", days=days)
        printing.show(Page(title, told, [Section(title, columns, shown)]), run.screen, out)
    elif run.screen.as_json:
        for one in shown:
            run.screen.line(one.document())
    elif run.screen.table(columns, shown):
        run.screen.print(" · ".join(told))
    elif not run.failed:
        run.screen.say("nothing")
    if len(shown) < len(found):
        run.screen.note("list_cut", count=len(shown))
    fleet.ended(run)


@app.command()
def act(
    ctx: typer.Context, warning_id: str, action: Annotated[str, typer.Option(help="what was done about it")]
) -> None:
    """Records what was done about a warning of the funnel; whether it worked is checked by itself."""
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
