"""Accounts in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import custom_fields, records
from closedloop_customers.accounts.rules import Account

COLUMNS = """id, profile, status, owner_id, unit_id, participant_ids, grade, quality_light, high_potential, provenances,
       last_interaction_at, last_verify_at, merged_into_id, created_at, updated_at, version"""

# A merged account answers its survivor.
GET = f"""
SELECT {COLUMNS} FROM account
 WHERE id = (SELECT coalesce(merged_into_id, id) FROM account WHERE id = %(id)s)
"""
GET_BY_SOURCE = f"""
SELECT {COLUMNS} FROM account
 WHERE id = (SELECT coalesce(a.merged_into_id, a.id) FROM account_provenance p JOIN account a ON a.id = p.account_id
              WHERE p.source = %(source)s AND p.source_id = %(source_id)s)
"""
LOCK = f"SELECT {COLUMNS} FROM account WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"
LOCK_CHILDREN = f"""
SELECT {COLUMNS} FROM account
 WHERE parent_account_id = ANY(%(ids)s::uuid[]) AND status <> 'merged' ORDER BY id FOR UPDATE
"""
LOCK_BY_SOURCE = f"""
SELECT p.source AS by_source, p.source_id AS by_source_id, {COLUMNS.replace("id,", "a.id,", 1)}
  FROM account_provenance p JOIN account a ON a.id = p.account_id
 WHERE (p.source, p.source_id) IN (SELECT * FROM unnest(%(sources)s::text[], %(source_ids)s::text[]))
 ORDER BY a.id FOR UPDATE OF a
"""

PUT = f"""
INSERT INTO account ({COLUMNS}, search)
SELECT {COLUMNS}, search FROM jsonb_populate_recordset(NULL::account, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET profile = excluded.profile, search = excluded.search, status = excluded.status, owner_id = excluded.owner_id,
       unit_id = excluded.unit_id, participant_ids = excluded.participant_ids, grade = excluded.grade,
       quality_light = excluded.quality_light, high_potential = excluded.high_potential,
       provenances = excluded.provenances,
       last_verify_at = excluded.last_verify_at, merged_into_id = excluded.merged_into_id,
       updated_at = excluded.updated_at,
       version = excluded.version
"""
FORGET_KEYS = "DELETE FROM account_key WHERE account_id = ANY(%(ids)s::uuid[])"
PUT_KEYS = """
INSERT INTO account_key (key, account_id) SELECT * FROM unnest(%(keys)s::text[], %(ids)s::uuid[]) ON CONFLICT DO NOTHING
"""
# With the keys each is found by; without `everybody` those that were never given any to be found by alike names.
WITH_KEYS = """
SELECT a.id, a.profile, a.version, array(SELECT key FROM account_key k WHERE k.account_id = a.id) AS keys
  FROM account a
 WHERE %(everybody)s OR NOT EXISTS (
       SELECT FROM account_key k WHERE k.account_id = a.id AND starts_with(k.key, 'like:'))
"""
STILL_SO = """
SELECT a.id FROM account a JOIN unnest(%(ids)s::uuid[], %(versions)s::bigint[]) AS seen (id, version)
       ON a.id = seen.id AND a.version = seen.version
 ORDER BY a.id FOR UPDATE OF a
"""
PUT_SOURCES = """
INSERT INTO account_provenance (source, source_id, account_id)
SELECT * FROM unnest(%(sources)s::text[], %(source_ids)s::text[], %(ids)s::uuid[])
"""

# Nobody makes an account of the same keys meanwhile: one maker takes its keys, a bulk call takes all.
LOCK_KEYS = """
SELECT pg_advisory_xact_lock_shared(hashtext('account_key')),
       (SELECT count(pg_advisory_xact_lock(hashtext('account_key'), hashtext(key)))
          FROM (SELECT key FROM unnest(%(keys)s::text[]) AS key ORDER BY hashtext(key)) AS ordered)
"""
LOCK_ALL_KEYS = "SELECT pg_advisory_xact_lock(hashtext('account_key'))"
MATCHES = """
SELECT k.key, s.id AS account_id, s.profile
  FROM account_key k JOIN account a ON a.id = k.account_id JOIN account s ON s.id = coalesce(a.merged_into_id, a.id)
 WHERE k.key = ANY(%(keys)s::text[])
 ORDER BY k.key, a.id
"""

# Who changes what belongs to what holds it until the transaction ends, before any account: two changes that are right each
# may be a circle together.
HOLD_TREE = "SELECT pg_advisory_xact_lock(hashtext('customers.account_parents'))"
# Parents of parents, from these accounts upwards. One that is part of another hangs below that one.
ANCESTRY = """
WITH RECURSIVE up AS (
    SELECT id, coalesce(merged_into_id, parent_account_id) AS parent FROM account WHERE id = ANY(%(ids)s::uuid[])
    UNION
    SELECT a.id, coalesce(a.merged_into_id, a.parent_account_id) FROM account a JOIN up ON a.id = up.parent
)
SELECT id, coalesce(parent::text, '') AS parent_id FROM up
"""

LIST = f"""
SELECT {COLUMNS}, ORDER_KEY AS order_key FROM account
 WHERE ({Scope.SQL} OR %(scope_owner)s = ANY(participant_ids)) AND {records.FILTERS}
   AND search LIKE ALL(%(words)s::text[])
   AND (%(territory)s::jsonb IS NULL
        OR in_territory(%(territory)s, id, region_code, industry, coalesce(profile->'product_lines', '[]')))
   AND (%(industries)s::text[] IS NULL OR industry = ANY(%(industries)s))
   AND (%(region_codes)s::text[] IS NULL OR region_code = ANY(%(region_codes)s))
   AND (%(grades)s::text[] IS NULL OR grade = ANY(%(grades)s))
   AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s))
   AND (%(lights)s::text[] IS NULL OR quality_light = ANY(%(lights)s))
   AND (%(high)s::boolean IS NULL OR high_potential = %(high)s)
   AND (%(parent)s::uuid IS NULL OR parent_account_id = %(parent)s)
   AND (%(silent_since)s::timestamptz IS NULL OR last_interaction_at IS NULL OR last_interaction_at < %(silent_since)s)
   AND (%(updated_since)s::timestamptz IS NULL OR updated_at >= %(updated_since)s)
   AND CUSTOM_FIELDS
   AND (%(source)s = '' OR provenances @> jsonb_build_array(jsonb_build_object('source', %(source)s::text)))
   AND (ORDER_KEY, id) > (%(after_key)s, %(after_id)s::uuid)
 ORDER BY ORDER_KEY, id LIMIT %(limit)s
"""
MICROSECONDS = "(extract(epoch FROM {}) * 1000000)::bigint"
# How each order sorts, and what sorts before every row.
ORDERS: dict[str, tuple[str, str | int]] = {
    "": ("0::bigint", -1),
    "name": ("name", ""),
    "updated_last_first": ("-" + MICROSECONDS.format("updated_at"), -(2**62)),
    "last_interaction_first": (f"coalesce({MICROSECONDS.format('last_interaction_at')}, 0)", -1),
    "grade": ("coalesce(nullif(grade, ''), '~')", ""),
}

CHANGES = """
SELECT e.id, e.subject, e.subject = %(account_id)s AS of_account, f.key AS field, f.value->0 AS before,
       f.value->1 AS after,
       e.actor_id, e.on_behalf_of, e.time, e.business_action
  FROM audit_entry e CROSS JOIN LATERAL jsonb_each(e.changes) AS f
 WHERE e.subject = ANY(%(subjects)s)
   AND f.key LIKE %(field_prefix)s AND (%(actor_id)s = '' OR e.actor_id = %(actor_id)s)
   AND e.time >= coalesce(%(start)s::timestamptz, '-infinity') AND e.time < coalesce(%(end)s::timestamptz, 'infinity')
   AND (e.id, f.key) < (%(before_id)s::uuid, %(before_field)s)
 ORDER BY e.id DESC, f.key DESC LIMIT %(limit)s
"""
PEOPLE_OF = "SELECT id FROM contact WHERE account_id = %(account_id)s"

LAST_WON = "SELECT max(closed_on) FROM account_deal WHERE account_id = %(id)s AND state = 'won'"
STANDINGS = """
SELECT id, status, (SELECT max(closed_on) FROM account_deal d WHERE d.account_id = a.id AND state = 'won') AS last_won
  FROM account a WHERE id = ANY(%(ids)s::uuid[])
"""
PUT_DEALS = """
INSERT INTO account_deal (opportunity_id, account_id, state, amount_minor, currency, closed_on, product_ids, version)
SELECT opportunity_id, account_id, state, amount_minor, currency, closed_on, product_ids, version
  FROM jsonb_populate_recordset(NULL::account_deal, %(rows)s) ORDER BY opportunity_id
ON CONFLICT (opportunity_id) DO UPDATE
   SET account_id = excluded.account_id, state = excluded.state, amount_minor = excluded.amount_minor,
          currency = excluded.currency,
       closed_on = excluded.closed_on, product_ids = excluded.product_ids, version = excluded.version
 WHERE account_deal.version < excluded.version
"""
SET_HIGH = f"""
UPDATE account SET high_potential = r.high_potential, version = account.version + 1, updated_at = %(now)s
  FROM jsonb_populate_recordset(NULL::account, %(rows)s) AS r
 WHERE account.id = r.id AND account.high_potential <> r.high_potential
RETURNING {", ".join("account." + column.strip() for column in COLUMNS.split(","))}
"""
SET_LIGHTS = f"""
UPDATE account SET quality_light = r.quality_light, version = account.version + 1, updated_at = %(now)s
  FROM jsonb_populate_recordset(NULL::account, %(rows)s) AS r
 WHERE account.id = r.id AND account.quality_light <> r.quality_light
RETURNING {", ".join("account." + column.strip() for column in COLUMNS.split(","))}
"""
SET_GRADES = f"""
UPDATE account SET grade = r.grade, version = account.version + 1, updated_at = %(now)s
  FROM jsonb_populate_recordset(NULL::account, %(rows)s) AS r
 WHERE account.id = r.id AND account.grade <> r.grade
RETURNING {", ".join("account." + column.strip() for column in COLUMNS.split(","))}
"""
OF_OWNERS_ELSEWHERE = f"""
UPDATE account SET unit_id = %(unit_id)s, version = version + 1, updated_at = %(now)s
 WHERE owner_id = %(owner_id)s AND unit_id <> %(unit_id)s AND status <> 'merged'
RETURNING {COLUMNS}
"""


@dataclass(frozen=True, slots=True)
class Keyed:
    id: str
    profile: dict[str, Any]
    version: int
    keys: list[str]


@dataclass(frozen=True, slots=True)
class Match:
    key: str
    account_id: str
    profile: dict[str, Any]


async def get(reader: Reader, id: str) -> Account | None:
    return await reader.one(GET, {"id": id}, into=Account)


async def get_by_source(reader: Reader, source: str, source_id: str) -> Account | None:
    return await reader.one(GET_BY_SOURCE, {"source": source, "source_id": source_id}, into=Account)


async def lock(tx: Transaction, ids: Collection[str]) -> dict[str, Account]:
    return {row.id: row for row in await tx.all(LOCK, {"ids": list(ids)}, into=Account)}


async def lock_by_source(tx: Transaction, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Account]:
    params = {"sources": [source for source, _ in pairs], "source_ids": [source_id for _, source_id in pairs]}
    found: dict[tuple[str, str], Account] = {}
    for row in await tx.all(LOCK_BY_SOURCE, params):
        key = (row.pop("by_source"), row.pop("by_source_id"))
        found[key] = Account(**row)
    return found


async def matches(tx: Transaction, keys: Iterable[str], *, lock: str = "keys") -> list[Match]:
    """Accounts of these keys, while nobody else makes one (`lock`: "keys", "all" or "")."""
    params = {"keys": list(keys)}
    if lock:
        tx.do(LOCK_ALL_KEYS if lock == "all" else LOCK_KEYS, {} if lock == "all" else params)
    return await tx.all(MATCHES, params, into=Match)


def put(
    tx: Transaction,
    accounts: Sequence[Account],
    keys: Mapping[str, Collection[str]],
    new_sources: Sequence[tuple[str, str, str]],
    *,
    fresh: bool = False,
) -> None:
    """Queues the accounts as they are now; `keys` by id for those whose keys changed; new (source, source_id, id).

    `fresh`: none of them was there before."""
    tx.do(PUT, {"rows": rows.pack([{**rows.row(account), "search": account.search} for account in accounts])})
    if keys:
        put_keys(tx, keys, fresh=fresh)
    if new_sources:
        sources, source_ids, ids = zip(*new_sources, strict=True)
        known = errors.AlreadyExists("DUPLICATE_ACCOUNT", "this id of this source has brought an account before")
        params = {"sources": list(sources), "source_ids": list(source_ids), "ids": list(ids)}
        tx.do(PUT_SOURCES, params, refuse={"account_provenance_key": known})


def put_keys(tx: Transaction, keys: Mapping[str, Collection[str]], *, fresh: bool = False) -> None:
    """Queues by what accounts are found from now on."""
    if not fresh:
        tx.do(FORGET_KEYS, {"ids": list(keys)})
    pairs = [(key, id_) for id_, found in keys.items() for key in found]
    tx.do(PUT_KEYS, {"keys": [key for key, _ in pairs], "ids": [id_ for _, id_ in pairs]})


async def with_keys(tx: Transaction, *, everybody: bool) -> list[Keyed]:
    return await tx.all(WITH_KEYS, {"everybody": everybody}, into=Keyed)


async def still_so(tx: Transaction, accounts: Sequence[Keyed]) -> set[str]:
    """Those nobody has changed since they were read; held until the transaction ends."""
    seen = {"ids": [one.id for one in accounts], "versions": [one.version for one in accounts]}
    return {row["id"] for row in await tx.all(STILL_SO, seen)}


async def ancestry(reader: Reader | Transaction, ids: Collection[str]) -> dict[str, str]:
    """Child to parent ("" at the top), for these accounts and all above them; unknown ids are missing."""
    found = await reader.all(ANCESTRY, {"ids": list(ids)})
    return {row["id"]: row["parent_id"] for row in found}


async def page(reader: Reader, order: str, params: dict[str, Any]) -> list[tuple[Account, str | int]]:
    sought = custom_fields.sought(params["custom_fields"])
    found = await reader.all(LIST.replace("ORDER_KEY", ORDERS[order][0]).replace("CUSTOM_FIELDS", sought), params)
    return [(Account(**{k: v for k, v in row.items() if k != "order_key"}), row["order_key"]) for row in found]


async def last_won(reader: Reader | Transaction, id: str) -> date | None:
    found: date | None = await reader.value(LAST_WON, {"id": id})
    return found


async def standings(tx: Transaction, ids: Collection[str]) -> list[tuple[str, str, date | None]]:
    """Accounts with their status and the day of their last deal, as they stand, not locked."""
    rows = await tx.all(STANDINGS, {"ids": list(ids)})
    return [(row["id"], row["status"], row["last_won"]) for row in rows]


async def set_high(tx: Transaction, verdicts: dict[str, bool], now: Any) -> list[Account]:
    packed = rows.pack({"id": id_, "high_potential": high} for id_, high in verdicts.items())
    return await tx.all(SET_HIGH, {"rows": packed, "now": now}, into=Account)


async def follow_owner(tx: Transaction, owner_id: str, unit_id: str, now: Any) -> list[Account]:
    return await tx.all(OF_OWNERS_ELSEWHERE, {"owner_id": owner_id, "unit_id": unit_id, "now": now}, into=Account)
