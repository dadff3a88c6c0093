"""Contacts in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import custom_fields, records
from closedloop_customers.contacts.rules import Contact

OWN = """id, account_id, profile, state, employments, closed_channels, provenances, last_interaction_at, last_verify_at,
       merged_into_id, created_at, updated_at, version"""
COLUMNS = (
    "c."
    + OWN.replace(", ", ", c.").replace(",\n       ", ",\n       c.")
    + ", a.owner_id, a.unit_id, a.participant_ids"
)

# A merged contact answers its survivor.
GET = f"""
SELECT {COLUMNS} FROM contact c JOIN account a ON a.id = c.account_id
 WHERE c.id = (SELECT coalesce(merged_into_id, id) FROM contact WHERE id = %(id)s)
"""
LOCK = f"""
SELECT {COLUMNS} FROM contact c JOIN account a ON a.id = c.account_id
 WHERE c.id = ANY(%(ids)s::uuid[]) ORDER BY c.id FOR UPDATE OF c
"""
LOCK_BY_SOURCE = f"""
SELECT p.source AS by_source, p.source_id AS by_source_id, {COLUMNS}
  FROM contact_provenance p JOIN contact c ON c.id = p.contact_id JOIN account a ON a.id = c.account_id
 WHERE (p.source, p.source_id) IN (SELECT * FROM unnest(%(sources)s::text[], %(source_ids)s::text[]))
 ORDER BY c.id FOR UPDATE OF c
"""
BY_KEYS = f"""
SELECT {COLUMNS} FROM contact c JOIN account a ON a.id = c.account_id
 WHERE c.id IN (SELECT contact_id FROM contact_key WHERE key = ANY(%(keys)s::text[])
                UNION SELECT unnest(%(ids)s::uuid[]))
   AND c.state NOT IN ('merged', 'erased')
 ORDER BY c.id FOR UPDATE OF c
"""
OF_ACCOUNT = f"""
SELECT {COLUMNS} FROM contact c JOIN account a ON a.id = c.account_id
 WHERE c.account_id = ANY(%(account_ids)s::uuid[]) AND c.state NOT IN ('merged', 'erased')
 ORDER BY c.key_contact DESC, c.last_interaction_at DESC NULLS LAST, c.id
"""
PUT = f"""
INSERT INTO contact ({OWN}, search)
SELECT {OWN}, search FROM jsonb_populate_recordset(NULL::contact, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET account_id = excluded.account_id, profile = excluded.profile, search = excluded.search, state = excluded.state,
       employments = excluded.employments, closed_channels = excluded.closed_channels,
       provenances = excluded.provenances,
       last_verify_at = excluded.last_verify_at, merged_into_id = excluded.merged_into_id,
       updated_at = excluded.updated_at,
       version = excluded.version
"""
FORGET_KEYS = "DELETE FROM contact_key WHERE contact_id = ANY(%(ids)s::uuid[])"
PUT_KEYS = """
INSERT INTO contact_key (key, contact_id) SELECT * FROM unnest(%(keys)s::text[], %(ids)s::uuid[]) ON CONFLICT DO NOTHING
"""
PUT_SOURCES = """
INSERT INTO contact_provenance (source, source_id, contact_id)
SELECT * FROM unnest(%(sources)s::text[], %(source_ids)s::text[], %(ids)s::uuid[])
"""
# Nobody makes a contact of the same keys meanwhile: one maker takes its keys, a bulk call takes all.
LOCK_KEYS = """
SELECT pg_advisory_xact_lock_shared(hashtext('contact_key')),
       (SELECT count(pg_advisory_xact_lock(hashtext('contact_key'), hashtext(key)))
          FROM (SELECT key FROM unnest(%(keys)s::text[]) AS key ORDER BY hashtext(key)) AS ordered)
"""
LOCK_ALL_KEYS = "SELECT pg_advisory_xact_lock(hashtext('contact_key'))"
MATCHES = """
SELECT k.key, coalesce(c.merged_into_id, c.id) AS contact_id, c.account_id
  FROM contact_key k JOIN contact c ON c.id = k.contact_id
 WHERE k.key = ANY(%(keys)s::text[])
 ORDER BY k.key, c.id
"""
ACCOUNTS_BY_SOURCE = """
SELECT source, source_id, account_id FROM account_provenance
 WHERE (source, source_id) IN (SELECT * FROM unnest(%(sources)s::text[], %(source_ids)s::text[]))
"""
LIST = f"""
SELECT {COLUMNS} FROM contact c JOIN account a ON a.id = c.account_id
 WHERE ({Scope.SQL} OR %(scope_owner)s = ANY(a.participant_ids)) AND {records.FILTERS}
   AND (%(account_id)s::uuid IS NULL OR c.account_id = %(account_id)s)
   AND (c.search LIKE %(begins)s OR c.search LIKE %(word_begins)s)
   AND (%(states)s::text[] IS NULL OR c.state = ANY(%(states)s))
   AND (%(key_contact)s::boolean IS NULL OR c.key_contact = %(key_contact)s)
   AND (%(updated_since)s::timestamptz IS NULL OR c.updated_at >= %(updated_since)s) AND CUSTOM_FIELDS
   AND c.id > %(after_id)s::uuid
 ORDER BY c.id LIMIT %(limit)s
"""
PUT_OPT_OUT = """
INSERT INTO opt_out (address, channel, topic, contact_id, allowed, cause, told_at)
VALUES (%(address)s, %(channel)s, %(topic)s, %(contact_id)s, %(allowed)s, %(cause)s, %(told_at)s)
ON CONFLICT (address, channel, topic) DO UPDATE
   SET contact_id = excluded.contact_id, allowed = excluded.allowed, cause = excluded.cause, told_at = excluded.told_at
 WHERE opt_out.told_at <= excluded.told_at
RETURNING true
"""


async def get(reader: Reader, id: str) -> Contact | None:
    return await reader.one(GET, {"id": id}, into=Contact)


async def lock(tx: Transaction, ids: Collection[str]) -> dict[str, Contact]:
    return {row.id: row for row in await tx.all(LOCK, {"ids": list(ids)}, into=Contact)}


async def lock_by_source(tx: Transaction, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Contact]:
    params = {"sources": [source for source, _ in pairs], "source_ids": [source_id for _, source_id in pairs]}
    found: dict[tuple[str, str], Contact] = {}
    for row in await tx.all(LOCK_BY_SOURCE, params):
        key = (row.pop("by_source"), row.pop("by_source_id"))
        found[key] = Contact(**row)
    return found


async def by_keys(tx: Transaction, keys: Iterable[str], ids: Iterable[str] = ()) -> list[Contact]:
    """Contacts that have one of these keys or ids, held until the transaction ends."""
    return await tx.all(BY_KEYS, {"keys": list(keys), "ids": list(ids)}, into=Contact)


async def of_accounts(reader: Reader | Transaction, account_ids: Collection[str]) -> list[Contact]:
    """Key contacts first, then those spoken to last."""
    return await reader.all(OF_ACCOUNT, {"account_ids": list(account_ids)}, into=Contact)


async def matches(tx: Transaction, keys: Iterable[str], *, lock: str = "keys") -> list[dict[str, Any]]:
    """key, contact_id, account_id of contacts with these keys, while nobody else makes one (`lock`: "keys", "all")."""
    params = {"keys": list(keys)}
    tx.do(LOCK_ALL_KEYS if lock == "all" else LOCK_KEYS, {} if lock == "all" else params)
    return await tx.all(MATCHES, params)


def put(
    tx: Transaction,
    contacts: Sequence[Contact],
    keys: dict[str, list[str]],
    new_sources: Sequence[tuple[str, str, str]],
) -> None:
    """Queues the contacts as they are now; `keys` by id for those whose keys changed; new (source, source_id, id)."""
    beside = ("owner_id", "unit_id", "participant_ids")
    packed = [{**rows.row(contact, *beside), "search": contact.search} for contact in contacts]
    tx.do(PUT, {"rows": rows.pack(packed)})
    if keys:
        tx.do(FORGET_KEYS, {"ids": list(keys)})
        pairs = [(key, id_) for id_, found in keys.items() for key in found]
        tx.do(PUT_KEYS, {"keys": [key for key, _ in pairs], "ids": [id_ for _, id_ in pairs]})
    if new_sources:
        sources, source_ids, ids = zip(*new_sources, strict=True)
        known = errors.AlreadyExists("DUPLICATE_CONTACT", "this id of this source has brought a contact before")
        params = {"sources": list(sources), "source_ids": list(source_ids), "ids": list(ids)}
        tx.do(PUT_SOURCES, params, refuse={"contact_provenance_key": known})


async def accounts_by_source(tx: Transaction, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    params = {"sources": [source for source, _ in pairs], "source_ids": [source_id for _, source_id in pairs]}
    return {(row["source"], row["source_id"]): row["account_id"] for row in await tx.all(ACCOUNTS_BY_SOURCE, params)}


async def page(reader: Reader, params: dict[str, Any]) -> list[Contact]:
    sought = custom_fields.sought(params["custom_fields"], "c")
    return await reader.all(LIST.replace("CUSTOM_FIELDS", sought), params, into=Contact)


async def put_opt_out(tx: Transaction, row: dict[str, Any]) -> bool:
    """Whether it is news: an older telling changes nothing."""
    return bool(await tx.value(PUT_OPT_OUT, row))
