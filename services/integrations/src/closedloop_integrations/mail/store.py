"""Mails in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(slots=True)
class Mail:
    """A mail; the fields are the columns."""

    id: str
    digest: str
    direction: str
    nature: str
    message_id: str
    thread_id: str
    from_address: str
    from_name: str
    contact_id: str | None
    # [{"address", "name", "contact_id"}]
    recipients: list[dict[str, str]]
    copies: list[dict[str, str]]
    subject: str
    text: str
    signature: str
    # [{"name", "media_type", "size_bytes", "sha256"}]
    attachments: list[dict[str, Any]]
    sent_at: datetime | None
    received_at: datetime
    account_id: str | None
    opportunity_id: str | None
    # As the contract's MailFact, with snake_case names.
    facts: list[dict[str, Any]]
    fact_kinds: list[str]
    language: str
    delivery_id: str | None
    mended: list[str]
    authentication: str
    source: str
    source_id: str
    brought_by: str
    version: int = 1


@dataclass(slots=True)
class Owned(Mail):
    """With the owner of its account, as our copy knows it; None where it has none."""

    owner_id: str | None = None
    unit_id: str | None = None
    participant_ids: list[str] | None = None


NAMES = [field.name for field in fields(Mail)]
JSON = ("recipients", "copies", "attachments", "facts")
ADD = f"""
INSERT INTO mail ({", ".join(NAMES)}) VALUES ({", ".join(f"%({name})s" for name in NAMES)})
ON CONFLICT (digest) DO NOTHING RETURNING id
"""
MINE = "a.owner_id, a.unit_id, a.participant_ids"
ACCOUNTS = """
LEFT JOIN (SELECT id AS was_id, now_id, owner_id, unit_id, participant_ids FROM account_now) a ON a.was_id = m.account_id
"""
ALL = ", ".join(f"m.{name}" for name in NAMES)
# Of a customer that was merged it is the other one's.
NOW = {name: f"m.{name}" for name in NAMES} | {"account_id": "coalesce(a.now_id, m.account_id) AS account_id"}
LIGHT = ", ".join(f"'' AS {name}" if name in ("text", "signature") else shown for name, shown in NOW.items())
GET = f"SELECT {', '.join(NOW.values())}, {MINE} FROM mail m {ACCOUNTS} WHERE m.id = %(id)s"
BY_DIGEST = f"SELECT {ALL}, {MINE} FROM mail m {ACCOUNTS} WHERE m.digest = %(digest)s"
LIST = f"""
SELECT {LIGHT}, {MINE} FROM mail m {ACCOUNTS}
 WHERE (m.received_at, m.id) < (%(at)s::timestamptz, %(id)s::uuid)
   AND ({Scope.SQL} OR a.participant_ids @> ARRAY[%(scope_owner)s])
   AND (%(account_id)s::uuid IS NULL OR m.account_id IN (SELECT id FROM account WHERE %(account_id)s IN (id, merged_into_id)))
   AND (%(contact_id)s::uuid IS NULL OR m.contact_id = %(contact_id)s
        OR m.recipients @> jsonb_build_array(jsonb_build_object('contact_id', %(contact_id)s::text)))
   AND (%(opportunity_id)s::uuid IS NULL OR m.opportunity_id = %(opportunity_id)s)
   AND (%(thread_id)s::uuid IS NULL OR m.thread_id = %(thread_id)s)
   AND (%(owner_id)s = '' OR a.owner_id = %(owner_id)s)
   AND (%(direction)s = '' OR m.direction = %(direction)s)
   AND (%(nature)s = '' OR m.nature = %(nature)s)
   AND (%(fact_kind)s = '' OR m.fact_kinds @> ARRAY[%(fact_kind)s])
   AND (NOT %(unlinked)s OR m.account_id IS NULL)
   AND (%(query)s = '' OR position(lower(%(query)s) IN lower(m.subject || chr(10) || m.text)) > 0)
   AND (%(begin)s::timestamptz IS NULL OR m.received_at >= %(begin)s)
   AND (%(end)s::timestamptz IS NULL OR m.received_at < %(end)s)
 ORDER BY m.received_at DESC, m.id DESC LIMIT %(limit)s
"""
LOCK = f"SELECT {ALL}, {MINE} FROM mail m {ACCOUNTS} WHERE m.id = %(id)s FOR UPDATE OF m"
LINK = """
UPDATE mail SET account_id = %(account_id)s, contact_id = %(contact_id)s, opportunity_id = %(opportunity_id)s, facts = %(facts)s,
       version = %(version)s
 WHERE id = %(id)s
"""

# Who the addresses are, and which message of ours this answers; one round trip for all that a mail needs.
SURROUNDINGS = """
SELECT (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'account_id', account_id, 'name', name, 'addresses', addresses)
                                  ORDER BY state = 'current' DESC, version DESC), '[]')
          FROM contact WHERE addresses && %(addresses)s::text[] AND state NOT IN ('erased', 'merged')) AS contacts,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'account_id', account_id)), '[]')
          FROM contact WHERE name = ANY(%(names)s) AND state NOT IN ('erased', 'merged')) AS named,
       (SELECT jsonb_build_object('id', id, 'account_id', account_id, 'contact_id', contact_id)
          FROM delivery WHERE message_id = ANY(%(message_ids)s) ORDER BY requested_at DESC LIMIT 1) AS delivery,
       (SELECT jsonb_build_object('id', id, 'account_id', account_id, 'contact_id', contact_id)
          FROM delivery WHERE address = %(failed)s AND %(failed)s <> '' AND channel = 'mail' AND sent_at > %(since)s
         ORDER BY sent_at DESC LIMIT 1) AS last_delivery,
       (SELECT jsonb_build_object('thread_id', thread_id, 'account_id', account_id, 'opportunity_id', opportunity_id)
          FROM mail WHERE message_id = ANY(%(message_ids)s) ORDER BY received_at DESC LIMIT 1) AS answered,
       (SELECT CASE WHEN count(*) = 1 THEN min(id::text) END FROM account WHERE domains @> ARRAY[%(domain)s]) AS by_domain
"""
SENT = """
SELECT id, channel, purpose, address, recipient_name, sender_name, subject, text, message_id, in_reply_to, contact_id, account_id,
       sent_at, subject_type, subject_id
  FROM delivery WHERE id = %(id)s
"""
ACCOUNT = "SELECT id, owner_id, unit_id, participant_ids FROM account WHERE id = %(id)s"
CONTACT = "SELECT id, account_id FROM contact WHERE id = %(id)s"
# Mail of an address nobody knew, once somebody does.
BECAME_KNOWN = f"""
UPDATE mail m SET account_id = %(account_id)s, contact_id = %(contact_id)s, version = m.version + 1
  FROM contact c
 WHERE c.id = %(contact_id)s AND c.version = %(version)s AND m.account_id IS NULL AND m.direction = 'inbound'
   AND m.from_address = ANY(%(addresses)s)
RETURNING {ALL}
"""
ERASE = """
UPDATE mail
   SET from_address = '', from_name = '', recipients = '[]', copies = '[]', subject = '', text = '', signature = '',
       attachments = '[]', facts = '[]', version = version + 1
 WHERE contact_id = ANY(%(ids)s::uuid[])
"""


async def add(tx: Transaction, mail: Mail) -> bool:
    """False where the mail is here already."""
    row = {name: Jsonb(getattr(mail, name)) if name in JSON else getattr(mail, name) for name in NAMES}
    return await tx.value(ADD, row) is not None


async def by_digest(tx: Transaction, digest: str) -> Owned | None:
    return await tx.one(BY_DIGEST, {"digest": digest}, into=Owned)


async def get(db: Reader, id: str) -> Owned | None:
    return await db.one(GET, {"id": id}, into=Owned)


async def lock(tx: Transaction, id: str) -> Owned | None:
    return await tx.one(LOCK, {"id": id}, into=Owned)


async def listed(db: Reader, params: dict[str, Any]) -> list[Owned]:
    return await db.all(LIST, params, into=Owned)


def link(tx: Transaction, mail: Mail) -> None:
    names = ("id", "account_id", "contact_id", "opportunity_id", "version")
    tx.do(LINK, {name: getattr(mail, name) for name in names} | {"facts": Jsonb(mail.facts)})


async def surroundings(
    tx: Transaction,
    *,
    addresses: Sequence[str],
    names: Sequence[str],
    message_ids: Sequence[str],
    failed: str,
    domain: str,
    since: datetime,
) -> dict[str, Any]:
    """`contacts` of the addresses, `named` persons, `delivery` answered, `last_delivery` to an address that failed, the
    mail `answered`, and the account `by_domain` where exactly one has it."""
    asked = {"addresses": list(addresses), "names": list(names), "message_ids": list(message_ids)}
    return await tx.one(SURROUNDINGS, {**asked, "failed": failed, "domain": domain, "since": since}) or {}


async def sent(tx: Transaction, delivery_id: str) -> dict[str, Any] | None:
    return await tx.one(SENT, {"id": delivery_id})


async def account(tx: Transaction, id: str) -> dict[str, Any] | None:
    return await tx.one(ACCOUNT, {"id": id})


async def contact(tx: Transaction, id: str) -> dict[str, Any] | None:
    return await tx.one(CONTACT, {"id": id})


async def became_known(
    tx: Transaction, contact_id: str, account_id: str, addresses: list[str], version: int
) -> list[Mail]:
    """Links mails of these addresses that were nobody's; answers them."""
    asked = {"contact_id": contact_id, "account_id": account_id, "addresses": addresses, "version": version}
    return await tx.all(BECAME_KNOWN, asked, into=Mail)


def erase(tx: Transaction, contact_ids: list[str]) -> None:
    tx.do(ERASE, {"ids": contact_ids})
