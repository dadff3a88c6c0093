"""Knowledge: found by words and by where one stands."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.funnel.v1 import knowledge_pb2 as pb
from closedloop.funnel.v1 import knowledge_pb2_grpc
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Knowledge: articles, lessons, scripts, clauses.")


@app.command()
def search(
    ctx: typer.Context,
    words: Annotated[str, typer.Argument(help="what you would ask a colleague")] = "",
    customer_type: str = "",
    industry: str = "",
    stage: Annotated[str, typer.Option(help="<pipeline>/<stage>")] = "",
    opportunity: Annotated[str, typer.Option(help="takes type, industry and stage from the deal")] = "",
    kind: Annotated[list[str] | None, typer.Option(help="lesson, script, clause...; may be repeated")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 10,
) -> None:
    """The best first."""
    run = session(ctx)
    request = pb.SearchKnowledgeRequest(
        query=words,
        customer_type=customer_type,
        industry=industry,
        stage_key=stage,
        opportunity_id=opportunity,
        kinds=[shapes.number(pb.ArticleKind, word, "--kind") for word in kind or ()],
    )
    run.screen.records(_COLUMNS, run.pages(_stub(run).SearchKnowledge, request, "hits", limit))


@app.command()
def show(ctx: typer.Context, article_id: str) -> None:
    """One article with its text."""
    run = session(ctx)
    found = run.call(_stub(run).GetArticle, pb.GetArticleRequest(article_id=article_id))
    fields = [
        ("id", found.id),
        ("kind", shapes.word(pb.ArticleKind, found.kind)),
        ("title", found.title),
        ("content", found.body),
    ]
    run.screen.record(found, fields)


def _stub(run: Session) -> knowledge_pb2_grpc.KnowledgeServiceAsyncStub:
    return run.stub("funnel", knowledge_pb2_grpc.KnowledgeServiceStub)


_COLUMNS = [
    Column("score", lambda hit: f"{hit.score:.2f}", right=True),
    Column("id", lambda hit: hit.article.id),
    Column("kind", lambda hit: shapes.word(pb.ArticleKind, hit.article.kind)),
    Column("title", lambda hit: hit.article.title),
    Column("content", lambda hit: hit.snippet),
]
