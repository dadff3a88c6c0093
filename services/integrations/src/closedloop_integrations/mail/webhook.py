"""A gateway posts a raw mail, signed in the Standard Webhooks manner over id, time and body. Runs in the courier."""

from __future__ import annotations

import time
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_integrations.mail.poller import SOURCE
from closedloop_integrations.mail.rules import MailRules
from closedloop_integrations.polling import in_force
from closedloop_integrations.settings import outside


def receive(desk: Desk, request: Request) -> Response:
    """201 for a new mail, 200 for one that was posted before under the same webhook-id."""
    secret = outside().webhook_secret.get_secret_value()
    if not secret:
        raise errors.NotFound("WEBHOOK_NOT_CONFIGURED", "no secret is set for this webhook")
    with desk.connection() as connection:
        rules = in_force(connection, MailRules, desk.now())
    signatures.check(secret, request, time.time(), rules.webhook_seconds)
    if not request.body:
        raise errors.InvalidArgument("MAIL_UNREADABLE", "the body is the raw mail")
    name = request.headers["webhook-id"]
    fetched = events.MailFetched(source=SOURCE, source_id=f"webhook:{name}"[:200], raw=request.body)
    fetched.receive_time.FromDatetime(desk.now())
    new = desk.observe(fetched, SOURCE, id=uuid5(NAMESPACE_URL, f"{SOURCE}:webhook:{name}"))
    return Response(201 if new else 200)
