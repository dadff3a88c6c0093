"""Opportunities: list, show, move on with evidence, close."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.funnel.v1 import opportunities_pb2_grpc, pipelines_pb2
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.failures import Usage
from closedloop_cli.loading import own_fields
from closedloop_cli.screen import Column, Fields
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Opportunities: every step visible, none skipped silently.")

_COLUMNS = [
    Column("id", lambda deal: deal.id),
    Column("name", lambda deal: deal.name),
    Column("account", lambda deal: deal.account_name or deal.account_id),
    Column("stage", lambda deal: deal.stage_key),
    Column("state", lambda deal: shapes.word(pb.OpportunityState, deal.state)),
    Column("amount", lambda deal: shapes.money(deal.amount), right=True),
    Column("owner", lambda deal: deal.ownership.owner_id),
    Column("close_date", lambda deal: shapes.day(deal.close_date) or shapes.day(deal.expected_close_date)),
    Column(
        "dwell_days",
        lambda deal: f"{deal.dwell_days:.1f}" if deal.state == pb.OPPORTUNITY_STATE_OPEN else "",
        right=True,
    ),
    Column("light", lambda deal: shapes.light(deal.dwell_light)),
]

Evidence = Annotated[
    list[str] | None,
    typer.Option(help="KEY=VALUE of a requirement: a note, an id, or JSON for a matrix; may be repeated"),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    query: Annotated[str, typer.Option(help="words of the deal's or the account's name")] = "",
    state: Annotated[list[str] | None, typer.Option(help="open, won, lost; may be repeated")] = None,
    stage: Annotated[list[str] | None, typer.Option(help="stage key; may be repeated")] = None,
    owner: str = "",
    unit: Annotated[str, typer.Option(help="with all units below it")] = "",
    without_account: Annotated[bool, typer.Option("--without-account", help="deals without an account only")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="beyond their stage's limit")] = False,
    field: own_fields.Conditions = None,
    order: Annotated[str, typer.Option(help='e.g. "amount desc", "expected_close_date", "dwell_days desc"')] = "",
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Opportunities, the latest changed first."""
    run = session(ctx)
    request = pb.ListOpportunitiesRequest(
        scope=pipelines_pb2.FunnelScope(unit_id=unit, owner_id=owner),
        states=[shapes.number(pb.OpportunityState, word, "--state") for word in state or ()],
        stage_keys=stage or [],
        query=query,
        without_account=without_account,
        order_by=order,
    )
    if overdue:
        request.least_dwell_light = common_pb2.LIGHT_YELLOW
    own_fields.OwnFields(run, "opportunities").seek(request, field or ())
    run.screen.records(_COLUMNS, run.pages(_stub(run).ListOpportunities, request, "opportunities", limit))


@app.command()
def show(ctx: typer.Context, opportunity_id: str) -> None:
    """One opportunity with its evidence and what its next step still lacks."""
    run = session(ctx)
    _show(run, _get(run, opportunity_id))


@app.command()
def advance(
    ctx: typer.Context,
    opportunity_id: str,
    to: Annotated[str, typer.Option(help="stage key; the next one when absent")] = "",
    evidence: Evidence = None,
    skip_reason: Annotated[str, typer.Option(help="why stages or evidence are passed over")] = "",
    back_reason: Annotated[str, typer.Option(help="why it goes back")] = "",
) -> None:
    """Moves an opportunity to its next stage."""
    run = session(ctx)
    deal = _get(run, opportunity_id)
    request = pb.AdvanceOpportunityRequest(
        request_id=new_id(),
        opportunity_id=opportunity_id,
        etag=deal.etag,
        to_stage_key=to,
        evidence=_evidence(deal, evidence or []),
        skip_reason=skip_reason,
        back_reason=back_reason,
    )
    after = run.call(_stub(run).AdvanceOpportunity, request)
    run.screen.say("moved", name=after.name, before=deal.stage_key, after=after.stage_key)
    _show(run, after)


@app.command()
def close(
    ctx: typer.Context,
    opportunity_id: str,
    outcome: Annotated[str, typer.Argument(help="won or lost")],
    reason: Annotated[str, typer.Option(help="a reason of the pipeline")],
    comment: str = "",
    date: Annotated[str, typer.Option(help="today when absent")] = "",
    amount: Annotated[str, typer.Option(help="what it was won for, e.g. 120000 or '120000 CNY'")] = "",
    evidence: Evidence = None,
    skip_reason: str = "",
) -> None:
    """Wins or loses an opportunity, with its reason."""
    run = session(ctx)
    deal = _get(run, opportunity_id)
    request = pb.CloseOpportunityRequest(
        request_id=new_id(),
        opportunity_id=opportunity_id,
        etag=deal.etag,
        outcome=shapes.number(pb.OpportunityState, outcome, "OUTCOME"),
        reason_code=reason,
        reason_comment=comment,
        close_date=shapes.parse_day(date, "--date") if date else None,
        amount=shapes.parse_money(amount, "--amount", deal.amount.currency_code) if amount else None,
        evidence=_evidence(deal, evidence or []),
        skip_reason=skip_reason,
    )
    after = run.call(_stub(run).CloseOpportunity, request)
    run.screen.say("moved", name=after.name, before=deal.stage_key, after=after.stage_key)
    _show(run, after)


def _stub(run: Session) -> opportunities_pb2_grpc.OpportunityServiceAsyncStub:
    return run.stub("funnel", opportunities_pb2_grpc.OpportunityServiceStub)


def _get(run: Session, opportunity_id: str) -> pb.Opportunity:
    return run.call(_stub(run).GetOpportunity, pb.GetOpportunityRequest(opportunity_id=opportunity_id))


def _evidence(deal: pb.Opportunity, given: list[str]) -> list[pb.StageEvidence]:
    """What was typed, in the form its requirement asks for; unknown keys are notes, and the service judges them."""
    kinds = {requirement.key: requirement.kind for requirement in deal.missing_evidence}
    return [_one(text, kinds) for text in given]


def _one(text: str, kinds: dict[str, pipelines_pb2.EvidenceKind.ValueType]) -> pb.StageEvidence:
    key, equals, value = text.partition("=")
    if not equals or not value:
        raise Usage("evidence_form", text=text)
    kind = kinds.get(key, pipelines_pb2.EVIDENCE_KIND_NOTE)
    evidence = pb.StageEvidence(requirement_key=key, kind=kind)
    if kind == pipelines_pb2.EVIDENCE_KIND_NOTE:
        evidence.note = value
    elif kind in (pipelines_pb2.EVIDENCE_KIND_DOCUMENT, pipelines_pb2.EVIDENCE_KIND_PHOTO):
        evidence.attachment_ids.extend(value.split(","))
    elif kind == pipelines_pb2.EVIDENCE_KIND_MATRIX:
        evidence.content.CopyFrom(_content(value))
    else:
        evidence.record_id = value
    return evidence


def _content(text: str) -> Struct:
    try:
        return json_format.ParseDict(json.loads(text), Struct())
    except (ValueError, json_format.ParseError):
        raise Usage("evidence_not_json", text=text) from None


def _show(run: Session, deal: pb.Opportunity) -> None:
    fields: Fields = [
        ("id", deal.id),
        ("name", deal.name),
        ("account", deal.account_name or deal.account_id),
        ("owner", deal.ownership.owner_id),
        ("unit", deal.ownership.unit_id),
        ("pipeline", deal.pipeline_id),
        ("stage", deal.stage_key),
        ("state", shapes.word(pb.OpportunityState, deal.state)),
        ("amount", shapes.money(deal.amount)),
        ("forecast", shapes.word(pipelines_pb2.ForecastCategory, deal.forecast_category)),
        ("engage_date", shapes.day(deal.engage_date)),
        ("expected_close_date", shapes.day(deal.expected_close_date)),
        ("close_date", shapes.day(deal.close_date)),
        ("reason", " ".join(filter(None, (deal.reason_code, deal.reason_comment)))),
        ("dwell_days", f"{deal.dwell_days:.1f}"),
        ("due_time", shapes.when(deal.stage_due_time)),
        ("light", shapes.light(deal.dwell_light)),
        ("own_fields", own_fields.shown(deal.custom_fields)),
        ("source", f"{deal.provenance.source} {deal.provenance.source_id}".strip()),
    ]
    run.screen.record(deal, fields)
    run.screen.table(_EVIDENCE, deal.evidence)
    run.screen.table(_MISSING, deal.missing_evidence, title=run.words("still_missing"))


_EVIDENCE = [
    Column("time", lambda one: shapes.when(one.time)),
    Column("requirement", lambda one: one.requirement_key),
    Column("kind", lambda one: shapes.word(pipelines_pb2.EvidenceKind, one.kind)),
    Column(
        "content",
        lambda one: (
            one.note or one.record_id or ", ".join(one.attachment_ids) or ("…" if one.HasField("content") else "")
        ),
    ),
    Column("by", lambda one: one.author_id),
]
_MISSING = [
    Column("requirement", lambda one: one.key),
    Column("name", lambda one: one.name),
    Column("kind", lambda one: shapes.word(pipelines_pb2.EvidenceKind, one.kind)),
    Column("mandatory", lambda one: "✓" if one.mandatory else ""),
]
