"""Sources, polls and quarantine in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction


@dataclass(slots=True)
class Source:
    """A source with its polls, [{"name", "cursor", "last_at", "next_at", "read", "retry_at"}], and the counts of 24 hours."""

    name: str
    kind: str
    protocol: str
    configured: bool
    paused: bool
    failures: int
    opened_at: datetime | None
    retry_at: datetime | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str
    newest_at: datetime | None
    secret_at: datetime | None
    call_p99: float | None
    version: int
    polls: list[dict[str, Any]]
    received: int
    rejected: int
    quarantined: int


SOURCES = """
SELECT s.name, s.kind, s.protocol, s.configured, s.paused, s.failures, s.opened_at, s.retry_at, s.last_success_at,
       s.last_failure_at, s.last_error, s.newest_at, s.secret_at, s.version,
       (SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY d) FROM unnest(s.durations) AS d) AS call_p99,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'cursor', p.cursor, 'last_at', p.last_at,
                                                     'next_at', p.next_at, 'read', p.read,
                                                     'retry_at', p.retry_at) ORDER BY p.name), '[]')
          FROM poll p WHERE p.source = s.name) AS polls,
       CASE WHEN s.protocol = 'webhook'
            THEN (SELECT coalesce(sum(h.received), 0)::bigint FROM posted_hour h WHERE h.source = s.name AND h.hour > %(since)s)
       ELSE CASE s.kind
            WHEN 'procurement' THEN (SELECT count(*) FROM notice n WHERE n.source = s.name AND n.created_at > %(since)s)
            WHEN 'mail_in' THEN (SELECT count(*) FROM mail m WHERE m.source = s.name AND m.received_at > %(since)s)
            WHEN 'erp' THEN (SELECT count(*) FROM erp_transaction t WHERE t.source = s.name AND t.created_at > %(since)s)
            ELSE (SELECT count(*) FROM delivery d
                   WHERE d.sent_at > %(since)s AND d.channel = CASE s.kind WHEN 'mail_out' THEN 'mail' ELSE s.kind END)
       END END AS received,
       CASE WHEN s.protocol = 'webhook'
            THEN (SELECT coalesce(sum(h.refused), 0)::bigint FROM posted_hour h WHERE h.source = s.name AND h.hour > %(since)s)
       ELSE (SELECT count(*) FROM delivery d
         WHERE d.ended_at > %(since)s AND d.state IN ('failed', 'bounced')
           AND d.channel = CASE s.kind WHEN 'mail_out' THEN 'mail' ELSE s.kind END)
       END AS rejected,
       -- What a feed brought is set aside under the name of who said it, with the feed's for a key.
       (SELECT count(*) FROM quarantine q
         WHERE q.created_at > %(since)s
           AND CASE WHEN s.protocol <> 'webhook' THEN q.source = s.name AND q.kind <> 'callback'
                    WHEN s.kind IN ('wecom', 'dingtalk') THEN q.source = s.kind AND q.kind = 'callback'
                    ELSE q.key = s.name AND q.kind IN ('ticket', 'behaviour', 'conversation', 'wecom_archive') END) AS quarantined
  FROM source s
"""
ONE = f"{SOURCES} WHERE s.name = %(name)s"
LIST = f"{SOURCES} WHERE s.name > %(after)s AND (%(kind)s = '' OR s.kind = %(kind)s) ORDER BY s.name"
LOCK = "SELECT name FROM source WHERE name = %(name)s FOR UPDATE"
POLL_NOW = "UPDATE poll SET next_at = %(now)s WHERE source = %(name)s AND (%(poll)s = '' OR name = %(poll)s)"
CHANGE = {
    "pause": "UPDATE source SET paused = true, version = version + 1 WHERE name = %(name)s",
    "resume": "UPDATE source SET paused = false, version = version + 1 WHERE name = %(name)s",
    "close_circuit": """
        WITH polls AS (UPDATE poll SET failures = 0, retry_at = NULL WHERE source = %(name)s)
        UPDATE source SET failures = 0, opened_at = NULL, retry_at = NULL, version = version + 1 WHERE name = %(name)s
    """,
}

RUNS = """
SELECT id, source, poll, started_at, ended_at, read, created, updated, rejected, quarantined, error, brought_by, file_name, sha256
  FROM run
 WHERE (started_at, id) < (%(at)s::timestamptz, %(id)s::uuid)
   AND (%(source)s = '' OR source = %(source)s)
   AND (NOT %(failed)s OR error <> '')
   AND (%(begin)s::timestamptz IS NULL OR started_at >= %(begin)s) AND (%(end)s::timestamptz IS NULL OR started_at < %(end)s)
 ORDER BY started_at DESC, id DESC LIMIT %(limit)s
"""

ITEMS = """
SELECT id, source, kind, key, reason, message, raw, created_at, resolved_at, resolved_by, run_id, position FROM quarantine
 WHERE id < %(id)s::uuid
   AND (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s)
   AND (%(source)s = '' OR source = %(source)s)
   AND (%(reason)s = '' OR reason = %(reason)s)
   AND (%(resolved)s OR resolved_at IS NULL)
 ORDER BY id DESC LIMIT %(limit)s
"""
LOCK_ITEMS = """
SELECT id, source, kind, key, reason, raw, resolved_at FROM quarantine WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE
"""
RESOLVE = """
UPDATE quarantine SET resolved_at = %(now)s, resolved_by = %(by)s, resolution = %(resolution)s, comment = %(comment)s
 WHERE id = %(id)s
"""


async def get(read: Reader | Transaction, name: str, since: datetime) -> Source | None:
    return await read.one(ONE, {"name": name, "since": since}, into=Source)


async def listed(db: Reader, after: str, kind: str, since: datetime) -> list[Source]:
    return await db.all(LIST, {"after": after, "kind": kind, "since": since}, into=Source)
