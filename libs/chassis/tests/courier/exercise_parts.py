"""Parts of the exercise: they write down what they did where the test can read it."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

from closedloop.customers.v1.events_pb2 import LeadReceived
from closedloop_chassis import errors
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Part, Poller, Request, Response, Webhook


def diary(desk: Desk) -> None:
    """One line per run: who, from when to when."""
    begun = time.time()
    with desk.connection() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS diary (pid int, begun float8, ended float8)")
    time.sleep(0.05)
    with desk.connection() as connection:
        connection.execute("INSERT INTO diary VALUES (%s, %s, %s)", (os.getpid(), begun, time.time()))


def stumble(desk: Desk) -> None:
    desk.observe(LeadReceived(lead_id="stumble"), subject="stumble")
    raise RuntimeError("the outside world is not there")


def take(desk: Desk, request: Request) -> Response:
    """An idempotent observation: the outside identity is in the query."""
    number = request.query["number"]
    new = desk.observe(
        LeadReceived(lead_id=number, campaign=request.body.decode()),
        subject=number,
        id=uuid5(NAMESPACE_URL, f"exercise/{number}"),
        source="web",
    )
    who = f"{request.values['provider']} {request.headers['x-signature']}"
    return Response(201 if new else 200, f"{who} {request.method}".encode())


def refuse(desk: Desk, request: Request) -> Response:
    if request.query.get("how") == "domain":
        raise errors.Unauthenticated("SIGNATURE_WRONG", "sign the body with the shared secret")
    raise ZeroDivisionError("secret detail")


def modules(desk: Desk, request: Request) -> Response:
    return Response(body="\n".join(sorted(sys.modules)).encode())


def present(desk: Desk, request: Request) -> Response:
    return Response(body=desk.now().isoformat().encode())


PARTS: tuple[Part, ...] = (
    Poller("diary", timedelta(seconds=0.2), diary),
    Poller("stumble", timedelta(seconds=0.2), stumble),
    Webhook("/hooks/<provider>", take),
    Webhook("/refuse", refuse),
    Webhook("/modules", modules, methods=("GET",)),
    Webhook("/now", present, methods=("GET",)),
)
