"""Tickets in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction


@dataclass(slots=True)
class Entry:
    """One ticket; the fields are the columns."""

    id: str
    source: str
    source_id: str
    number: str
    kind: str
    state: str
    title: str
    account_code: str
    contact_address: str
    product_id: str
    document: bytes
    account_id: str | None
    contact_id: str | None
    opened_at: datetime
    updated_at: datetime
    created_at: datetime


@dataclass(slots=True)
class Seen(Entry):
    """A ticket and who may see it."""

    owner_id: str
    unit_id: str
    participant_ids: list[str]


NAMES = [field.name for field in fields(Entry)]
COLUMNS = ", ".join(f"t.{name}" for name in NAMES)
# One at a time: of two who bring the same ticket, the second finds it.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('tickets'))"
KNOWN = """
SELECT source, source_id, id, updated_at, created_at
  FROM ticket JOIN unnest(%(sources)s::text[], %(source_ids)s::text[]) AS wanted (source, source_id) USING (source, source_id)
"""
KEPT_ONCE = {"id", "source", "source_id", "created_at"}
PUT = f"""
INSERT INTO ticket ({", ".join(NAMES)}) SELECT {", ".join(NAMES)} FROM jsonb_populate_recordset(NULL::ticket, %(rows)s)
ON CONFLICT (source, source_id) DO UPDATE
   SET {", ".join(f"{name} = excluded.{name}" for name in NAMES if name not in KEPT_ONCE)}
"""
# Whose each is: as the source says it, by its code for the customer, or by the address of a contact nobody shares.
WHOSE = """
SELECT w.at, coalesce(w.contact_id, c.id) AS contact_id,
       coalesce(w.account_id, code.account_id, said.account_id, c.account_id) AS account_id
  FROM jsonb_to_recordset(%(rows)s) AS w (at int, source text, code text, address text, account_id uuid, contact_id uuid)
  LEFT JOIN LATERAL (SELECT min(account_id::text)::uuid AS account_id FROM account_code
                      WHERE w.code <> '' AND source = w.source AND code = w.code HAVING count(*) = 1) code ON true
  LEFT JOIN LATERAL (SELECT min(id::text)::uuid AS id, min(account_id::text)::uuid AS account_id FROM contact
                      WHERE w.contact_id IS NULL AND w.address <> '' AND addresses @> ARRAY[w.address] AND state = 'current'
                     HAVING count(*) = 1) c ON true
  LEFT JOIN contact said ON said.id = w.contact_id
"""
WAITING = f"""
SELECT {COLUMNS} FROM ticket t
 WHERE t.account_id IS NULL AND t.source = ANY(%(sources)s) AND t.account_code = ANY(%(codes)s) AND t.account_code <> ''
    OR t.contact_id IS NULL AND t.contact_address <> '' AND t.contact_address = ANY(%(addresses)s)
 ORDER BY t.id FOR UPDATE
"""
OF_CONTACTS = f"SELECT {COLUMNS} FROM ticket t WHERE t.contact_id = ANY(%(ids)s::uuid[]) ORDER BY t.id FOR UPDATE"
# Of a customer that was merged it is the other one's.
NOW = ", ".join(
    "coalesce(a.now_id, t.account_id) AS account_id" if name == "account_id" else f"t.{name}" for name in NAMES
)
SEEN = f"{NOW}, coalesce(a.owner_id, '') AS owner_id, coalesce(a.unit_id, '') AS unit_id, " + (
    "coalesce(a.participant_ids, '{}') AS participant_ids FROM ticket t LEFT JOIN account_now a ON a.id = t.account_id"
)
GET = f"SELECT {SEEN} WHERE t.id = %(id)s"
LIST = f"""
SELECT {SEEN}
 WHERE (t.opened_at, t.id) < (%(opened)s::timestamptz, %(id)s::uuid)
   AND (%(scope_company)s OR a.owner_id = %(scope_owner)s OR a.unit_id = ANY(%(scope_units)s)
        OR a.participant_ids @> ARRAY[%(scope_owner)s])
   AND (%(account_id)s::uuid IS NULL OR t.account_id IN (SELECT id FROM account WHERE %(account_id)s IN (id, merged_into_id)))
   AND (%(contact_id)s::uuid IS NULL OR t.contact_id = %(contact_id)s)
   AND (%(states)s::text[] = '{{}}' OR t.state = ANY(%(states)s))
   AND (%(kind)s = '' OR t.kind = %(kind)s)
   AND (%(product_id)s = '' OR t.product_id = %(product_id)s)
   AND (%(source)s = '' OR t.source = %(source)s)
   AND (NOT %(unlinked)s OR t.account_id IS NULL)
   AND (%(begin)s::timestamptz IS NULL OR t.opened_at >= %(begin)s) AND (%(end)s::timestamptz IS NULL OR t.opened_at < %(end)s)
   AND (%(query)s = '' OR t.title ILIKE %(query)s OR t.number ILIKE %(query)s)
 ORDER BY t.opened_at DESC, t.id DESC LIMIT %(limit)s
"""


async def known(tx: Transaction, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Id and times of those that are here, under (source, source_id)."""
    tx.do(LOCK)
    asked = {"sources": [source for source, _ in keys], "source_ids": [source_id for _, source_id in keys]}
    return {(row["source"], row["source_id"]): row for row in await tx.all(KNOWN, asked)}


async def whose(tx: Transaction, asked: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Account and contact by `at`, the position; asked by `source`, `code`, `address`, `account_id`, `contact_id`."""
    return {row["at"]: row for row in await tx.all(WHOSE, {"rows": rows.pack(asked)})}


def put(tx: Transaction, entries: Sequence[Entry]) -> None:
    tx.do(PUT, {"rows": rows.pack(entries, only=NAMES)})


async def waiting(
    tx: Transaction, *, sources: Sequence[str] = (), codes: Sequence[str] = (), addresses: Sequence[str] = ()
) -> list[Entry]:
    """Tickets nobody knows the customer of, that name one of these codes, or come from one of these addresses."""
    asked = {"sources": list(sources), "codes": list(codes), "addresses": list(addresses)}
    return await tx.all(WAITING, asked, into=Entry)


async def of_contacts(tx: Transaction, ids: Sequence[str]) -> list[Entry]:
    return await tx.all(OF_CONTACTS, {"ids": list(ids)}, into=Entry) if ids else []


async def get(db: Reader, id: str) -> Seen | None:
    return await db.one(GET, {"id": id}, into=Seen)


async def listed(db: Reader, params: dict[str, Any]) -> list[Seen]:
    return await db.all(LIST, params, into=Seen)
