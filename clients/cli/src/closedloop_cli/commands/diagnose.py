"""`closedloop diagnose FOLDER|URL`: what is wrong with a company's data, before anything of it is in the platform."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from closedloop.integrations.v1 import diagnoses_pb2 as pb
from closedloop.integrations.v1 import diagnoses_pb2_grpc
from closedloop_cli import shapes
from closedloop_cli.failures import Unreachable
from closedloop_cli.loading import dataset, diagnosing
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session


def diagnose(
    ctx: typer.Context,
    place: Annotated[
        str,
        typer.Argument(metavar="FOLDER|URL", help="CSV files (plain or .gz), a zip of them, or the address of either"),
    ],
    here: Annotated[bool, typer.Option("--here", help="on this machine, though a platform runs")] = False,
) -> None:
    """The health of an export in minutes: references that lead nowhere, aliases, misspellings, idle people, missing days.

    By the company's own rulebook where its platform is reached; else on this machine, by the rulebook as it comes."""
    run = session(ctx)
    tables = [pb.Dataset(table=name, content=content) for name, content in dataset.tables(place)]
    request = pb.DiagnoseDatasetRequest(tables=tables)
    found = diagnosing.here(request) if here or not _platform(run) else _there(run, request)
    seconds = found.elapsed.seconds + found.elapsed.nanos / 1e9
    run.screen.record(found, [("score", f"{found.score:.0f} / 100"), ("time", f"{seconds:.1f} s")])
    run.screen.table(_TABLES, found.tables)
    run.screen.table(_REFERENCES, found.references)
    if not run.screen.table(_FINDINGS, found.findings):
        run.screen.say("nothing_wrong")


def _platform(run: Session) -> bool:
    """Whether one was named, or runs on this machine."""
    if run.choices.peers:
        return True
    try:
        return bool(run.connection.peers)
    except Unreachable:
        run.screen.note("diagnosed_here")
        return False


def _there(run: Session, request: pb.DiagnoseDatasetRequest) -> pb.Diagnosis:
    return run.call(run.stub("integrations", diagnoses_pb2_grpc.DiagnosisServiceStub).DiagnoseDataset, request)


def _columns(table: Any) -> str:
    return ", ".join(f"{column.name} ({column.type}, {column.fill_ratio:.0%})" for column in table.columns)


_TABLES = [
    Column("file", lambda table: table.table),
    Column("kind", lambda table: table.record_type),
    Column("records", lambda table: f"{table.rows:,}", right=True),
    Column("fields", _columns),
]
_REFERENCES = [
    Column("from", lambda way: f"{way.from_table}.{way.from_column}"),
    Column("to", lambda way: f"{way.to_table}.{way.to_column}"),
    Column("ratio", lambda way: shapes.ratio(way.found_ratio), right=True),
]
_FINDINGS = [
    Column("light", lambda found: shapes.light(found.light)),
    Column("kind", lambda found: found.kind),
    Column("file", lambda found: found.record_type),
    Column("field", lambda found: found.field),
    Column("records", lambda found: f"{found.count:,}", right=True),
    Column("content", lambda found: found.text),
    Column("advice", lambda found: found.suggestion),
]
