"""Procurement notices, and the customers found in them."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop.integrations.v1 import notices_pb2_grpc
from closedloop_cli import shapes
from closedloop_cli.screen import Column
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
