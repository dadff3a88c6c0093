"""Candidates, pairs and merges in SQL. Candidates share a block, so that the cost of a scan grows with n."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers.identity.rules import RecordType

BLOCKS: dict[RecordType, str] = {
    "account": """
SELECT b.block, b.id FROM (
    SELECT key AS block, account_id AS id FROM account_key
    UNION ALL
    SELECT 'registration:' || (profile->>'foreign_registration'), id FROM account WHERE profile ? 'foreign_registration'
) AS b JOIN account a ON a.id = b.id AND a.status <> 'merged'
""",
    "contact": """
SELECT b.block, b.id FROM (
    SELECT key AS block, contact_id AS id FROM contact_key
    UNION ALL
    SELECT account_id || lower(name), id FROM contact
) AS b JOIN contact c ON c.id = b.id AND c.state NOT IN ('merged', 'erased')
""",
    "lead": """
SELECT lower(profile->>'company_name') AS block, id FROM lead
 WHERE stage <> 'closed' AND profile->>'company_name' <> ''
UNION ALL
SELECT account_id::text, id FROM lead WHERE stage <> 'closed' AND account_id IS NOT NULL
""",
}
SCAN = """
WITH block AS MATERIALIZED (SELECT DISTINCT block, id FROM ({blocks}) AS every),
     shared AS (SELECT block FROM block GROUP BY block HAVING count(*) BETWEEN 2 AND %(largest)s)
SELECT DISTINCT one.id AS left_id, other.id AS right_id
  FROM shared JOIN block one USING (block) JOIN block other USING (block)
 WHERE one.id < other.id
   AND (%(since)s::timestamptz IS NULL OR EXISTS (
        SELECT FROM {table} r WHERE r.id IN (one.id, other.id) AND r.updated_at >= %(since)s))
"""
COUNT = "SELECT count(*) FROM {table} WHERE {living} AND (%(since)s::timestamptz IS NULL OR updated_at >= %(since)s)"
LIVING = {"account": "status <> 'merged'", "contact": "state NOT IN ('merged', 'erased')", "lead": "stage <> 'closed'"}

# Candidates for one record, by the keys of the blocks; of a block that is too large, some.
LIKE_ONE: dict[RecordType, str] = {
    "account": """
SELECT DISTINCT coalesce(a.merged_into_id, a.id) AS id FROM (
    SELECT account_id AS id FROM account_key WHERE key = ANY(%(keys)s)
    UNION
    SELECT k.account_id FROM unnest(%(likes)s::text[]) AS wanted (key) CROSS JOIN LATERAL (
        SELECT account_id FROM account_key WHERE account_key.key = wanted.key LIMIT %(most)s) AS k
    UNION SELECT id FROM account WHERE profile ? 'foreign_registration'
             AND profile->>'foreign_registration' = %(registration)s
) AS found JOIN account a ON a.id = found.id
""",
    "contact": """
SELECT DISTINCT coalesce(c.merged_into_id, c.id) AS id FROM (
    SELECT contact_id AS id FROM contact_key WHERE key = ANY(%(keys)s)
    UNION SELECT id FROM contact WHERE account_id = %(account_id)s::uuid AND lower(name) = lower(%(name)s)
) AS found JOIN contact c ON c.id = found.id WHERE c.state <> 'erased'
""",
    "lead": """
SELECT lead_id AS id FROM lead_key WHERE key = ANY(%(keys)s)
UNION
(SELECT id FROM lead WHERE stage <> 'closed' AND lower(profile->>'company_name') = lower(%(name)s)
    AND %(name)s <> '' LIMIT %(most)s)
UNION
SELECT id FROM lead WHERE stage <> 'closed' AND account_id = %(account_id)s::uuid
""",
}
RECORDS: dict[RecordType, str] = {
    "account": """
SELECT id, profile, NULL AS account_id, name, owner_id, unit_id, participant_ids FROM account
 WHERE id = ANY(%(ids)s::uuid[])
""",
    "contact": """
SELECT c.id, c.profile, c.account_id, a.name, a.owner_id, a.unit_id, a.participant_ids
  FROM contact c JOIN account a ON a.id = c.account_id WHERE c.id = ANY(%(ids)s::uuid[])
""",
    "lead": """
SELECT id, profile, account_id, coalesce(profile->>'company_name', '') AS name, owner_id, unit_id,
       ARRAY[]::text[] AS participant_ids
  FROM lead WHERE id = ANY(%(ids)s::uuid[])
""",
}

# A scan of all is one long read; what ends it is the deadline of its call.
LONG_READ = "SET LOCAL statement_timeout = '300s'"
# Blocks have no statistics: right after an import the planner takes them for few and joins them row by row, n times n.
BY_HASH = "SET LOCAL enable_nestloop = off"
# Where somebody scans this type already, false.
TAKE_SCAN = "SELECT pg_try_advisory_xact_lock(hashtext('customers.scan'), hashtext(%(record_type)s))"
PAIR = """id, record_type, left_id, right_id, probability, reasons, state, digest, decided_by, decided_at,
       decision_reason, found_at"""
# A verdict holds until what was compared has changed.
PUT_PAIRS = f"""
WITH put AS (
    INSERT INTO duplicate_pair AS p ({PAIR})
    SELECT {PAIR} FROM jsonb_populate_recordset(NULL::duplicate_pair, %(rows)s) ORDER BY left_id, right_id
    ON CONFLICT (left_id, right_id) DO UPDATE
       SET probability = excluded.probability, reasons = excluded.reasons, digest = excluded.digest, state = 'open',
           decided_by = '', decided_at = NULL, decision_reason = ''
     WHERE p.digest <> excluded.digest AND p.state <> 'merged'
    RETURNING xmax = 0 AS fresh
)
SELECT count(*) FILTER (WHERE fresh) FROM put
"""
# What no longer looks alike, or is gone.
DROP_PAIRS = """
DELETE FROM duplicate_pair p WHERE record_type = %(record_type)s AND state = 'open' AND found_at < %(now)s
   AND NOT EXISTS (SELECT FROM unnest(%(lefts)s::uuid[], %(rights)s::uuid[]) AS seen (left_id, right_id)
                    WHERE seen.left_id = p.left_id AND seen.right_id = p.right_id)
"""
OPEN_PAIRS = "SELECT count(*) FROM duplicate_pair WHERE record_type = %(record_type)s AND state = 'open'"
LOCK_PAIR = f"SELECT {PAIR} FROM duplicate_pair WHERE id = %(id)s FOR UPDATE"
DISMISS = """
UPDATE duplicate_pair SET state = 'dismissed', decided_by = %(by)s, decided_at = %(now)s, decision_reason = %(reason)s
 WHERE id = %(id)s
"""
MERGED_PAIRS = """
UPDATE duplicate_pair SET state = 'merged', decided_by = %(by)s, decided_at = %(now)s, decision_reason = %(reason)s
 WHERE state = 'open' AND left_id = ANY(%(ids)s::uuid[]) AND right_id = ANY(%(ids)s::uuid[])
"""
UNMERGED_PAIRS = """
UPDATE duplicate_pair SET state = 'dismissed', decided_by = %(by)s, decided_at = %(now)s, decision_reason = %(reason)s
 WHERE state = 'merged' AND left_id = ANY(%(ids)s::uuid[]) AND right_id = ANY(%(ids)s::uuid[])
"""
SIDE = """
SELECT a.id, a.name AS name, a.owner_id, a.unit_id FROM account a
UNION ALL
SELECT c.id, c.name, a.owner_id, a.unit_id FROM contact c JOIN account a ON a.id = c.account_id
UNION ALL
SELECT id, coalesce(nullif(profile->>'company_name', ''), profile->>'contact_name', ''), owner_id, unit_id FROM lead
"""
LIST_PAIRS = f"""
SELECT p.id, p.record_type, p.left_id, p.right_id, p.probability, p.reasons, p.state, p.digest, p.decided_by,
       p.decided_at, p.decision_reason, p.found_at, one.name AS left_name, one.owner_id AS left_owner_id,
       one.unit_id AS left_unit_id, other.name AS right_name, other.owner_id AS right_owner_id,
       other.unit_id AS right_unit_id
  FROM duplicate_pair p
  JOIN LATERAL (SELECT * FROM ({SIDE}) AS s WHERE s.id = p.left_id) AS one ON true
  JOIN LATERAL (SELECT * FROM ({SIDE}) AS s WHERE s.id = p.right_id) AS other ON true
 WHERE (%(scope_company)s OR one.owner_id = %(scope_owner)s OR one.unit_id = ANY(%(scope_units)s)
        OR other.owner_id = %(scope_owner)s OR other.unit_id = ANY(%(scope_units)s))
   AND (%(id)s::uuid IS NULL OR p.id = %(id)s)
   AND (%(record_type)s = '' OR p.record_type = %(record_type)s)
   AND (%(record_id)s::uuid IS NULL OR %(record_id)s IN (p.left_id, p.right_id))
   AND (%(states)s::text[] IS NULL OR p.state = ANY(%(states)s))
   AND (%(units)s::text[] IS NULL OR one.unit_id = ANY(%(units)s) OR other.unit_id = ANY(%(units)s))
   AND p.probability >= %(least)s
   AND (-p.probability, p.id) > (%(after_key)s, %(after_id)s::uuid)
 ORDER BY p.probability DESC, p.id LIMIT %(limit)s
"""

MERGE = """id, record_type, survivor_id, absorbed_ids, choices, before, after, moved, owner_id, unit_id, reason, merged_by,
       merged_at, unmerged_by, unmerged_at"""
ADD_MERGE = f"INSERT INTO merge ({MERGE}) SELECT {MERGE} FROM jsonb_populate_recordset(NULL::merge, %(rows)s)"
LOCK_MERGE = f"SELECT {MERGE} FROM merge WHERE id = %(id)s FOR UPDATE"
# A later merge that holds what this one made: into its survivor, or its survivor into another.
LATER = """
SELECT id FROM merge
 WHERE id > %(id)s AND unmerged_at IS NULL AND (%(survivor_id)s = ANY(absorbed_ids))
 ORDER BY id LIMIT 1
"""
UNMERGE = "UPDATE merge SET unmerged_by = %(by)s, unmerged_at = %(now)s WHERE id = %(id)s"
LIST_MERGES = f"""
SELECT {MERGE} FROM merge
 WHERE {Scope.SQL}
   AND (%(record_id)s::uuid IS NULL OR survivor_id = %(record_id)s OR absorbed_ids @> ARRAY[%(record_id)s::uuid])
   AND (%(record_type)s = '' OR record_type = %(record_type)s)
   AND merged_at >= coalesce(%(start)s::timestamptz, '-infinity')
   AND merged_at < coalesce(%(end)s::timestamptz, 'infinity')
   AND id < %(before_id)s::uuid
 ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Record:
    """`name`: of the company; of a contact, its account's."""

    id: str
    profile: dict[str, Any]
    account_id: str | None
    name: str
    owner_id: str
    unit_id: str
    participant_ids: list[str]


@dataclass(frozen=True, slots=True)
class Pair:
    id: str
    record_type: RecordType
    left_id: str
    right_id: str
    probability: float
    reasons: list[dict[str, Any]]
    state: str
    digest: str
    decided_by: str
    decided_at: datetime | None
    decision_reason: str
    found_at: datetime


@dataclass(frozen=True, slots=True)
class ShownPair(Pair):
    left_name: str
    left_owner_id: str
    left_unit_id: str
    right_name: str
    right_owner_id: str
    right_unit_id: str


@dataclass(frozen=True, slots=True)
class Merge:
    id: str
    record_type: RecordType
    survivor_id: str
    absorbed_ids: list[str]
    choices: dict[str, str]
    before: dict[str, Any]
    after: dict[str, Any]
    moved: dict[str, int]
    owner_id: str
    unit_id: str
    reason: str
    merged_by: str
    merged_at: datetime
    unmerged_by: str
    unmerged_at: datetime | None


async def records(reader: Reader | Transaction, kind: RecordType, ids: Collection[str]) -> dict[str, Record]:
    return {row.id: row for row in await reader.all(RECORDS[kind], {"ids": list(ids)}, into=Record)}


async def like_one(reader: Reader | Transaction, kind: RecordType, blocks: dict[str, Any]) -> list[str]:
    """Ids of records that share a block with what is looked for."""
    return [row["id"] for row in await reader.all(LIKE_ONE[kind], blocks)]


async def scan(
    tx: Transaction, kind: RecordType, largest: int, since: datetime | None
) -> tuple[int, list[tuple[str, str]]]:
    """How many records there are, and the pairs that share a block: (older id, younger id). Two round trips."""
    params = {"largest": largest, "since": since}
    count = await tx.value(COUNT.format(table=kind, living=LIVING[kind]), params)
    found = await tx.all(SCAN.format(blocks=BLOCKS[kind], table=kind), params)
    return count, [(row["left_id"], row["right_id"]) for row in found]


async def put_pairs(tx: Transaction, pairs: Sequence[Pair]) -> int:
    """Writes pairs found; answers how many are new. A statement even for none: a transaction that is silent for a
    minute is ended."""
    return int(await tx.value(PUT_PAIRS, {"rows": rows.pack(pairs)}) or 0)


def add_merge(tx: Transaction, merge: Merge) -> None:
    tx.do(ADD_MERGE, {"rows": rows.pack([merge])})
