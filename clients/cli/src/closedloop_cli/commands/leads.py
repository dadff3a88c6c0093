"""Leads: list, show, take in, answer."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import interactions_pb2, leads_pb2, leads_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column, Fields
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Leads: from the first question to the answer in time.")

_COLUMNS = [
    Column("id", lambda lead: lead.id),
    Column("company", lambda lead: lead.profile.company_name or lead.profile.contact_name),
    Column("stage", lambda lead: shapes.word(leads_pb2.LeadStage, lead.stage)),
    Column("owner", lambda lead: lead.ownership.owner_id or f"({lead.ownership.unit_id})"),
    Column("source", lambda lead: lead.provenance.source),
    Column("received_time", lambda lead: shapes.when(lead.receive_time)),
    Column(
        "due_time", lambda lead: "" if lead.HasField("first_response_time") else shapes.when(lead.response_due_time)
    ),
    Column("light", lambda lead: shapes.light(lead.response_light)),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    query: Annotated[str, typer.Option(help="words of company, contact or need")] = "",
    stage: Annotated[list[str] | None, typer.Option(help="lead, contact, nurture, closed; may be repeated")] = None,
    owner: Annotated[list[str] | None, typer.Option(help="person; may be repeated")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="unit with all below it; may be repeated")] = None,
    unanswered: Annotated[bool, typer.Option("--unanswered", help="those nobody answered yet")] = False,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Leads, what falls due first on top."""
    run = session(ctx)
    request = leads_pb2.ListLeadsRequest(
        query=query,
        stages=[shapes.number(leads_pb2.LeadStage, word, "--stage") for word in stage or ()],
        owner_ids=owner or [],
        unit_ids=unit or [],
        responded=False if unanswered else None,
        order=leads_pb2.LEAD_ORDER_MOST_URGENT,
    )
    run.screen.records(_COLUMNS, run.pages(_stub(run).ListLeads, request, "leads", limit))


@app.command()
def show(ctx: typer.Context, lead_id: str) -> None:
    """One lead with its submissions and its way so far."""
    run = session(ctx)
    _show(run, run.call(_stub(run).GetLead, leads_pb2.GetLeadRequest(id=lead_id)))


@app.command()
def intake(
    ctx: typer.Context,
    company: Annotated[str, typer.Option(help="who asks")] = "",
    contact: Annotated[str, typer.Option(help="the person there")] = "",
    phone: str = "",
    email: str = "",
    wechat: str = "",
    need: Annotated[str, typer.Option(help="in the customer's words")] = "",
    region: Annotated[str, typer.Option(help="region code")] = "",
    industry: Annotated[str, typer.Option(help="industry code")] = "",
    budget: Annotated[str, typer.Option(help='e.g. "200000 CNY"')] = "",
    source: Annotated[str, typer.Option(help="the channel")] = "phone",
    source_id: Annotated[str, typer.Option(help="its id of this inquiry; the same id acts once")] = "",
    owner: Annotated[str, typer.Option(help="by the rules when absent")] = "",
) -> None:
    """Takes in one inquiry; it is assigned at once and its clocks start."""
    run = session(ctx)
    profile = leads_pb2.LeadProfile(
        company_name=company,
        contact_name=contact,
        phone=phone,
        email_address=email,
        wechat_id=wechat,
        need=need,
        region_code=region,
        industry=industry,
        budget=shapes.parse_money(budget, "--budget") if budget else None,
    )
    request = leads_pb2.IntakeLeadRequest(
        request_id=new_id(),
        profile=profile,
        provenance=Provenance(source=source, source_id=source_id),
        owner_id=owner,
    )
    _show(run, run.call(_stub(run).IntakeLead, request))


@app.command()
def respond(
    ctx: typer.Context,
    lead_id: str,
    content: Annotated[str, typer.Option(help="what was said")],
    channel: Annotated[str, typer.Option(help="phone, email, wechat, sms, visit, meeting...")] = "phone",
    reached: Annotated[bool, typer.Option("--reached/--not-reached", help="whether anybody answered")] = True,
    next_contact: Annotated[str, typer.Option(help="agreed next talk, e.g. 2026-01-12")] = "",
) -> None:
    """Records an answer given to a lead; the first one stops its clock."""
    run = session(ctx)
    request = leads_pb2.RecordResponseRequest(
        request_id=new_id(),
        id=lead_id,
        channel=shapes.number(interactions_pb2.Channel, channel, "--channel"),
        content=content,
        reached=reached,
        next_contact_date=shapes.parse_day(next_contact, "--next-contact") if next_contact else None,
    )
    _show(run, run.call(_stub(run).RecordResponse, request))


def _stub(run: Session) -> leads_pb2_grpc.LeadServiceAsyncStub:
    return run.stub("customers", leads_pb2_grpc.LeadServiceStub)


def _show(run: Session, lead: leads_pb2.Lead) -> None:
    profile = lead.profile
    fields: Fields = [
        ("id", lead.id),
        ("company", profile.company_name),
        ("contact", profile.contact_name),
        ("phone", profile.phone),
        ("mail", profile.email_address),
        ("need", profile.need),
        ("stage", shapes.word(leads_pb2.LeadStage, lead.stage)),
        ("outcome", shapes.word(leads_pb2.LeadOutcome, lead.outcome)),
        ("owner", lead.ownership.owner_id or f"({lead.ownership.unit_id})"),
        ("why", lead.assignment_rule.explanation),
        ("source", f"{lead.provenance.source} {lead.provenance.source_id}".strip()),
        ("received_time", shapes.when(lead.receive_time)),
        ("answered_time", shapes.when(lead.first_response_time)),
        ("due_time", shapes.when(lead.response_due_time)),
        ("light", shapes.light(lead.response_light)),
    ]
    run.screen.record(lead, fields)
    run.screen.table(_WAY, lead.transitions)


_WAY = [
    Column("time", lambda step: shapes.when(step.time)),
    Column("from", lambda step: shapes.word(leads_pb2.LeadStage, step.from_stage)),
    Column("to", lambda step: shapes.word(leads_pb2.LeadStage, step.to_stage)),
    Column("by", lambda step: step.actor_id),
    Column("why", lambda step: step.reason or step.cause),
]
