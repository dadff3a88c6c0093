"""Suggestions: facts that wait for a person."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from google.protobuf import json_format

from closedloop.customers.v1 import suggestions_pb2 as pb
from closedloop.customers.v1 import suggestions_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Suggestions: nothing is written silently.")


@app.command("list")
def list_(
    ctx: typer.Context,
    account: Annotated[str, typer.Option(help="id of the account")] = "",
    owner: Annotated[list[str] | None, typer.Option(help="who decides; may be repeated")] = None,
    state: Annotated[list[str] | None, typer.Option(help="open when absent; may be repeated")] = None,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Suggestions, the oldest open ones first."""
    run = session(ctx)
    states = [shapes.number(pb.SuggestionState, word, "--state") for word in state or ()]
    request = pb.ListSuggestionsRequest(account_id=account, owner_ids=owner or [], states=states)
    run.screen.records(_COLUMNS, run.pages(_stub(run).ListSuggestions, request, "suggestions", limit))


@app.command()
def confirm(ctx: typer.Context, suggestion_id: str, reason: str = "") -> None:
    """Writes what was suggested into the record, citing its source."""
    _decide(session(ctx), suggestion_id, pb.SUGGESTION_DECISION_CONFIRM, reason)


@app.command()
def reject(
    ctx: typer.Context, suggestion_id: str, reason: Annotated[str, typer.Option(help="so that the reader can learn")]
) -> None:
    """Leaves the record as it is."""
    _decide(session(ctx), suggestion_id, pb.SUGGESTION_DECISION_REJECT, reason)


def _decide(run: Session, suggestion_id: str, decision: pb.SuggestionDecision.ValueType, reason: str) -> None:
    stub = _stub(run)
    found = run.call(stub.GetSuggestion, pb.GetSuggestionRequest(id=suggestion_id))
    request = pb.DecideSuggestionRequest(
        request_id=new_id(), id=suggestion_id, etag=found.etag, decision=decision, reason=reason
    )
    after = run.call(stub.DecideSuggestion, request)
    fields = [
        ("id", after.id),
        ("summary", after.summary),
        ("state", shapes.word(pb.SuggestionState, after.state)),
        ("changes", _changes(after)),
        ("decided_by", after.decided_by),
    ]
    run.screen.record(after, fields)


def _stub(run: Session) -> suggestions_pb2_grpc.SuggestionServiceAsyncStub:
    return run.stub("customers", suggestions_pb2_grpc.SuggestionServiceStub)


def _changes(suggestion: pb.Suggestion) -> str:
    return "; ".join(f"{one.field}: {_value(one, 'present')} → {_value(one, 'proposed')}" for one in suggestion.changes)


def _value(change: pb.SuggestedChange, which: Any) -> str:
    value = getattr(change, which)
    return str(json_format.MessageToDict(value)) if value.WhichOneof("kind") not in (None, "null_value") else "–"


_COLUMNS = [
    Column("id", lambda one: one.id),
    Column("kind", lambda one: shapes.word(pb.SuggestionKind, one.kind)),
    Column("summary", lambda one: one.summary),
    Column("changes", _changes),
    Column("source", lambda one: one.provenance.source),
    Column("owner", lambda one: one.ownership.owner_id),
    Column("due_time", lambda one: shapes.when(one.due_time)),
    Column("state", lambda one: shapes.word(pb.SuggestionState, one.state)),
]
