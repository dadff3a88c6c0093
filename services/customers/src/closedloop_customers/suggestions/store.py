"""Suggestions in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import records
from closedloop_customers.suggestions.rules import Suggestion

COLUMNS = """id, record_type, record_id, account_id, kind, state, changes, summary, quote, provenance, source,
       source_id, confidence,
       owner_id, unit_id, created_at, due_at, decided_by, decided_at, decision_reason, created_contact_id,
       opportunity_point_id,
       version, digest"""

ADD = f"""
INSERT INTO suggestion ({COLUMNS}) SELECT {COLUMNS} FROM jsonb_populate_recordset(NULL::suggestion, %(rows)s)
ON CONFLICT (source, source_id, digest) DO NOTHING
RETURNING id
"""
# An older open fact about the same field of the same record gives way.
SUPERSEDE = """
UPDATE suggestion old SET state = 'superseded', decided_at = %(now)s, version = old.version + 1
  FROM suggestion new
 WHERE new.id = ANY(%(ids)s::uuid[]) AND old.state = 'open' AND old.id <> ALL(%(ids)s::uuid[])
   AND old.record_id = new.record_id AND old.kind = new.kind AND new.kind IN ('job_change', 'contact_detail',
          'account_detail')
   AND EXISTS (SELECT FROM jsonb_array_elements(old.changes) o, jsonb_array_elements(new.changes) n
          WHERE o->>'field' = n->>'field')
RETURNING old.id
"""
KNOWN = (
    f"SELECT {COLUMNS} FROM suggestion WHERE source = %(source)s AND source_id = %(source_id)s AND digest = %(digest)s"
)
GET = f"SELECT {COLUMNS} FROM suggestion WHERE id = %(id)s"
LOCK = f"SELECT {COLUMNS} FROM suggestion WHERE id = %(id)s FOR UPDATE"
DECIDE = """
UPDATE suggestion
   SET state = %(state)s, changes = %(changes)s, decided_by = %(decided_by)s, decided_at = %(decided_at)s,
       decision_reason = %(decision_reason)s, created_contact_id = %(created_contact_id)s,
       opportunity_point_id = %(opportunity_point_id)s, version = %(version)s
 WHERE id = %(id)s
"""
EXPIRE = """
UPDATE suggestion SET state = 'expired', decided_at = %(now)s, version = version + 1
 WHERE id = ANY(%(ids)s::uuid[]) AND state = 'open' RETURNING id
"""
LIST = f"""
SELECT {COLUMNS} FROM suggestion
 WHERE {Scope.SQL} AND {records.FILTERS}
   AND (%(record_id)s::uuid IS NULL OR record_id = %(record_id)s AND record_type = %(record_type)s)
   AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
   AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
   AND state = ANY(%(states)s)
   AND (%(source)s = '' OR source = %(source)s)
   AND created_at >= coalesce(%(start)s::timestamptz, '-infinity') AND created_at < coalesce(%(end)s::timestamptz,
          'infinity')
   AND id > %(after_id)s::uuid
 ORDER BY id LIMIT %(limit)s
"""
ADD_POINT = """
INSERT INTO opportunity_point (id, account_id, contact_id, owner_id, unit_id, need, quote, rule, product_lines,
       provenance, state,
                               created_at, decided_by, decided_at, version)
VALUES (%(id)s, %(account_id)s, %(contact_id)s, %(owner_id)s, %(unit_id)s, %(need)s, %(quote)s, %(rule)s,
       %(product_lines)s,
        %(provenance)s, 'accepted', %(now)s, %(decided_by)s, %(now)s, 1)
"""


async def add(tx: Transaction, suggestions: Sequence[Suggestion]) -> set[str]:
    """Ids of those that are new facts of their source."""
    return {row["id"] for row in await tx.all(ADD, {"rows": rows.pack(suggestions)})}


async def supersede(tx: Transaction, ids: Collection[str], now: datetime) -> list[str]:
    """Ids of the older open suggestions that these replace."""
    return [row["id"] for row in await tx.all(SUPERSEDE, {"ids": list(ids), "now": now})]


async def known(tx: Transaction, suggestion: Suggestion) -> Suggestion | None:
    params = {"source": suggestion.source, "source_id": suggestion.source_id, "digest": suggestion.digest}
    return await tx.one(KNOWN, params, into=Suggestion)


async def get(reader: Reader, id: str) -> Suggestion | None:
    return await reader.one(GET, {"id": id}, into=Suggestion)


async def lock(tx: Transaction, id: str) -> Suggestion | None:
    return await tx.one(LOCK, {"id": id}, into=Suggestion)
