"""Inquiries posted by web forms, mini programs and portals, signed by the secret of their source. Runs in the courier.

The body is `{"leads": [row, …]}` with rows as in BulkIntakeLeads. What cannot be read is refused as a whole, with the
row named; what can be read is acknowledged once it is kept, and is taken in by the same door as every inquiry.
"""

from __future__ import annotations

import json
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from google.protobuf import json_format

from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import leads_pb2
from closedloop_chassis import bulk, errors
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.database import Connection
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_chassis.rulebook.rules import Rules
from closedloop_customers import identifiers
from closedloop_customers.leads.rules import LeadRules, WebhookRules, check_payload
from closedloop_customers.settings import outside

RulesT = TypeVar("RulesT", bound=Rules)

IN_FORCE = """
SELECT body FROM rulebook WHERE name = %(name)s AND effective_at <= %(now)s ORDER BY version DESC LIMIT 1
"""


def receive(desk: Desk, request: Request) -> Response:
    """201 when something is new, 200 when all of it was posted before, under whatever webhook-id; both say how many."""
    source = request.values.get("source", "")
    secret = outside().webhook_secrets.get(source)
    if secret is None or not secret.get_secret_value():
        raise errors.NotFound("WEBHOOK_NOT_CONFIGURED", "no secret is set for this source")
    with desk.connection() as connection:
        rules = _in_force(connection, WebhookRules, desk.now())
        door = _in_force(connection, LeadRules, desk.now())
        matching = _in_force(connection, identifiers.MatchingRules, desk.now())
    signatures.check(secret.get_secret_value(), request, desk.now().timestamp(), rules.signed_within_seconds)
    rows = read(request.body, source, rules, door, matching)
    fresh = 0
    with desk.connection() as connection:
        for row in rows:
            # By what the source calls it, not by the post it came in: a sender may use an id of a post twice. With what it
            # says: one that was refused comes again once it is mended, and of one that was taken in the door knows the id.
            said = sha256(row.SerializeToString(deterministic=True)).hexdigest()
            id = uuid5(NAMESPACE_URL, f"customers:webhook:{source}:{row.provenance.source_id}:{said}")
            posted = events.LeadPosted(row=row)
            posted.receive_time.FromDatetime(desk.now())
            if not row.provenance.HasField("observed_time"):
                posted.row.provenance.observed_time.CopyFrom(posted.receive_time)
            fresh += desk.observe(posted, f"{source}:{row.provenance.source_id}", id, connection=connection)
    answer = json.dumps({"new": fresh, "known": len(rows) - fresh})
    return Response(201 if fresh else 200, answer.encode(), content_type="application/json")


def read(
    body: bytes, source: str, rules: WebhookRules, door: LeadRules, matching: identifiers.MatchingRules
) -> list[leads_pb2.LeadRow]:
    """Raises InvalidArgument BODY_UNREADABLE, TOO_MANY_ROWS, ROW_UNREADABLE, ROW_INVALID, PAYLOAD_TOO_LARGE.

    Ways to answer that are none are refused here: who posts them has whoever wrote them still before them."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidArgument("BODY_UNREADABLE", 'the body is JSON: {"leads": [...]}') from error
    rows = found.get("leads") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not rows:
        raise errors.InvalidArgument("BODY_UNREADABLE", 'the body is JSON: {"leads": [...]}')
    if len(rows) > rules.most_rows:
        raise errors.InvalidArgument("TOO_MANY_ROWS", f"at most {rules.most_rows} in one call")
    parsed = [_row(number, row, source) for number, row in enumerate(rows)]
    _, refused = bulk.sift(parsed)
    for bad in refused[:1]:
        raise errors.InvalidArgument("ROW_INVALID", f"leads[{bad.row}].{bad.field}: {bad.message}", row=bad.row)
    for number, row in enumerate(parsed):
        check_payload(row.payload.ByteSize(), door)
        told = row.profile
        ways = {"phone": told.phone.strip(), "email_address": told.email_address.strip(), "time_zone": told.time_zone}
        try:
            identifiers.check_ways(ways, matching)
        except errors.InvalidArgument as error:
            raise errors.InvalidArgument("ROW_INVALID", f"leads[{number}]: {error}", row=number) from error
    return parsed


def _in_force(connection: Connection, model: type[RulesT], now: datetime) -> RulesT:
    kept = connection.execute(IN_FORCE, {"name": model.rulebook, "now": now}).fetchone()
    return model.model_validate(kept[0]) if kept else model()


def _row(number: int, given: Any, source: str) -> leads_pb2.LeadRow:
    """A source speaks for itself, names what it brings, and does not say who gets it."""
    try:
        row = json_format.ParseDict(given, leads_pb2.LeadRow(), max_recursion_depth=20)
    except (json_format.ParseError, RecursionError, UnicodeError, AttributeError, TypeError) as error:
        raise errors.InvalidArgument("ROW_UNREADABLE", f"leads[{number}]: {error}"[:500], row=number) from error
    if row.provenance.source not in ("", source):
        raise errors.InvalidArgument("ROW_UNREADABLE", f"leads[{number}]: the source is {source}", row=number)
    if not row.provenance.source_id.strip():
        raise errors.InvalidArgument("ROW_UNREADABLE", f"leads[{number}]: provenance.source_id is missing", row=number)
    if row.owner_id or row.stage:
        raise errors.InvalidArgument("ROW_UNREADABLE", f"leads[{number}]: owner and stage are ours to say", row=number)
    row.provenance.source = source
    return row
