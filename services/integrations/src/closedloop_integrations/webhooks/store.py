"""Subscriptions, what they are owed, and what was tried, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True)
class Subscription:
    """The fields are columns; who delivers to it is the courier's to know."""

    id: str
    name: str
    url: str
    event_types: list[str]
    unit_id: str
    include_personal: bool
    state: str
    owner_id: str
    created_at: datetime
    secret: str
    secret_at: datetime
    old_secret: str = ""
    old_secret_until: datetime | None = None
    last_success_at: datetime | None = None
    consecutive_failures: int = 0
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    version: int = 1
    backlog: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    id: str
    subscription_id: str
    event_id: str
    type: str
    subject: str
    attempt: int
    at: datetime
    status: int
    latency_ms: int
    answer: str
    taken: bool
    next_at: datetime | None


COLUMNS = tuple(field.name for field in fields(Subscription) if field.name != "backlog")
NAMES = ", ".join(COLUMNS)
SHOWN = f"""
SELECT {NAMES}, (SELECT count(*) FROM webhook_message m WHERE m.subscription_id = s.id AND m.state = 'waiting') AS backlog
  FROM webhook_subscription s
"""
GET = f"{SHOWN} WHERE id = %(id)s"
# The row alone: an aggregate beside it would not be locked with it.
LOCK = "SELECT id FROM webhook_subscription WHERE id = %(id)s FOR UPDATE"
LIST = f"""{SHOWN}
 WHERE (s.created_at, s.id) < (%(at)s::timestamptz, %(id)s::uuid)
   AND ({Scope.SQL})
   AND (%(states)s::text[] = '{{}}' AND s.state <> 'deleted' OR s.state = ANY(%(states)s))
   AND (%(event_type)s = '' OR EXISTS (SELECT FROM unnest(s.event_types) AS asked
         WHERE asked = %(event_type)s OR right(asked, 1) = '*' AND starts_with(%(event_type)s, left(asked, -1))))
 ORDER BY s.created_at DESC, s.id DESC LIMIT %(limit)s
"""
COUNT = "SELECT count(*) FROM webhook_subscription WHERE state <> 'deleted'"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('webhook_subscriptions'))"
# The health is the courier's to write, except where somebody starts it anew.
PUT = f"""
INSERT INTO webhook_subscription ({NAMES}) SELECT {NAMES} FROM jsonb_populate_recordset(NULL::webhook_subscription, %(rows)s)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in ("id", "created_at"))}
"""
# Everything waits that is owed; what was stopped goes on at once.
DUE_NOW = "UPDATE webhook_message SET due_at = %(now)s WHERE subscription_id = %(id)s AND state = 'waiting' AND due_at > %(now)s"
DROP = "DELETE FROM webhook_message WHERE subscription_id = %(id)s AND state = 'waiting'"

# What was made while they might have personal data, sent or not.
STRIP = """
UPDATE webhook_message SET body = (body::jsonb - 'data' || jsonb_build_object('dataomitted', octet_length(body)))::text
 WHERE subscription_id = %(id)s
"""

# Who listens: read once per batch of events.
LISTENING = f"SELECT {NAMES} FROM webhook_subscription WHERE state IN ('active', 'paused', 'failing') ORDER BY id"
OWE = """
INSERT INTO webhook_message (subscription_id, event_id, type, subject, body, due_at, created_at)
SELECT subscription_id, event_id, type, subject, body, due_at, created_at
  FROM jsonb_array_elements(%(rows)s) WITH ORDINALITY AS given (value, place)
 CROSS JOIN LATERAL jsonb_to_record(value) AS owed (subscription_id uuid, event_id uuid, type text, subject text, body text,
                                                    due_at timestamptz, created_at timestamptz)
 ORDER BY place
ON CONFLICT (subscription_id, event_id) DO NOTHING
"""
# What erased people were named in goes: both what waits and what was kept to be had again.
FORGET = """
DELETE FROM webhook_message m USING webhook_subscription s
 WHERE s.id = m.subscription_id AND s.include_personal AND m.body LIKE ANY(%(patterns)s)
"""

ATTEMPT_COLUMNS = ", ".join(field.name for field in fields(Attempt))
ATTEMPTS = f"""
SELECT {ATTEMPT_COLUMNS} FROM webhook_attempt
 WHERE subscription_id = %(subscription_id)s AND (at, id) < (%(at)s::timestamptz, %(id)s::uuid)
   AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s)
   AND (NOT %(failed)s OR NOT taken)
   AND (%(begin)s::timestamptz IS NULL OR at >= %(begin)s) AND (%(end)s::timestamptz IS NULL OR at < %(end)s)
 ORDER BY at DESC, id DESC LIMIT %(limit)s
"""
PUT_ATTEMPT = f"""
INSERT INTO webhook_attempt ({ATTEMPT_COLUMNS})
SELECT {ATTEMPT_COLUMNS} FROM jsonb_populate_recordset(NULL::webhook_attempt, %(rows)s)
"""
# With their old ids and in their old order.
REPLAY = """
UPDATE webhook_message SET state = 'waiting', attempts = 0, due_at = %(now)s
 WHERE subscription_id = %(id)s
   AND (%(event_ids)s::uuid[] = '{}' OR event_id = ANY(%(event_ids)s::uuid[]))
   AND (%(begin)s::timestamptz IS NULL OR created_at >= %(begin)s) AND (%(end)s::timestamptz IS NULL OR created_at < %(end)s)
   AND (NOT %(failed)s OR state <> 'taken')
RETURNING seq
"""
REPLAYED = f"WITH again AS ({REPLAY}) SELECT count(*) FROM again"


async def get(read: Reader | Transaction, id: str) -> Subscription | None:
    return await read.one(GET, {"id": id}, into=Subscription)


async def lock(tx: Transaction, id: str) -> Subscription | None:
    if await tx.one(LOCK, {"id": id}) is None:
        return None
    return await get(tx, id)


async def listed(db: Reader, params: dict[str, Any]) -> list[Subscription]:
    return await db.all(LIST, params, into=Subscription)


async def listening(tx: Transaction) -> list[Subscription]:
    return await tx.all(LISTENING, into=Subscription)


def put(tx: Transaction, subscription: Subscription) -> None:
    tx.do(PUT, {"rows": rows.pack([subscription], only=COLUMNS)})


def put_attempt(tx: Transaction, attempt: Attempt) -> None:
    tx.do(PUT_ATTEMPT, {"rows": rows.pack([attempt])})


def owe(tx: Transaction, owed: Sequence[dict[str, Any]]) -> None:
    if owed:
        tx.do(OWE, {"rows": rows.pack(owed)})
