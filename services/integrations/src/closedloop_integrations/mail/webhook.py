"""A gateway posts a raw mail, signed in the Standard Webhooks manner over id, time and body. Runs in the courier."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_integrations.mail.poller import SOURCE
from closedloop_integrations.mail.rules import MailRules
from closedloop_integrations.polling import in_force
from closedloop_integrations.settings import outside

STAMP_DIGITS = 12


def receive(desk: Desk, request: Request) -> Response:
    """201 for a new mail, 200 for one that was posted before under the same webhook-id."""
    secret = outside().webhook_secret.get_secret_value()
    if not secret:
        raise errors.NotFound("WEBHOOK_NOT_CONFIGURED", "no secret is set for this webhook")
    with desk.connection() as connection:
        rules = in_force(connection, MailRules, desk.now())
    check(secret, request, time.time(), rules)
    if not request.body:
        raise errors.InvalidArgument("MAIL_UNREADABLE", "the body is the raw mail")
    name = request.headers["webhook-id"]
    fetched = events.MailFetched(source=SOURCE, source_id=f"webhook:{name}"[:200], raw=request.body)
    fetched.receive_time.FromDatetime(desk.now())
    new = desk.observe(fetched, SOURCE, id=uuid5(NAMESPACE_URL, f"{SOURCE}:webhook:{name}"))
    return Response(201 if new else 200)


def check(secret: str, request: Request, now: float, rules: MailRules) -> None:
    """Raises Unauthenticated for a signature that is missing, wrong or out of time."""
    id, stamp = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
    # A thousand digits are no instant, and more than Python turns into a number.
    instant = int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) <= STAMP_DIGITS else 0
    if not id or abs(now - instant) > rules.webhook_seconds:
        raise errors.Unauthenticated("SIGNATURE_EXPIRED", "sign with webhook-id and a webhook-timestamp of now")
    expected = signature(secret, id, stamp, request.body)
    given = request.headers.get("webhook-signature", "").split()
    if not any(hmac.compare_digest(expected.encode(), each.encode()) for each in given):
        raise errors.Unauthenticated("SIGNATURE_WRONG", "the signature does not fit the body")


def signature(secret: str, id: str, stamp: str, body: bytes) -> str:
    """ "v1,<base64>"; a secret "whsec_<base64>" is decoded first."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = secret.encode()
    digest = hmac.new(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
