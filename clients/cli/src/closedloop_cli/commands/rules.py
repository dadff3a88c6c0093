"""Rulebooks: what is in force, and putting a new version into force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml  # type: ignore[import-untyped]
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop.platform.v1 import platform_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import fleet, shapes
from closedloop_cli.connection import SERVICES
from closedloop_cli.failures import Usage
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Rulebooks: thresholds, weights, pipelines, flows; versioned and dated.")

Name = Annotated[str, typer.Argument(help='e.g. "funnel.pipelines"')]


@app.command("list")
def list_(ctx: typer.Context, service: fleet.Of = "") -> None:
    """The rulebooks of every service with the version in force."""
    run = session(ctx)

    def question(name: str) -> list[pb.Rulebook]:
        return list(run.pages(_stub(run, name).ListRulebooks, pb.ListRulebooksRequest(), "rulebooks"))

    answers = fleet.ask(run, fleet.chosen(run, service), question)
    rows = [(name, book) for name, books in answers for book in books]
    if run.screen.as_json:
        for name, book in rows:
            run.screen.line({"service": name, **plain(book)})
    else:
        run.screen.table(_BOOKS, rows)
    fleet.ended(run)


@app.command()
def show(
    ctx: typer.Context,
    name: Name,
    service: fleet.Of = "",
    version: Annotated[int | None, typer.Option(min=0, help="the one in force when absent; 0: as built in")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="the JSON Schema instead of the body")] = False,
) -> None:
    """One rulebook: its body and its history."""
    run = session(ctx)
    book = _get(run, _owner(name, service), name, version)
    if run.screen.as_json:
        run.screen.document(plain(book))
        return
    body = json_format.MessageToDict(book.schema if schema else book.body)
    run.screen.say(
        "rulebook_version", name=book.name, version=book.version, time=shapes.when(book.effective_time) or "–"
    )
    run.screen.raw(yaml.safe_dump(shapes.whole(body), allow_unicode=True, sort_keys=False).rstrip())
    run.screen.table(_HISTORY, book.history)


@app.command()
def publish(
    ctx: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="the body, JSON or YAML")],
    reason: Annotated[str, typer.Option(help="why it changes")],
    service: fleet.Of = "",
    effective: Annotated[str, typer.Option("--from", help="now when absent, e.g. 2026-04-01T00:00")] = "",
    base_version: Annotated[
        int | None, typer.Option(min=0, help="what it was made from; the one in force when absent")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check, show what would change, change nothing")] = False,
) -> None:
    """Puts a new version into force, after showing what it changes."""
    run = session(ctx)
    owner = _owner(name, service)
    body = read_body(file)
    before = _get(run, owner, name)
    request = pb.PublishRulebookRequest(
        request_id=new_id(),
        name=name,
        body=body,
        effective_time=shapes.parse_time(effective, "--from") if effective else None,
        reason=reason,
        base_version=before.version if base_version is None else base_version,
        validate_only=dry_run,
    )
    after = run.call(_stub(run, owner).PublishRulebook, request)
    if run.screen.as_json:
        run.screen.document(plain(after))
        return
    changes = list(differences(json_format.MessageToDict(before.body), json_format.MessageToDict(body)))
    run.screen.table(_CHANGES, changes)
    run.screen.say(
        "rulebook_checked" if dry_run else "rulebook_published", name=name, version=after.version, changes=len(changes)
    )


def differences(before: Any, after: Any, path: str = "") -> list[tuple[str, str, str]]:
    """(path, before, after) of every leaf that differs; "–" where there is none."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key in dict.fromkeys([*before, *after])
            for found in differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if before == after else [(path, _short(before), _short(after))]


def _owner(name: str, service: str) -> str:
    """A rulebook carries its service's name; those of all services (platform.…) need it said."""
    owner = service or name.partition(".")[0]
    if owner not in SERVICES:
        raise Usage("rulebook_whose", name=name, known=", ".join(SERVICES))
    return owner


def _get(run: Session, service: str, name: str, version: int | None = None) -> pb.Rulebook:
    request = pb.GetRulebookRequest(name=name)
    if version is not None:
        request.version = version
    return run.call(_stub(run, service).GetRulebook, request)


def read_body(file: Path) -> Struct:
    """A rulebook's body, JSON or YAML. Raises Usage for a file that is neither."""
    try:
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
        # Days and times of YAML are text to a rulebook.
        return json_format.ParseDict(json.loads(json.dumps(body, default=str)), Struct())
    except (yaml.YAMLError, UnicodeDecodeError, json_format.ParseError, AttributeError) as error:
        raise Usage("file_unreadable", file=file, problem=str(error).splitlines()[0]) from None


def _stub(run: Session, service: str) -> platform_pb2_grpc.RulebookServiceAsyncStub:
    return run.stub(service, platform_pb2_grpc.RulebookServiceStub)


def _short(value: Any) -> str:
    text = "–" if value is None else json.dumps(shapes.whole(value), ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


_BOOKS = [
    Column("service", lambda row: row[0]),
    Column("name", lambda row: row[1].name),
    Column("version", lambda row: str(row[1].version), right=True),
    Column("since", lambda row: shapes.when(row[1].effective_time)),
    Column("by", lambda row: row[1].author_id),
    Column("reason", lambda row: row[1].reason),
]
_HISTORY = [
    Column("version", lambda book: str(book.version), right=True),
    Column("since", lambda book: shapes.when(book.effective_time)),
    Column("by", lambda book: book.author_id),
    Column("reason", lambda book: book.reason),
]
_CHANGES = [
    Column("field", lambda row: row[0]),
    Column("before", lambda row: row[1]),
    Column("after", lambda row: row[2]),
]
