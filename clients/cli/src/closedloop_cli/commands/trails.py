"""Trails of requests: proof that nobody touched them, and the document to file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop.approvals.v1 import requests_pb2_grpc
from closedloop_cli import shapes
from closedloop_cli.failures import Refused, Usage
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Trails: what was said, by whom, and that nobody changed it.")


@app.command()
def verify(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(help="of requests")] = None,
    since: Annotated[str, typer.Option("--from", help="opened from, e.g. 2026-01-01")] = "",
    until: Annotated[str, typer.Option("--to", help="opened before")] = "",
) -> None:
    """Recomputes the hash chains. Ends with 1 when an entry was changed, removed or put in."""
    run = session(ctx)
    if not (ids or since or until):
        raise Usage("verify_what")
    request = pb.VerifyTrailRequest(ids=ids or [])
    if since:
        request.opened.start_time.CopyFrom(shapes.parse_time(since, "--from"))
    if until:
        request.opened.end_time.CopyFrom(shapes.parse_time(until, "--to"))
    stub, total = _stub(run), pb.VerifyTrailResponse()
    while True:
        answer = run.call(stub.VerifyTrail, request)
        total.requests_checked += answer.requests_checked
        total.entries_checked += answer.entries_checked
        total.breaks.extend(answer.breaks)
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    if run.screen.as_json:
        run.screen.document(plain(total))
    else:
        run.screen.table(_BREAKS, total.breaks)
        run.screen.say("trail_verified", requests=total.requests_checked, entries=total.entries_checked)
    if total.breaks:
        raise Refused("trail_broken", count=len(total.breaks))


@app.command()
def export(
    ctx: typer.Context,
    request_id: str,
    form: Annotated[str, typer.Option("--format", help="html (to print), markdown or json")] = "html",
    language: Annotated[str, typer.Option("--language", help="zh or en; the company's when absent")] = "",
    out: Annotated[Path | None, typer.Option(help="a file or a folder; stdout when absent")] = None,
) -> None:
    """One request with its trail as a document."""
    run = session(ctx)
    request = pb.ExportTrailRequest(
        id=request_id, format=shapes.number(pb.DocumentFormat, form, "--format"), language=language
    )
    found = run.call(_stub(run).ExportTrail, request)
    if out is None:
        run.screen.raw(found.content.decode())
        return
    file = out / found.file_name if out.is_dir() else out
    file.write_bytes(found.content)
    run.screen.say("trail_exported", file=file, hash=found.trail_hash)


def _stub(run: Session) -> requests_pb2_grpc.RequestServiceAsyncStub:
    return run.stub("approvals", requests_pb2_grpc.RequestServiceStub)


_BREAKS = [
    Column("id", lambda found: found.request_id),
    Column("rank", lambda found: str(found.sequence), right=True),
    Column("problem", lambda found: found.kind),
    Column("expected", lambda found: found.expected_hash[:12]),
    Column("received", lambda found: found.found_hash[:12]),
]
