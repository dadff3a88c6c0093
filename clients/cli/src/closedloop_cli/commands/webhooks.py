"""Subscriptions of other systems to our events."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.integrations.v1 import webhooks_pb2 as pb
from closedloop.integrations.v1 import webhooks_pb2_grpc
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Webhooks: our events, signed, at other systems' doors.")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Subscriptions with how they fare."""
    run = session(ctx)
    request = pb.ListSubscriptionsRequest()
    run.screen.records(_SUBSCRIPTIONS, run.pages(_stub(run).ListSubscriptions, request, "subscriptions"))


@app.command()
def types(ctx: typer.Context) -> None:
    """Events one may subscribe to."""
    run = session(ctx)
    run.screen.records(_TYPES, run.pages(_stub(run).ListEventTypes, pb.ListEventTypesRequest(), "event_types"))


@app.command()
def subscribe(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(help="https address on an allowed host")],
    event_type: Annotated[list[str], typer.Option("--type", help='a type, or a prefix like "closedloop.funnel.*"')],
    name: str = "subscriber",
    unit: Annotated[str, typer.Option(help="only events of this unit and below")] = "",
    personal: Annotated[bool, typer.Option("--personal", help="with personal data; operations only")] = False,
) -> None:
    """Subscribes an address; the secret it is signed with is shown this once."""
    run = session(ctx)
    request = pb.CreateSubscriptionRequest(
        request_id=new_id(), name=name, url=url, event_types=event_type, unit_id=unit, include_personal=personal
    )
    made = run.call(_stub(run).CreateSubscription, request)
    run.screen.record(made, [("id", made.subscription.id), ("secret", made.secret)])


@app.command()
def attempts(
    ctx: typer.Context,
    subscription_id: str,
    failed: Annotated[bool, typer.Option("--failed", help="only those that failed")] = False,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """What was sent, and the answers, newest first."""
    run = session(ctx)
    request = pb.ListWebhookAttemptsRequest(subscription_id=subscription_id, failed_only=failed)
    run.screen.records(_ATTEMPTS, run.pages(_stub(run).ListWebhookAttempts, request, "attempts", limit))


@app.command()
def test(ctx: typer.Context, subscription_id: str) -> None:
    """Sends a signed test event and shows the answer."""
    run = session(ctx)
    request = pb.TestSubscriptionRequest(request_id=new_id(), id=subscription_id)
    run.screen.records(_ATTEMPTS, [run.call(_stub(run).TestSubscription, request)])


def _stub(run: Session) -> webhooks_pb2_grpc.WebhookServiceAsyncStub:
    return run.stub("integrations", webhooks_pb2_grpc.WebhookServiceStub)


_SUBSCRIPTIONS = [
    Column("id", lambda each: each.id),
    Column("name", lambda each: each.name),
    Column("address", lambda each: each.url),
    Column("state", lambda each: shapes.word(pb.SubscriptionState, each.state)),
    Column("kind", lambda each: ", ".join(each.event_types)),
    Column("outbox", lambda each: str(each.backlog), right=True),
    Column("problem", lambda each: str(each.consecutive_failures or ""), right=True),
]
_TYPES = [Column("kind", lambda each: each.type), Column("content", lambda each: each.description)]
_ATTEMPTS = [
    Column("time", lambda each: shapes.when(each.time)),
    Column("kind", lambda each: each.event_type),
    Column("subject", lambda each: each.subject),
    Column("times", lambda each: str(each.attempt), right=True),
    Column("status", lambda each: str(each.status), right=True),
    Column("milliseconds", lambda each: str(each.latency_ms), right=True),
    Column("message", lambda each: each.answer[:80]),
]
