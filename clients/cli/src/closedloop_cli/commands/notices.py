"""Procurement notices, and the customers found in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from google.type.interval_pb2 import Interval

from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop.integrations.v1 import notices_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column, plain
from closedloop_cli.session import session

app = typer.Typer(no_args_is_help=True, help="Procurement notices.")


@app.command("list")
def list_(
    ctx: typer.Context,
    query: str = "",
    buyer: Annotated[str, typer.Option(help="the buying unit as published")] = "",
    region: str = "",
    sector: Annotated[str, typer.Option(help='e.g. "education"')] = "",
    kind: Annotated[list[str] | None, typer.Option(help="intention, tender, award...; may be repeated")] = None,
    matched: Annotated[bool, typer.Option("--matched", help="customers found in notices instead")] = False,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Notices, newest first; with --matched the customers found in them."""
    run = session(ctx)
    stub = run.stub("integrations", notices_pb2_grpc.NoticeServiceStub)
    if matched:
        matches = run.pages(stub.ListMatches, pb.ListMatchesRequest(sector=sector), "matches", limit)
        run.screen.records(_MATCHES, matches)
        return
    kinds = [shapes.number(pb.NoticeKind, word, "--kind") for word in kind or ()]
    request = pb.ListNoticesRequest(query=query, buyer=buyer, region=region, sector=sector, kinds=kinds)
    run.screen.records(_NOTICES, run.pages(stub.ListNotices, request, "notices", limit))


@app.command("import")
def import_(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(exists=True, dir_okay=False, help="saved lists: .xlsx, CSV, OCDS JSON, pages")
    ],
    source: Annotated[str, typer.Option(help='whose they are, e.g. "ccgp-shandong"')],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check every row, change nothing")] = False,
) -> None:
    """Every row ends as notice, duplicate, header or quarantine; what is set aside shows `closedloop sources quarantine`."""
    run = session(ctx)
    stub = run.stub("integrations", notices_pb2_grpc.NoticeServiceStub)
    answers = []
    for file in files:
        request = pb.ImportNoticeFileRequest(
            request_id=new_id(),
            file_name=file.name[:200],
            content=file.read_bytes(),
            source=source,
            validate_only=dry_run,
        )
        answers.append((file.name, run.insist(stub.ImportNoticeFile, request)))
    if run.screen.as_json:
        for name, answer in answers:
            run.screen.line({"file": name, **plain(answer)})
        return
    run.screen.table(_FILES, answers)
    run.screen.table(_REFUSED, [(name, error) for name, answer in answers for error in answer.errors])


@app.command()
def accuracy(
    ctx: typer.Context,
    begins: Annotated[str, typer.Option("--from", help="first day, or moment, of matching")],
    ends: Annotated[str, typer.Option("--to", help="the day after the last")] = "",
    source: Annotated[str, typer.Option(help="of one source")] = "",
) -> None:
    """Precision and recall of the matcher by what people said of its matches."""
    run = session(ctx)
    period = Interval(start_time=shapes.parse_time(begins, "--from"))
    if ends:
        period.end_time.CopyFrom(shapes.parse_time(ends, "--to"))
    stub = run.stub("integrations", notices_pb2_grpc.NoticeServiceStub)
    found = run.call(stub.GetMatchAccuracy, pb.GetMatchAccuracyRequest(period=period, source=source))
    run.screen.record(
        found,
        [
            ("sample", str(found.reviewed)),
            ("precision", _share(found, "precision")),
            ("recall", _share(found, "recall")),
            ("right_wrong", f"{found.true_positives} / {found.false_positives}"),
            ("missed", str(found.false_negatives)),
        ],
    )


def _share(found: pb.GetMatchAccuracyResponse, name: str) -> str:
    if not found.HasField(name):  # type: ignore[arg-type]
        return ""
    low, high = getattr(found, f"{name}_low"), getattr(found, f"{name}_high")
    return f"{shapes.ratio(getattr(found, name))} ({shapes.ratio(low)} - {shapes.ratio(high)})"


_FILES = [
    Column("file", lambda row: row[0]),
    Column("read", lambda row: str(row[1].rows_read), right=True),
    Column("notices", lambda row: str(row[1].notices), right=True),
    Column("duplicates", lambda row: str(row[1].duplicates), right=True),
    Column("headers", lambda row: str(row[1].headers), right=True),
    Column("quarantined", lambda row: str(row[1].quarantined), right=True),
    Column("created", lambda row: str(row[1].created), right=True),
    Column("updated", lambda row: str(row[1].updated), right=True),
]
_REFUSED = [
    Column("file", lambda row: row[0]),
    Column("line", lambda row: str(row[1].row), right=True),
    Column("reason", lambda row: row[1].reason),
    Column("message", lambda row: row[1].message),
]
_NOTICES = [
    Column("id", lambda notice: notice.id),
    Column("kind", lambda notice: shapes.word(pb.NoticeKind, notice.kind)),
    Column("buyer", lambda notice: notice.buyer),
    Column("title", lambda notice: notice.title),
    Column("amount", lambda notice: shapes.money(notice.amount), right=True),
    Column("published", lambda notice: shapes.day(notice.publish_date)),
    Column("expected", lambda notice: shapes.day(notice.expected_date)[:7]),
    Column("sector", lambda notice: ", ".join(notice.sectors)),
]
_MATCHES = [
    Column("id", lambda match: match.id),
    Column("account", lambda match: match.account_id),
    Column("name", lambda match: match.matched_name),
    Column("title", lambda match: match.notice.title),
    Column("amount", lambda match: shapes.money(match.notice.amount), right=True),
    Column("confidence", lambda match: shapes.ratio(match.confidence), right=True),
    Column("state", lambda match: shapes.word(pb.MatchState, match.state)),
    Column("sector", lambda match: ", ".join(match.sectors)),
]
