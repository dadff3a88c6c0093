"""Signed webhooks in the Standard Webhooks manner: HMAC-SHA256 over id, time and body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from closedloop_chassis import errors
from closedloop_chassis.courier.parts import Request

STAMP_DIGITS = 12


def check(secret: str, request: Request, now: float, tolerance_seconds: float) -> None:
    """Raises Unauthenticated SIGNATURE_EXPIRED for one that is missing or out of time, SIGNATURE_WRONG for one that does
    not fit. `now` is in seconds of the epoch. Several secrets, white space between them, are all good: so one is changed
    without a moment in which the other side's is refused."""
    id, stamp = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
    # A thousand digits are no instant, and more than Python turns into a number.
    instant = int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) <= STAMP_DIGITS else 0
    if not id or abs(now - instant) > tolerance_seconds:
        raise errors.Unauthenticated("SIGNATURE_EXPIRED", "sign with webhook-id and a webhook-timestamp of now")
    good = [sign(each, id, stamp, request.body).encode() for each in secret.split()]
    given = [each.encode() for each in request.headers.get("webhook-signature", "").split()]
    if not any(hmac.compare_digest(expected, each) for expected in good for each in given):
        raise errors.Unauthenticated("SIGNATURE_WRONG", "the signature does not fit the body")


def sign(secret: str, id: str, stamp: str, body: bytes) -> str:
    """ "v1,<base64>"; a secret "whsec_<base64>" is decoded first."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = secret.encode()
    digest = hmac.new(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
