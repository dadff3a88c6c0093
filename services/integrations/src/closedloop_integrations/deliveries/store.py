"""Deliveries, their steps and consents in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
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
    digest_id: str | None = None
    quiet_at: datetime | None = None
    version: int = 1


NAMES = [field.name for field in fields(Delivery)]
COLUMNS = ", ".join(NAMES)
ADD = f"""
INSERT INTO delivery ({COLUMNS}) SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::delivery, %(rows)s)
-- Of its key and recipient, or of its key and address: the same person may be asked for as a contact and by address.
ON CONFLICT DO NOTHING RETURNING id
"""
# The recipient's own comes last, and so counts.
FIND = f"""
SELECT w.place, {", ".join(f"d.{name}" for name in NAMES)}
  FROM jsonb_to_recordset(%(rows)s) AS w (place int, dedupe_key text, recipient_key text, channel text, address text)
  JOIN delivery d ON d.dedupe_key = w.dedupe_key
       AND (d.recipient_key = w.recipient_key OR w.address <> '' AND d.channel = w.channel AND d.address = w.address)
 ORDER BY w.place, d.recipient_key = w.recipient_key, d.requested_at DESC
"""
GET = f"SELECT {COLUMNS} FROM delivery WHERE id = %(id)s"
LOCK = f"{GET} FOR UPDATE"
REPORTED = f"""
SELECT {COLUMNS} FROM delivery
 WHERE id = ANY(%(ids)s::uuid[]) OR gateway_id <> '' AND gateway_id = ANY(%(gateway_ids)s) ORDER BY id FOR UPDATE
"""
MEMBERS = f"SELECT {COLUMNS} FROM delivery WHERE digest_id = %(id)s ORDER BY requested_at, id FOR UPDATE"
GATHERED = f"""
SELECT {COLUMNS} FROM delivery
 WHERE state = 'held' AND reason = 'digest' AND digest_id IS NULL AND person_id = ANY(%(people)s) AND due_at <= %(now)s
 ORDER BY requested_at, id FOR UPDATE
"""
OVERDUE = f"""
SELECT {COLUMNS} FROM delivery
 WHERE id = ANY(%(ids)s::uuid[]) AND state IN ('queued', 'held') AND due_at <= %(now)s AND quiet_at <= %(now)s
 ORDER BY id FOR UPDATE
"""
MOVED = (
    *("state", "reason", "due_at", "sent_at", "ended_at", "gateway_id", "digest_id", "version"),
    *("rule_version", "rule", "explanation", "quiet_at"),
)
MOVE = f"""
UPDATE delivery d SET {", ".join(f"{name} = n.{name}" for name in MOVED)}, leased_until = NULL
  FROM jsonb_populate_recordset(NULL::delivery, %(rows)s) n WHERE d.id = n.id
"""
STEP = """
INSERT INTO delivery_step (delivery_id, at, state, detail)
SELECT delivery_id, at, state, detail FROM jsonb_to_recordset(%(rows)s)
       AS step (delivery_id uuid, at timestamptz, state text, detail text, place int) ORDER BY place
"""
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

CONTACTS = """
SELECT c.id, c.account_id, c.name, c.addresses, c.phones, c.language, c.time_zone, c.closed_channels, c.state,
       coalesce(a.owner_id, '') AS owner_id, coalesce(a.unit_id, '') AS unit_id,
       coalesce(a.participant_ids, '{}') AS participant_ids
  FROM contact c LEFT JOIN account a ON a.id = c.account_id WHERE c.id = ANY(%(ids)s::uuid[])
"""
ACCOUNTS = "SELECT id, owner_id, unit_id, participant_ids FROM account WHERE id = ANY(%(ids)s::uuid[])"
MAILS = "SELECT id, message_id FROM mail WHERE id = ANY(%(ids)s::uuid[])"
# Consents of the address and contact, and how many messages of the purpose went there lately, of all at once.
STANDING = """
SELECT (SELECT count(*) FROM delivery d
         WHERE d.address = w.address AND d.purpose = w.purpose AND d.requested_at > w.since
           AND d.state NOT IN ('suppressed', 'cancelled', 'failed')) AS recent,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('channel', channel, 'topic', topic, 'allowed', allowed, 'at', at)), '[]')
          FROM consent c
         WHERE c.superseded_at IS NULL
           AND (c.address = w.address AND c.address <> '' OR c.contact_id = w.contact_id)) AS consents
  FROM jsonb_to_recordset(%(rows)s) AS w (place int, address text, contact_id uuid, purpose text, since timestamptz)
 ORDER BY w.place
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
# What still waits for a contact who has left, or closed the channel since.
STOP_CONTACT = f"""
UPDATE delivery d
   SET state = 'suppressed', reason = CASE WHEN c.state = 'left' THEN 'contact_gone' ELSE 'opted_out' END, ended_at = %(now)s,
       version = d.version + 1
  FROM contact c
 WHERE c.id = %(id)s AND d.contact_id = c.id AND d.state IN ('queued', 'held')
   -- Of an older one the newer, which is here already, says what holds.
   AND c.version = %(version)s AND (c.state = 'left' OR d.purpose = ANY(%(purposes)s) AND d.channel = ANY(%(closed)s))
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


async def add(tx: Transaction, deliveries: Sequence[Delivery]) -> set[str]:
    """Ids of those whose key has not gone out to their recipient before; the others are not written."""
    found = await tx.all(ADD, {"rows": rows.pack(deliveries, only=NAMES)}) if deliveries else []
    return {str(row["id"]) for row in found}


async def find(tx: Transaction, wanted: Sequence[Delivery]) -> dict[str, Delivery]:
    """Those of the same key that are here for the same recipient or address, under the ids of what is wanted."""
    asked = [
        {
            "place": place,
            **{name: getattr(each, name) for name in ("dedupe_key", "recipient_key", "channel", "address")},
        }
        for place, each in enumerate(wanted)
    ]
    found = await tx.all(FIND, {"rows": rows.pack(asked)}) if asked else []
    return {wanted[row.pop("place")].id: Delivery(**row) for row in found}


async def get(db: Reader, id: str) -> Delivery | None:
    return await db.one(GET, {"id": id}, into=Delivery)


async def lock(tx: Transaction, id: str) -> Delivery | None:
    return await tx.one(LOCK, {"id": id}, into=Delivery)


async def reported(tx: Transaction, ids: Sequence[str], gateway_ids: Sequence[str]) -> list[Delivery]:
    """Those of our ids, or of the gateways'."""
    return await tx.all(REPORTED, {"ids": list(ids), "gateway_ids": list(gateway_ids)}, into=Delivery)


async def members(tx: Transaction, digest_id: str) -> list[Delivery]:
    """What went out in a digest, in the order in which it was asked for."""
    return await tx.all(MEMBERS, {"id": digest_id}, into=Delivery)


async def gathered(tx: Transaction, people: Sequence[str], now: datetime) -> list[Delivery]:
    """What waits for a digest that is due."""
    return await tx.all(GATHERED, {"people": list(people), "now": now}, into=Delivery)


async def overdue(tx: Transaction, ids: Sequence[str], now: datetime) -> list[Delivery]:
    """Those of them that wait and should have left before quiet hours began."""
    return await tx.all(OVERDUE, {"ids": list(ids), "now": now}, into=Delivery)


def move(tx: Transaction, deliveries: Sequence[Delivery]) -> None:
    """Writes where they stand now."""
    if deliveries:
        tx.do(MOVE, {"rows": rows.pack(deliveries, only=("id", *MOVED))})


def step(tx: Transaction, now: datetime, steps: Iterable[tuple[str, str, str]]) -> None:
    """Stations of lives: (id, state, detail), in their order."""
    told = [
        {"delivery_id": id, "at": now, "state": state, "detail": detail[:2000], "place": place}
        for place, (id, state, detail) in enumerate(steps)
    ]
    if told:
        tx.do(STEP, {"rows": rows.pack(told)})


async def steps(db: Reader, id: str) -> list[dict[str, Any]]:
    return await db.all(STEPS, {"id": id})


async def listed(db: Reader, params: dict[str, Any]) -> list[Delivery]:
    return await db.all(LIST, params, into=Delivery)


async def contacts(read: Reader | Transaction, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    return await _by_id(read, CONTACTS, ids)


async def accounts(read: Reader | Transaction, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    return await _by_id(read, ACCOUNTS, ids)


async def message_ids(read: Reader | Transaction, mail_ids: Iterable[str]) -> dict[str, str]:
    return {id: row["message_id"] for id, row in (await _by_id(read, MAILS, mail_ids)).items()}


async def standing(
    read: Reader | Transaction, asked: Sequence[dict[str, Any]]
) -> list[tuple[int, tuple[ConsentEntry, ...]]]:
    """Recent messages of the purpose to the address, and the consents that hold; asked by `address`, `contact_id`,
    `purpose`, `since`, answered in the same order."""
    if not asked:
        return []
    found = await read.all(STANDING, {"rows": rows.pack([{**each, "place": at} for at, each in enumerate(asked)])})
    return [
        (
            row["recent"],
            tuple(ConsentEntry(**{**said, "at": datetime.fromisoformat(said["at"])}) for said in row["consents"]),
        )
        for row in found
    ]


async def _by_id(read: Reader | Transaction, statement: str, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    wanted = sorted({id for id in ids if id})
    return {str(row["id"]): row for row in await read.all(statement, {"ids": wanted})} if wanted else {}


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
