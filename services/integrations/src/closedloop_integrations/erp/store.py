"""Transactions and code mappings in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_integrations.erp.rules import Account, Book, Codes


@dataclass(slots=True)
class Entry:
    """One version of one transaction; the fields are the columns."""

    id: str
    source: str
    source_id: str
    version: int
    in_force: bool
    digest: str
    kind: str
    number: str
    date: date
    document: bytes
    amount_minor: int
    currency: str
    order_number: str
    channel_code: str
    channel: str
    account_code: str
    account_name_key: str
    person_code: str
    unit_code: str
    product_codes: list[str]
    account_id: str | None
    person_id: str
    unit_id: str
    product_ids: list[str]
    owner_id: str
    unmapped: bool
    opportunity_id: str | None
    contract_id: str | None
    told_version: int
    brought_by: str
    observed_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """The version in force of a document that is here already."""

    source: str
    source_id: str
    digest: str
    version: int
    told_version: int


NAMES = [field.name for field in fields(Entry)]
COLUMNS = ", ".join(NAMES)
# One at a time: of two who bring the same document, the second finds it.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('erp_transactions'))"
KNOWN = """
SELECT source, source_id, digest, version, told_version
  FROM erp_transaction JOIN unnest(%(sources)s::text[], %(source_ids)s::text[]) AS wanted (source, source_id)
       USING (source, source_id)
 WHERE in_force
"""
IN_FORCE = f"""
SELECT {COLUMNS} FROM erp_transaction WHERE in_force AND source = %(source)s AND source_id = ANY(%(source_ids)s)
"""
SUPERSEDE = """
UPDATE erp_transaction t SET in_force = false
  FROM unnest(%(sources)s::text[], %(source_ids)s::text[]) AS gone (source, source_id)
 WHERE t.in_force AND t.source = gone.source AND t.source_id = gone.source_id
"""
# Bytes travel as hexadecimal inside JSON, which PostgreSQL reads as bytea.
PUT = f"""
INSERT INTO erp_transaction ({COLUMNS}) SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::erp_transaction, %(rows)s)
"""
USED = """
INSERT INTO code_mapping (source, type, code, name, uses)
SELECT source, type, code, name, uses FROM jsonb_populate_recordset(NULL::code_mapping, %(rows)s)
ON CONFLICT (source, type, code) DO UPDATE
   SET uses = code_mapping.uses + excluded.uses,
       name = CASE WHEN excluded.name = '' THEN code_mapping.name ELSE excluded.name END
"""
BOOK = """
SELECT (SELECT coalesce(jsonb_agg(jsonb_build_array(type, code, target_id)), '[]')
          FROM code_mapping WHERE source = ANY(%(sources)s) AND code = ANY(%(codes)s) AND target_id <> '') AS mapped,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(code, account_id)), '[]')
          FROM account_code WHERE source = ANY(%(sources)s) AND code = ANY(%(codes)s)) AS by_code,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(key, account_id)), '[]')
          FROM account_name WHERE key = ANY(%(name_keys)s)) AS by_name,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(key, id)), '[]')
          FROM product, unnest(keys) AS key WHERE keys && %(product_keys)s::text[] AND key = ANY(%(product_keys)s)) AS products
"""
ACCOUNTS = "SELECT id, owner_id, unit_id FROM account WHERE id = ANY(%(ids)s::uuid[])"
# In force, and naming one of the codes, or a customer of one of the names.
NAMING = f"""
SELECT {COLUMNS} FROM erp_transaction
 WHERE in_force
   AND (source = ANY(%(sources)s)
        AND (account_code = ANY(%(accounts)s) OR person_code = ANY(%(people)s) OR unit_code = ANY(%(units)s)
             OR product_codes && %(products)s::text[] OR channel_code = ANY(%(channels)s))
        OR account_id IS NULL AND account_name_key = ANY(%(name_keys)s))
 ORDER BY id FOR UPDATE
"""
RESTATE = """
UPDATE erp_transaction t
   SET account_id = n.account_id, channel = n.channel, person_id = n.person_id, unit_id = n.unit_id, product_ids = n.product_ids,
       owner_id = n.owner_id, unmapped = n.unmapped, told_version = n.told_version
  FROM jsonb_populate_recordset(NULL::erp_transaction, %(rows)s) n
 WHERE t.id = n.id
"""

# Versions in the order of their ids, each with when the next one came; by `factless` those nobody has made facts of.
WALKED = f"""
SELECT {COLUMNS}, (SELECT min(n.created_at) FROM erp_transaction n
                    WHERE n.source = t.source AND n.source_id = t.source_id AND n.version > t.version) AS superseded_at,
       NOT EXISTS (SELECT FROM economic_fact f WHERE f.transaction_id = t.id) AS factless
  FROM erp_transaction t WHERE id > %(after)s::uuid ORDER BY id LIMIT %(limit)s
"""
# Invoices and credit notes in force, from the newest back.
WALKED_BACK = f"""
SELECT {COLUMNS} FROM erp_transaction
 WHERE in_force AND kind IN ('invoice', 'credit_note') AND (date, id) < (%(day)s::date, %(id)s::uuid)
 ORDER BY date DESC, id DESC LIMIT %(limit)s
"""
GET = f"SELECT {COLUMNS} FROM erp_transaction WHERE id = %(id)s"
LIST = f"""
SELECT {COLUMNS} FROM erp_transaction
 WHERE (date, id) < (%(day)s::date, %(id)s::uuid) AND {Scope.SQL}
   AND (%(kinds)s::text[] = '{{}}' OR kind = ANY(%(kinds)s))
   AND (%(number)s = '' OR number = %(number)s)
   AND (%(source)s = '' OR source = %(source)s)
   AND (%(source_id)s = '' OR source_id = %(source_id)s)
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
   AND (%(product_id)s = '' OR product_ids @> ARRAY[%(product_id)s])
   AND (%(person_id)s = '' OR person_id = %(person_id)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(channel)s = '' OR channel = %(channel)s)
   AND (%(opportunity_id)s::uuid IS NULL OR opportunity_id = %(opportunity_id)s)
   AND (%(contract_id)s::uuid IS NULL OR contract_id = %(contract_id)s)
   AND (%(begin)s::date IS NULL OR date >= %(begin)s) AND (%(end)s::date IS NULL OR date <= %(end)s)
   AND (%(created_begin)s::timestamptz IS NULL OR created_at >= %(created_begin)s)
   AND (%(created_end)s::timestamptz IS NULL OR created_at < %(created_end)s)
   AND (%(superseded)s OR in_force)
   AND (NOT %(unmapped)s OR unmapped)
 ORDER BY date DESC, id DESC LIMIT %(limit)s
"""

# A guess: the only customer whose name holds the ERP's, or is held by it.
LIST_MAPPINGS = """
SELECT m.*, CASE WHEN m.target_id = '' AND m.type = 'account' AND length(m.name) >= 2 THEN (
           SELECT CASE WHEN count(DISTINCT n.account_id) = 1 THEN min(n.account_id::text) END FROM account_name n
            WHERE position(lower(m.name) IN n.key) > 0 OR position(n.key IN lower(m.name)) > 0 AND length(n.key) >= 4)
       END AS guess
  FROM code_mapping m
 WHERE ((m.target_id <> '')::int, m.source, m.type, m.code) > (%(known)s, %(source_after)s, %(type_after)s, %(code_after)s)
   AND (%(source)s = '' OR m.source = %(source)s)
   AND (%(type)s = '' OR m.type = %(type)s)
   AND (NOT %(unmapped)s OR m.target_id = '')
   AND (%(query)s = '' OR position(%(query)s IN m.code || ' ' || m.name) > 0)
 ORDER BY (m.target_id <> '')::int, m.source, m.type, m.code LIMIT %(limit)s
"""
MAPPINGS = """
SELECT m.source, m.type, m.code, m.name, m.target_id
  FROM code_mapping m JOIN jsonb_to_recordset(%(rows)s) AS n (source text, type text, code text) USING (source, type, code)
"""
SET_MAPPINGS = """
INSERT INTO code_mapping (source, type, code, name, target_id, set_by, set_at)
SELECT source, type, code, name, target_id, set_by, set_at FROM jsonb_populate_recordset(NULL::code_mapping, %(rows)s)
ON CONFLICT (source, type, code) DO UPDATE
   SET target_id = excluded.target_id, set_by = excluded.set_by, set_at = excluded.set_at,
       name = CASE WHEN excluded.name = '' THEN code_mapping.name ELSE excluded.name END
"""
EXISTING = """
SELECT (SELECT coalesce(array_agg(id::text), '{}') FROM account WHERE id::text = ANY(%(ids)s)) AS accounts,
       (SELECT coalesce(array_agg(id), '{}') FROM product WHERE id = ANY(%(ids)s)) AS products
"""


async def known(tx: Transaction, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    tx.do(LOCK)
    asked = {"sources": [source for source, _ in keys], "source_ids": [source_id for _, source_id in keys]}
    return {(row.source, row.source_id): row for row in await tx.all(KNOWN, asked, into=Known)}


async def in_force(tx: Transaction, source: str, source_ids: Sequence[str]) -> dict[str, Entry]:
    """By source id; nobody supersedes them meanwhile."""
    tx.do(LOCK)
    found = await tx.all(IN_FORCE, {"source": source, "source_ids": list(source_ids)}, into=Entry)
    return {entry.source_id: entry for entry in found}


def put(tx: Transaction, entries: Sequence[Entry]) -> None:
    """New versions; those they replace go out of force."""
    tx.do(SUPERSEDE, {"sources": [e.source for e in entries], "source_ids": [e.source_id for e in entries]})
    tx.do(PUT, {"rows": rows.pack(entries, only=NAMES)})


def restate(tx: Transaction, entries: Sequence[Entry]) -> None:
    tx.do(RESTATE, {"rows": rows.pack(entries, only=NAMES)})


def used(tx: Transaction, codes: list[dict[str, Any]]) -> None:
    """Codes that were met: `source`, `type`, `code`, `name`, `uses`."""
    if codes:
        tx.do(USED, {"rows": rows.pack(codes)})


async def book(tx: Transaction, codes: Sequence[Codes], product_key: Any) -> Book:
    """What is known of these codes; people and units are not in SQL and stay empty. Two round trips."""
    products = {code: product_key(code) for each in codes for code in each.product_codes}
    found = await tx.one(
        BOOK,
        {
            "sources": sorted({each.source for each in codes}),
            "codes": sorted({code for each in codes for code in _all(each)} - {""}),
            "name_keys": sorted({each.account_name_key for each in codes} - {""}),
            "product_keys": sorted({*products.values()} - {""}),
        },
    )
    assert found is not None
    by_code, by_name = _grouped(found["by_code"]), _grouped(found["by_name"])
    mapped = {(type_, code): target for type_, code, target in found["mapped"]}
    ids = {id for group in (*by_code.values(), *by_name.values()) for id in group}
    ids |= {target for (type_, _), target in mapped.items() if type_ == "account"}
    ids |= {each.account_id for each in codes if each.account_id}
    by_key = dict(found["products"])
    return Book(
        mapped=mapped,
        accounts={row.id: row for row in await tx.all(ACCOUNTS, {"ids": sorted(ids)}, into=Account)} if ids else {},
        by_code=by_code,
        by_name=by_name,
        products={code: by_key[key] for code, key in products.items() if key in by_key},
    )


async def naming(
    tx: Transaction, *, sources: Iterable[str], name_keys: Iterable[str] = (), **codes: list[str]
) -> list[Entry]:
    """Documents in force that name any of `accounts`, `people`, `units`, `products`, `channels` (codes of these sources),
    or, while they have no customer, one of these names."""
    asked = {"accounts": [], "people": [], "units": [], "products": [], "channels": [], **codes}
    return await tx.all(NAMING, {**asked, "sources": list(sources), "name_keys": list(name_keys)}, into=Entry)


@dataclass(slots=True)
class Walked(Entry):
    """A version with when it was superseded, and whether no facts were made of it."""

    superseded_at: datetime | None
    factless: bool


async def walk(tx: Transaction, after: str, limit: int) -> list[Walked]:
    """The next versions by id; nobody takes in others meanwhile."""
    tx.do(LOCK)
    return await tx.all(WALKED, {"after": after, "limit": limit}, into=Walked)


async def walk_back(tx: Transaction, before: Sequence[str], limit: int) -> list[Entry]:
    """The next documents before a day and an id."""
    day, id = before
    return await tx.all(WALKED_BACK, {"day": day, "id": id, "limit": limit}, into=Entry)


async def get(db: Reader, id: str) -> Entry | None:
    return await db.one(GET, {"id": id}, into=Entry)


async def listed(db: Reader, params: dict[str, Any]) -> list[Entry]:
    return await db.all(LIST, params, into=Entry)


async def mappings(tx: Transaction, asked: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = await tx.all(MAPPINGS, {"rows": rows.pack(asked)})
    return {(row["source"], row["type"], row["code"]): row for row in found}


def set_mappings(tx: Transaction, given: list[dict[str, Any]]) -> None:
    tx.do(SET_MAPPINGS, {"rows": rows.pack(given)})


async def existing(tx: Transaction, ids: list[str]) -> tuple[set[str], set[str]]:
    """Which of these are accounts, and which are products."""
    found = await tx.one(EXISTING, {"ids": ids}) or {"accounts": [], "products": []}
    return set(found["accounts"]), set(found["products"])


def _all(codes: Codes) -> list[str]:
    return [codes.account_code, codes.person_code, codes.unit_code, codes.channel, *codes.product_codes]


def _grouped(pairs: list[list[str]]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for key, id in pairs:
        groups.setdefault(key, set()).add(id)
    return groups
