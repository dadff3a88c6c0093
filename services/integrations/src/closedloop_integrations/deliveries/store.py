"""Deliveries, their steps and consents in SQL."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Scope
from closedloop_integrations.deliveries.rules import ConsentEntry


@dataclass(slots=True)
class Delivery:
    """A message; the fields are the columns."""

    id: str
    dedupe_key: str
    recipient_key: str
    content: bytes
    origin: str
    purpose: str
    requested_at: datetime
    due_at: datetime
    state: str = "queued"
    topic: str = ""
    experiment: str = ""
    channel: str = ""
    address: str = ""
    robot: str = ""
    recipient_name: str = ""
    sender_name: str = ""
    subject: str = ""
    text: str = ""
    person_id: str = ""
    contact_id: str | None = None
    account_id: str | None = None
    subject_type: str = ""
    subject_id: str = ""
    owner_id: str = ""
    unit_id: str = ""
    reason: str = ""
    rule_version: int = 0
    rule: str = ""
    explanation: str = ""
    attempts: int = 0
    message_id: str = ""
    in_reply_to: str = ""
    references_: str = ""
    gateway_id: str = ""
    expires_at: datetime | None = None
    leased_until: datetime | None = None
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    version: int = 1


NAMES = [field.name for field in fields(Delivery)]
COLUMNS = ", ".join(NAMES)
ADD = f"""
INSERT INTO delivery ({COLUMNS}) VALUES ({", ".join(f"%({name})s" for name in NAMES)})
ON CONFLICT (dedupe_key, recipient_key) DO NOTHING RETURNING id
"""
FIND = f"SELECT {COLUMNS} FROM delivery WHERE dedupe_key = %(dedupe_key)s AND recipient_key = %(recipient_key)s"
GET = f"SELECT {COLUMNS} FROM delivery WHERE id = %(id)s"
LOCK = f"{GET} FOR UPDATE"
MOVE = """
UPDATE delivery
   SET state = %(state)s, reason = %(reason)s, due_at = %(due_at)s, sent_at = %(sent_at)s, ended_at = %(ended_at)s,
       gateway_id = %(gateway_id)s, leased_until = NULL, version = %(version)s
 WHERE id = %(id)s
"""
STEP = "INSERT INTO delivery_step (delivery_id, at, state, detail) VALUES (%(id)s, %(at)s, %(state)s, %(detail)s)"
STEPS = "SELECT at, state, detail FROM delivery_step WHERE delivery_id = %(id)s ORDER BY sequence"

LIGHT = ", ".join(f"'' AS {name}" if name in ("subject", "text") else name for name in NAMES)
LIST = f"""
SELECT {LIGHT} FROM delivery
 WHERE (requested_at, id) < (%(at)s::timestamptz, %(id)s::uuid) AND {Scope.SQL}
   AND (%(states)s::text[] = '{{}}' OR state = ANY(%(states)s))
   AND (%(origin)s = '' OR origin = %(origin)s)
   AND (%(person_id)s = '' OR person_id = %(person_id)s)
   AND (%(contact_id)s::uuid IS NULL OR contact_id = %(contact_id)s)
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
   AND (%(channel)s = '' OR channel = %(channel)s)
   AND (%(purpose)s = '' OR purpose = %(purpose)s)
   AND (%(topic)s = '' OR topic = %(topic)s)
   AND (%(experiment)s = '' OR experiment = %(experiment)s)
   AND (%(subject_id)s = '' OR subject_id = %(subject_id)s)
   AND (%(dedupe_key)s = '' OR dedupe_key = %(dedupe_key)s)
   AND (%(begin)s::timestamptz IS NULL OR requested_at >= %(begin)s)
   AND (%(end)s::timestamptz IS NULL OR requested_at < %(end)s)
 ORDER BY requested_at DESC, id DESC LIMIT %(limit)s
"""

CONTACT = """
SELECT c.id, c.account_id, c.name, c.addresses, c.phones, c.language, c.time_zone, c.closed_channels, c.state,
       coalesce(a.owner_id, '') AS owner_id, coalesce(a.unit_id, '') AS unit_id,
       coalesce(a.participant_ids, '{}') AS participant_ids
  FROM contact c LEFT JOIN account a ON a.id = c.account_id WHERE c.id = %(id)s
"""
ACCOUNT = "SELECT owner_id, unit_id, participant_ids FROM account WHERE id = %(id)s"
MAIL = "SELECT message_id FROM mail WHERE id = %(id)s"
# Consents of the address and contact, and how many messages of the purpose went there lately, in one round trip.
STANDING = """
SELECT (SELECT count(*) FROM delivery
         WHERE address = %(address)s AND purpose = %(purpose)s AND requested_at > %(since)s
           AND state NOT IN ('suppressed', 'cancelled', 'failed')) AS recent,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('channel', channel, 'topic', topic, 'allowed', allowed, 'at', at)), '[]')
          FROM consent
         WHERE superseded_at IS NULL
           AND (address = %(address)s AND address <> '' OR contact_id = %(contact_id)s)) AS consents
"""


SUPERSEDE = """
UPDATE consent c SET superseded_at = %(now)s
  FROM jsonb_to_recordset(%(rows)s) AS n (address text, contact_id uuid, channel text, topic text, at timestamptz)
 WHERE c.superseded_at IS NULL AND c.address = n.address AND c.contact_id IS NOT DISTINCT FROM n.contact_id
   AND c.channel = n.channel AND c.topic = n.topic AND c.at <= n.at
"""
ADD_CONSENTS = """
INSERT INTO consent (id, address, contact_id, channel, topic, allowed, cause, at, source, source_id, brought_by)
SELECT id, address, contact_id, channel, topic, allowed, cause, at, source, source_id, brought_by
  FROM jsonb_populate_recordset(NULL::consent, %(rows)s)
ON CONFLICT DO NOTHING
"""
CURRENT = """
SELECT c.address, c.contact_id, c.channel, c.topic, c.allowed, c.at
  FROM consent c
  JOIN jsonb_to_recordset(%(rows)s) AS n (address text, contact_id uuid, channel text, topic text)
    ON c.address = n.address AND c.contact_id IS NOT DISTINCT FROM n.contact_id AND c.channel = n.channel AND c.topic = n.topic
 WHERE c.superseded_at IS NULL
"""
# What still waits for somebody who no longer wants it.
STOP = f"""
UPDATE delivery d
   SET state = 'suppressed', reason = 'opted_out', ended_at = %(now)s, version = version + 1
  FROM jsonb_to_recordset(%(rows)s) AS n (address text, contact_id uuid, channel text, topic text, allowed boolean)
 WHERE NOT n.allowed AND d.state IN ('queued', 'held') AND d.purpose = ANY(%(purposes)s)
   AND (n.address <> '' AND d.address = n.address OR d.contact_id = n.contact_id)
   AND n.channel IN ('', d.channel) AND n.topic IN ('', d.topic)
RETURNING {", ".join(f"d.{name}" for name in NAMES)}
"""
LIST_CONSENTS = """
SELECT c.id, c.address, c.contact_id, c.channel, c.topic, c.allowed, c.cause, c.at, c.source, c.source_id, c.brought_by
  FROM consent c
  LEFT JOIN contact p ON p.id = c.contact_id OR (c.contact_id IS NULL AND p.addresses @> ARRAY[c.address])
  LEFT JOIN LATERAL (SELECT owner_id, unit_id FROM account WHERE id = p.account_id) a ON true
 WHERE c.id < %(id)s::uuid
   AND (%(scope_company)s OR a.owner_id = %(scope_owner)s OR a.unit_id = ANY(%(scope_units)s))
   AND (%(contact_id)s::uuid IS NULL OR c.contact_id = %(contact_id)s)
   AND (%(address)s = '' OR c.address = %(address)s)
   AND (%(channel)s = '' OR c.channel = %(channel)s)
   AND (%(topic)s = '' OR c.topic = %(topic)s)
   AND (%(history)s OR c.superseded_at IS NULL)
 GROUP BY c.id ORDER BY c.id DESC LIMIT %(limit)s
"""
OWNERS = """
SELECT c.id AS contact_id, c.addresses, coalesce(a.owner_id, '') AS owner_id, coalesce(a.unit_id, '') AS unit_id
  FROM contact c LEFT JOIN account a ON a.id = c.account_id
 WHERE c.id = ANY(%(contacts)s::uuid[]) OR c.addresses && %(addresses)s::text[]
"""
ERASE = """
UPDATE delivery
   SET subject = '', text = '', address = '', recipient_name = '', content = '',
       state = CASE WHEN state IN ('queued', 'held') THEN 'suppressed' ELSE state END,
       reason = CASE WHEN state IN ('queued', 'held') THEN 'erased' ELSE reason END, version = version + 1
 WHERE contact_id = ANY(%(ids)s::uuid[])
"""


async def add(tx: Transaction, delivery: Delivery) -> bool:
    """False where the key has gone out to this recipient before."""
    return await tx.value(ADD, {name: getattr(delivery, name) for name in NAMES}) is not None


async def find(tx: Transaction, dedupe_key: str, recipient_key: str) -> Delivery | None:
    return await tx.one(FIND, {"dedupe_key": dedupe_key, "recipient_key": recipient_key}, into=Delivery)


async def get(db: Reader, id: str) -> Delivery | None:
    return await db.one(GET, {"id": id}, into=Delivery)


async def lock(tx: Transaction, id: str) -> Delivery | None:
    return await tx.one(LOCK, {"id": id}, into=Delivery)


def move(tx: Transaction, delivery: Delivery, now: datetime, detail: str) -> None:
    """Writes where it stands now, and the step that led there."""
    tx.do(MOVE, {name: getattr(delivery, name) for name in NAMES})
    step(tx, delivery.id, now, delivery.state, detail)


def step(tx: Transaction, id: str, now: datetime, state: str, detail: str) -> None:
    tx.do(STEP, {"id": id, "at": now, "state": state, "detail": detail[:2000]})


async def steps(db: Reader, id: str) -> list[dict[str, Any]]:
    return await db.all(STEPS, {"id": id})


async def listed(db: Reader, params: dict[str, Any]) -> list[Delivery]:
    return await db.all(LIST, params, into=Delivery)


async def contact(tx: Reader | Transaction, id: str) -> dict[str, Any] | None:
    return await tx.one(CONTACT, {"id": id})


async def account(tx: Reader | Transaction, id: str) -> dict[str, Any] | None:
    return await tx.one(ACCOUNT, {"id": id})


async def message_id_of_mail(tx: Reader | Transaction, id: str) -> str:
    return await tx.value(MAIL, {"id": id}) or ""


async def standing(
    tx: Reader | Transaction, *, address: str, contact_id: str | None, purpose: str, since: datetime
) -> tuple[int, tuple[ConsentEntry, ...]]:
    """Recent messages of the purpose to the address, and the consents that hold."""
    asked = {"address": address, "contact_id": contact_id, "purpose": purpose, "since": since}
    found = await tx.one(STANDING, asked) or {"recent": 0, "consents": []}
    entries = [ConsentEntry(**{**each, "at": datetime.fromisoformat(each["at"])}) for each in found["consents"]]
    return found["recent"], tuple(entries)


def erase(tx: Transaction, contact_ids: list[str]) -> None:
    tx.do(ERASE, {"ids": contact_ids})


def new_consent(**values: Any) -> dict[str, Any]:
    """A consent as a row; unnamed columns are empty."""
    empty = {
        "address": "",
        "contact_id": None,
        "channel": "",
        "topic": "",
        "source": "",
        "source_id": "",
        "brought_by": "",
    }
    return {"id": new_id(), **empty, **values}
