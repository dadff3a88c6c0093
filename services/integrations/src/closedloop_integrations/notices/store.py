"""Notices and matches in SQL; thousands as easily as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_integrations.notices.rules import Notice

# More notices than these are matched against all names at once, in memory.
FEW = 20

COLUMNS = tuple(field.name for field in fields(Notice))
NAMES = ", ".join(COLUMNS)

# One at a time: of two who bring the same notice, the second finds it.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('notices'))"
KNOWN = """
SELECT id, source, source_id, digest, version, created_at
  FROM notice JOIN unnest(%(sources)s::text[], %(source_ids)s::text[]) AS wanted (source, source_id) USING (source, source_id)
"""
# What a list that says less must not take away.
SAID_BEFORE = """
SELECT source_id, title, url, publish_date, items
  FROM notice WHERE source = %(source)s AND source_id = ANY(%(source_ids)s)
"""
PUT = f"""
INSERT INTO notice ({NAMES}) SELECT {NAMES} FROM jsonb_populate_recordset(NULL::notice, %(rows)s)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{c} = excluded.{c}" for c in COLUMNS if c not in ("id", "created_at"))}
"""

ACCOUNTS = """
SELECT n.account_id, n.key, n.name, a.name AS account_name, a.owner_id, a.unit_id
  FROM account_name n JOIN account a ON a.id = n.account_id
"""
# Names that occur in any of the texts: all that a matcher of these texts could find.
OCCURRING = f"""{ACCOUNTS}
 WHERE n.key = ANY(%(buyers)s) OR EXISTS (SELECT FROM unnest(%(texts)s::text[]) AS t (text) WHERE position(n.key IN t.text) > 0)
"""

# A notice and an account that come at one moment would not see each other: neither is committed yet when the other looks.
# Who brings notices waits for the accounts that are on their way, and they for him; accounts do not wait for each other.
NAMES_STAND_STILL = "SELECT pg_advisory_xact_lock(hashtext('notice_names'))"
NOTICES_STAND_STILL = "SELECT pg_advisory_xact_lock_shared(hashtext('notice_names'))"

OF_NOTICES = """
SELECT m.*, a.name AS account_name, a.owner_id, a.unit_id, a.participant_ids
  FROM notice_match m LEFT JOIN account a ON a.id = m.account_id
 WHERE m.notice_id = ANY(%(ids)s::uuid[])
"""
MATCH_COLUMNS = (
    "id, notice_id, account_id, state, superseded, confidence, matched_name, matched_text, matched_field, rulebook_version,"
    " rule, explanation, matched_at, reviewed_by, reviewed_at, review_comment, version"
)
PUT_MATCHES = f"""
INSERT INTO notice_match ({MATCH_COLUMNS})
SELECT {MATCH_COLUMNS} FROM jsonb_populate_recordset(NULL::notice_match, %(rows)s)
ON CONFLICT (notice_id, account_id) DO UPDATE
   SET state = excluded.state, superseded = excluded.superseded, confidence = excluded.confidence,
       matched_name = excluded.matched_name, matched_text = excluded.matched_text, matched_field = excluded.matched_field,
       rulebook_version = excluded.rulebook_version, rule = excluded.rule, explanation = excluded.explanation,
       reviewed_by = excluded.reviewed_by, reviewed_at = excluded.reviewed_at, review_comment = excluded.review_comment,
       version = excluded.version
"""

UNSEARCHED = """
UPDATE account_name SET searched = true WHERE account_id = %(id)s AND NOT searched RETURNING key
"""
SPEAKING_OF = f"""
SELECT {", ".join(f"n.{c}" for c in COLUMNS)} FROM notice n
 WHERE n.publish_date >= %(since)s AND (n.buyer_key LIKE ANY(%(patterns)s) OR n.search_text LIKE ANY(%(patterns)s))
   AND NOT EXISTS (SELECT FROM notice_match m WHERE m.notice_id = n.id AND m.account_id = %(account_id)s)
"""

GET = f"SELECT {NAMES} FROM notice WHERE id = %(id)s"
# Bodies and search texts are not needed in lists.
LIGHT = ", ".join(f"'' AS {c}" if c in ("body", "search_text") else f"n.{c}" for c in COLUMNS)
LIST = f"""
SELECT {LIGHT} FROM notice n
 WHERE (n.publish_date, n.id) < (%(day)s::date, %(id)s::uuid)
   AND (%(query)s = '' OR position(%(query)s IN n.search_text || chr(10) || n.buyer_key) > 0)
   AND (%(buyer)s = '' OR position(%(buyer)s IN n.buyer_key) > 0)
   AND (%(region)s = '' OR position(%(region)s IN n.region) > 0)
   AND (%(kinds)s::text[] = '{{}}' OR n.kind = ANY(%(kinds)s))
   AND (%(sector)s = '' OR n.sectors @> ARRAY[%(sector)s])
   AND (%(begin)s::date IS NULL OR n.publish_date >= %(begin)s) AND (%(end)s::date IS NULL OR n.publish_date <= %(end)s)
   AND (%(source)s = '' OR n.source = %(source)s)
   AND (%(project_key)s = '' OR n.project_key = %(project_key)s)
   AND (NOT %(unmatched)s OR NOT EXISTS (SELECT FROM notice_match m WHERE m.notice_id = n.id AND NOT m.superseded))
 ORDER BY n.publish_date DESC, n.id DESC LIMIT %(limit)s
"""
LIST_MATCHES = f"""
SELECT m.*, a.name AS account_name, a.owner_id, a.unit_id, a.participant_ids, to_jsonb(shown) AS notice
  FROM notice_match m
  LEFT JOIN (SELECT id, name, owner_id, unit_id, participant_ids FROM account) a ON a.id = m.account_id
  JOIN LATERAL (SELECT {LIGHT} FROM notice n WHERE n.id = m.notice_id) shown ON true
 WHERE (m.matched_at, m.id) < (%(at)s::timestamptz, %(id)s::uuid) AND NOT m.superseded
   AND ({Scope.SQL} OR a.participant_ids @> ARRAY[%(scope_owner)s])
   AND (%(account_id)s::uuid IS NULL OR m.account_id = %(account_id)s)
   AND (%(notice_id)s::uuid IS NULL OR m.notice_id = %(notice_id)s)
   AND (%(states)s::text[] = '{{}}' OR m.state = ANY(%(states)s))
   AND (%(sector)s = '' OR shown.sectors @> ARRAY[%(sector)s])
   AND m.confidence >= %(confidence)s
   AND (%(begin)s::timestamptz IS NULL OR m.matched_at >= %(begin)s)
   AND (%(end)s::timestamptz IS NULL OR m.matched_at < %(end)s)
   AND (%(units)s::text[] IS NULL OR a.unit_id = ANY(%(units)s))
 ORDER BY m.matched_at DESC, m.id DESC LIMIT %(limit)s
"""
LOCK_MATCH = """
SELECT m.*, a.name AS account_name, a.owner_id, a.unit_id, a.participant_ids
  FROM notice_match m LEFT JOIN account a ON a.id = m.account_id WHERE m.id = %(id)s FOR UPDATE OF m
"""
# A match of `tell_from` or more is one the matcher stands by; what a person named it never found.
REVIEWED = """
SELECT count(*) AS reviewed,
       count(*) FILTER (WHERE m.state = 'confirmed' AND stood) AS true_positives,
       count(*) FILTER (WHERE m.state = 'rejected' AND stood) AS false_positives,
       count(*) FILTER (WHERE m.state = 'confirmed' AND NOT stood) AS false_negatives
  FROM notice_match m JOIN notice n ON n.id = m.notice_id
 CROSS JOIN LATERAL (SELECT m.confidence >= %(tell_from)s AND m.rule <> 'review' AS stood) AS ours
 WHERE m.reviewed_by <> ''
   AND (%(begin)s::timestamptz IS NULL OR m.matched_at >= %(begin)s) AND (%(end)s::timestamptz IS NULL OR m.matched_at < %(end)s)
   AND (%(source)s = '' OR n.source = %(source)s)
"""
ACCOUNT = "SELECT id, name AS account_name, owner_id, unit_id, participant_ids FROM account WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class Known:
    """A notice already here, by its source's name for it."""

    id: str
    source: str
    source_id: str
    digest: str
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Name:
    """A customer's name, with whose it is."""

    account_id: str
    key: str
    name: str
    account_name: str
    owner_id: str
    unit_id: str


@dataclass(slots=True)
class Match:
    """A customer in a notice. The owner is the account's, as our copy knows it; empty while it is unknown."""

    id: str
    notice_id: str
    account_id: str
    state: str
    superseded: bool
    confidence: float
    matched_name: str
    matched_text: str
    matched_field: str
    rulebook_version: int
    rule: str
    explanation: str
    matched_at: datetime
    reviewed_by: str = ""
    reviewed_at: datetime | None = None
    review_comment: str = ""
    version: int = 1
    account_name: str | None = None
    owner_id: str | None = None
    unit_id: str | None = None
    participant_ids: list[str] | None = None
    notice: dict[str, Any] | None = None


async def known(tx: Transaction, notices: Sequence[Notice]) -> dict[tuple[str, str], Known]:
    tx.do(LOCK)
    keys = {"sources": [n.source for n in notices], "source_ids": [n.source_id for n in notices]}
    return {(row.source, row.source_id): row for row in await tx.all(KNOWN, keys, into=Known)}


async def said_before(tx: Transaction, source: str, source_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`title`, `url`, `publish_date` and `items` of the notices that are here, by their source's id."""
    tx.do(LOCK)
    rows_ = await tx.all(SAID_BEFORE, {"source": source, "source_ids": list(source_ids)})
    return {row["source_id"]: row for row in rows_}


def put(tx: Transaction, notices: Sequence[Notice]) -> None:
    tx.do(PUT, {"rows": rows.pack(notices, only=COLUMNS)})


def await_accounts(tx: Transaction) -> None:
    """Names read from here on are those of all accounts that came before these notices; later ones find the notices."""
    tx.do(NAMES_STAND_STILL)


async def names_in(tx: Transaction, notices: Sequence[Notice]) -> list[Name]:
    """The customers' names that may stand in these notices."""
    if len(notices) > FEW:
        return await tx.all(ACCOUNTS, into=Name)
    texts = [f"{notice.buyer_key}\n{notice.search_text}" for notice in notices]
    return await tx.all(OCCURRING, {"buyers": [notice.buyer_key for notice in notices], "texts": texts}, into=Name)


async def names_of(tx: Transaction, account_id: str) -> list[Name]:
    return await tx.all(f"{ACCOUNTS} WHERE n.account_id = %(id)s", {"id": account_id}, into=Name)


async def matches_of(tx: Transaction, notice_ids: Sequence[str]) -> list[Match]:
    return await tx.all(OF_NOTICES, {"ids": list(notice_ids)}, into=Match) if notice_ids else []


def put_matches(tx: Transaction, matches: Sequence[Match]) -> None:
    if matches:
        tx.do(PUT_MATCHES, {"rows": rows.pack(matches, only=MATCH_COLUMNS.replace(" ", "").split(","))})


async def new_names(tx: Transaction, account_id: str) -> list[str]:
    """Normalised names of the account that older notices were not searched for; they count as searched now."""
    return [row["key"] for row in await tx.all(UNSEARCHED, {"id": account_id})]


async def speaking_of(tx: Transaction, account_id: str, keys: Sequence[str], since: datetime) -> list[Notice]:
    """Notices that may speak of an account by one of these names and have no match with it yet."""
    tx.do(NOTICES_STAND_STILL)
    patterns = [f"%{key.replace('%', '').replace('_', '')}%" for key in keys]
    return await tx.all(
        SPEAKING_OF, {"account_id": account_id, "patterns": patterns, "since": since.date()}, into=Notice
    )


async def get(db: Reader | Transaction, id: str) -> Notice | None:
    return await db.one(GET, {"id": id}, into=Notice)


async def listed(db: Reader, params: dict[str, Any]) -> list[Notice]:
    return await db.all(LIST, params, into=Notice)


async def listed_matches(db: Reader, params: dict[str, Any]) -> list[Match]:
    return await db.all(LIST_MATCHES, params, into=Match)


async def lock_match(tx: Transaction, id: str) -> Match | None:
    return await tx.one(LOCK_MATCH, {"id": id}, into=Match)


async def reviewed(db: Reader, params: dict[str, Any]) -> dict[str, int]:
    """`reviewed`, `true_positives`, `false_positives`, `false_negatives`."""
    row = await db.one(REVIEWED, params)
    return row or {}


async def account(tx: Transaction, id: str) -> dict[str, Any] | None:
    """`id`, `account_name`, `owner_id`, `unit_id`, `participant_ids` of our copy."""
    return await tx.one(ACCOUNT, {"id": id})
