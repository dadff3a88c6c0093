"""Actions and visitors in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction


@dataclass(slots=True)
class Entry:
    """One action; the fields are the columns."""

    id: str
    source: str
    source_id: str
    kind: str
    observed_at: datetime
    visitor_id: str
    product_ids: list[str]
    document: bytes
    account_id: str | None
    contact_id: str | None
    said: bool
    created_at: datetime


NAMES = [field.name for field in fields(Entry)]
COLUMNS = ", ".join(f"b.{name}" for name in NAMES)
# One at a time: of two who bring the same action, the second finds it.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('behaviours'))"
KNOWN = """
SELECT source, source_id
  FROM behaviour JOIN unnest(%(sources)s::text[], %(source_ids)s::text[]) AS wanted (source, source_id) USING (source, source_id)
"""
PUT = f"""
INSERT INTO behaviour ({", ".join(NAMES)}) SELECT {", ".join(NAMES)} FROM jsonb_populate_recordset(NULL::behaviour, %(rows)s)
"""
VISITORS = "SELECT id, account_id, contact_id FROM visitor WHERE id = ANY(%(ids)s)"
EMPLOYERS = "SELECT id, account_id FROM contact WHERE id = ANY(%(ids)s::uuid[])"
ACCOUNT = "SELECT id, owner_id, unit_id, participant_ids FROM account WHERE id = %(id)s"
PUT_VISITOR = """
INSERT INTO visitor (id, account_id, contact_id, linked_by, linked_at)
VALUES (%(visitor_id)s, %(account_id)s, %(contact_id)s, %(by)s, %(now)s)
ON CONFLICT (id) DO UPDATE
   SET account_id = excluded.account_id, contact_id = excluded.contact_id, linked_by = excluded.linked_by,
       linked_at = excluded.linked_at
"""
LINK = f"""
UPDATE behaviour b SET account_id = %(account_id)s, contact_id = %(contact_id)s
 WHERE visitor_id = %(visitor_id)s AND NOT said
   AND (account_id IS DISTINCT FROM %(account_id)s::uuid OR contact_id IS DISTINCT FROM %(contact_id)s::uuid)
RETURNING {COLUMNS}
"""
OF_VISITOR = "SELECT count(*) FROM behaviour WHERE visitor_id = %(visitor_id)s"
OF_CONTACTS = f"SELECT {COLUMNS} FROM behaviour b WHERE contact_id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"
BARE = """
UPDATE behaviour b SET visitor_id = '', document = n.document
  FROM jsonb_populate_recordset(NULL::behaviour, %(rows)s) n WHERE b.id = n.id
"""
FORGET = "DELETE FROM visitor WHERE contact_id = ANY(%(ids)s::uuid[])"
# Of a customer that was merged it is the other one's.
NOW = ", ".join(
    "coalesce(a.now_id, b.account_id) AS account_id" if name == "account_id" else f"b.{name}" for name in NAMES
)
LIST = f"""
SELECT {NOW} FROM behaviour b LEFT JOIN account_now a ON a.id = b.account_id
 WHERE (b.observed_at, b.id) < (%(observed)s::timestamptz, %(id)s::uuid)
   AND (%(scope_company)s OR a.owner_id = %(scope_owner)s OR a.unit_id = ANY(%(scope_units)s)
        OR a.participant_ids @> ARRAY[%(scope_owner)s])
   AND (%(account_id)s::uuid IS NULL OR b.account_id IN (SELECT id FROM account WHERE %(account_id)s IN (id, merged_into_id)))
   AND (%(contact_id)s::uuid IS NULL OR b.contact_id = %(contact_id)s)
   AND (%(visitor_id)s = '' OR b.visitor_id = %(visitor_id)s)
   AND (%(kinds)s::text[] = '{{}}' OR b.kind = ANY(%(kinds)s))
   AND (%(product_id)s = '' OR b.product_ids @> ARRAY[%(product_id)s])
   AND (%(begin)s::timestamptz IS NULL OR b.observed_at >= %(begin)s)
   AND (%(end)s::timestamptz IS NULL OR b.observed_at < %(end)s)
 ORDER BY b.observed_at DESC, b.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    owner_id: str
    unit_id: str
    participant_ids: list[str]


async def known(tx: Transaction, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    tx.do(LOCK)
    asked = {"sources": [source for source, _ in keys], "source_ids": [source_id for _, source_id in keys]}
    return {(row["source"], row["source_id"]) for row in await tx.all(KNOWN, asked)}


def put(tx: Transaction, entries: Sequence[Entry]) -> None:
    tx.do(PUT, {"rows": rows.pack(entries, only=NAMES)})


async def visitors(tx: Transaction, ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """Account and contact of each visitor that is known."""
    found = await tx.all(VISITORS, {"ids": list(ids)}) if ids else []
    return {row["id"]: (str(row["account_id"]), str(row["contact_id"]) if row["contact_id"] else None) for row in found}


async def employers(tx: Transaction, contact_ids: Sequence[str]) -> dict[str, str]:
    """The account of each contact that has one."""
    found = await tx.all(EMPLOYERS, {"ids": list(contact_ids)}) if contact_ids else []
    return {str(row["id"]): str(row["account_id"]) for row in found if row["account_id"]}


async def account(tx: Transaction, id: str) -> Account | None:
    return await tx.one(ACCOUNT, {"id": id}, into=Account)


async def link(tx: Transaction, asked: dict[str, Any]) -> tuple[int, list[Entry]]:
    """How many actions the visitor has, and those that are somebody else's by now."""
    tx.do(LOCK)
    tx.do(PUT_VISITOR, asked)
    changed = await tx.all(LINK, asked, into=Entry)
    return int(await tx.value(OF_VISITOR, asked)), changed


async def of_contacts(tx: Transaction, ids: Sequence[str]) -> list[Entry]:
    return await tx.all(OF_CONTACTS, {"ids": list(ids)}, into=Entry) if ids else []


def erase(tx: Transaction, ids: Sequence[str], bare: Sequence[Entry]) -> None:
    tx.do(FORGET, {"ids": list(ids)})
    if bare:
        tx.do(BARE, {"rows": rows.pack(bare, only=NAMES)})


async def listed(db: Reader, params: dict[str, Any]) -> list[Entry]:
    return await db.all(LIST, params, into=Entry)
