"""Logs as the rules look at them, and the findings on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of `finding`."""

    id: str
    version: int = 1
    kind: str
    state: str = "open"
    activity_id: str
    owner_id: str
    unit_id: str
    related_ids: list[str] = field(default_factory=list)
    confidence: float
    explanation: str
    rule_version: int
    answer: str = ""
    reviewer_id: str = ""
    comment: str = ""
    created_at: datetime
    reviewed_at: datetime | None = None


# All logs of the sellers around a span; those within it, by `asked`, are judged, the others are what they are held
# against.
TIMELINE = """
SELECT v.id, v.owner_id, v.unit_id, v.kind, coalesce(v.account_id::text, '') AS account_id, v.started_at AS started,
       v.ended_at AS ended, coalesce(v.logged_at, v.at) AS logged, v.content, v.visit, v.script_version,
       v.at, v.authenticity, v.at >= %(from)s AND v.at < %(to)s AND (NOT %(fresh)s OR v.checked_at IS NULL) AS asked
  FROM activity v
 WHERE v.owner_id = ANY(%(owners)s) AND v.state = 'done' AND v.started_at IS NOT NULL
   AND v.at >= %(from)s::timestamptz - %(before)s::interval AND v.at < %(to)s::timestamptz + %(before)s::interval
 ORDER BY v.owner_id, v.at, v.id
"""
# A log that was corrected is printed anew.
PRINT = """
WITH gone AS (DELETE FROM text_print WHERE activity_id = ANY(%(ids)s::uuid[]))
INSERT INTO text_print (print, at, activity_id, owner_id)
SELECT print, at, activity_id, owner_id FROM jsonb_populate_recordset(NULL::text_print, %(rows)s)
ON CONFLICT DO NOTHING
"""
# Logs of others that share a print, the most alike first.
ALIKE = """
SELECT m.activity_id AS mine, v.id, v.owner_id, v.kind, coalesce(v.account_id::text, '') AS account_id,
       v.started_at AS started, v.ended_at AS ended, coalesce(v.logged_at, v.at) AS logged, v.content
  FROM (SELECT DISTINCT activity_id FROM text_print WHERE activity_id = ANY(%(ids)s::uuid[])) m
       CROSS JOIN LATERAL (
           SELECT p.activity_id, count(*) AS shared
             FROM text_print mine
                  JOIN text_print p ON p.print = mine.print AND p.owner_id <> mine.owner_id
                   AND p.at >= mine.at - %(before)s::interval AND p.at <= mine.at + %(before)s::interval
            WHERE mine.activity_id = m.activity_id
            GROUP BY p.activity_id ORDER BY shared DESC, p.activity_id LIMIT %(most)s) found
       JOIN activity v ON v.id = found.activity_id AND v.state = 'done' AND v.started_at IS NOT NULL
"""
FORGET = "DELETE FROM text_print WHERE at < %(before)s"
UNCHECKED = """
SELECT min(at) AS begins, max(at) AS ends FROM activity
 WHERE owner_id = ANY(%(owners)s) AND checked_at IS NULL AND state = 'done'
"""
OWNERS = """
SELECT DISTINCT owner_id FROM activity
 WHERE state = 'done' AND at >= %(from)s AND at < %(to)s
   AND (%(owner)s = '' OR owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
"""
# Pictures of these logs that stand in earlier ones: the same file, or one that looks like it.
REUSED = """
SELECT u.record_id::text AS activity_id, array_agg(DISTINCT v.record_id::text) AS earlier
  FROM attachment_use u JOIN attachment f ON f.id = u.attachment_id AND f.picture IS NOT NULL
       JOIN activity mine ON mine.id = u.record_id
       JOIN attachment g ON g.picture IS NOT NULL
        AND ((g.picture & 65535) = (f.picture & 65535)
          OR ((g.picture >> 16) & 65535) = ((f.picture >> 16) & 65535)
          OR ((g.picture >> 32) & 65535) = ((f.picture >> 32) & 65535)
          OR ((g.picture >> 48) & 65535) = ((f.picture >> 48) & 65535))
        AND bit_count((g.picture # f.picture)::bit(64)) <= %(bits)s
       JOIN attachment_use v ON v.attachment_id = g.id AND v.record_kind = 'activity' AND v.record_id <> u.record_id
       JOIN activity theirs ON theirs.id = v.record_id AND (theirs.logged_at, theirs.id) < (mine.logged_at, mine.id)
 WHERE u.record_kind = 'activity' AND u.record_id = ANY(%(ids)s::uuid[])
 GROUP BY u.record_id
"""
EXISTING = f"SELECT {rows.listed(Finding, 'f')} FROM finding f WHERE activity_id = ANY(%(ids)s::uuid[])"
ADD = rows.insert("finding", Finding) + " ON CONFLICT (activity_id, kind) DO NOTHING"
SAVE = rows.update("finding", Finding)
WITHDRAW = "DELETE FROM finding WHERE id = ANY(%(ids)s::uuid[]) AND state = 'open'"
CHECKED = "UPDATE activity SET checked_at = %(now)s WHERE id = ANY(%(ids)s::uuid[])"
SUSPECT = """
SELECT owner_id, count(*) AS logs, count(*) FILTER (WHERE authenticity IN ('suspect', 'confirmed_false')) AS suspect,
       count(*) FILTER (WHERE authenticity = 'confirmed_false') AS confirmed
  FROM activity WHERE owner_id = ANY(%(owners)s) AND at >= %(since)s AND state = 'done'
 GROUP BY owner_id ORDER BY owner_id
"""

LOCK = f"SELECT {rows.listed(Finding, 'f')} FROM finding f WHERE id = %(id)s FOR UPDATE"
GET = f"SELECT {rows.listed(Finding, 'f')} FROM finding f WHERE id = %(id)s"
LIST = f"""
SELECT {rows.listed(Finding, "f")} FROM finding f
 WHERE {Scope.SQL}
   AND (%(owner)s = '' OR owner_id = %(owner)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(activity)s::uuid IS NULL OR activity_id = %(activity)s)
   AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
   AND (%(state)s = '' OR state = %(state)s)
   AND (%(from)s::timestamptz IS NULL OR created_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR created_at < %(to)s)
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""

# Visits as planned, claimed and found; talks with an old script; new customers won (S51).
REPORT = f"""
WITH seen AS (
    SELECT v.id, v.owner_id, v.unit_id, v.kind, v.state, v.planned_to, v.script_version, v.authenticity,
           {{group}} AS group_key,
           EXISTS (SELECT FROM finding f WHERE f.activity_id = v.id AND f.kind = 'call_as_visit'
                      AND f.state <> 'dismissed') AS by_call,
           EXISTS (SELECT FROM finding f WHERE f.activity_id = v.id AND f.kind = 'outdated_script'
                      AND f.state <> 'dismissed') AS outdated,
           (SELECT count(*) FROM finding f WHERE f.activity_id = v.id AND f.state = 'open') AS open,
           (SELECT count(*) FROM finding f WHERE f.activity_id = v.id AND f.state = 'confirmed') AS confirmed
      FROM activity v
     WHERE {Scope.SQL} AND v.at >= %(from)s AND v.at < %(to)s
       AND (%(owner)s = '' OR v.owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR v.unit_id = ANY(%(units)s))
       AND (v.state = 'done' OR (v.state = 'planned' AND v.planned_to <= %(now)s))
), deals AS (
    SELECT {{group}} AS group_key, count(*) FILTER (WHERE v.state = 'won') AS won, count(*) AS ended
      FROM opportunity v
     WHERE {Scope.SQL} AND v.closed_at >= %(from)s AND v.closed_at < %(to)s AND NOT v.repurchase
       AND (%(owner)s = '' OR v.owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR v.unit_id = ANY(%(units)s))
     GROUP BY 1
)
SELECT s.group_key, count(*) FILTER (WHERE kind = 'visit' AND planned_to IS NOT NULL) AS planned,
       count(*) FILTER (WHERE kind = 'visit' AND planned_to IS NOT NULL AND state = 'done') AS kept,
       count(*) FILTER (WHERE kind = 'visit' AND state = 'done') AS claimed,
       count(*) FILTER (WHERE kind = 'visit' AND state = 'done'
                          AND authenticity NOT IN ('suspect', 'confirmed_false')) AS genuine,
       count(*) FILTER (WHERE kind = 'visit' AND state = 'done' AND by_call) AS calls,
       count(*) FILTER (WHERE script_version <> '') AS scripted, count(*) FILTER (WHERE outdated) AS outdated,
       sum(open)::bigint AS open, sum(confirmed)::bigint AS confirmed,
       coalesce(max(d.won), 0) AS won, coalesce(max(d.ended), 0) AS ended
  FROM seen s LEFT JOIN deals d ON d.group_key = s.group_key GROUP BY s.group_key ORDER BY s.group_key
"""
PRECISIONS = f"""
SELECT kind, count(*) AS raised, count(*) FILTER (WHERE state <> 'open') AS judged,
       count(*) FILTER (WHERE state = 'confirmed') AS confirmed
  FROM finding WHERE {Scope.SQL} AND created_at >= %(from)s AND created_at < %(to)s GROUP BY kind ORDER BY kind
"""


async def lock(tx: Transaction, finding_id: str) -> Finding:
    """Raises NotFound FINDING_UNKNOWN."""
    return _there(await tx.one(LOCK, {"id": finding_id}, into=Finding), finding_id)


async def get(db: Reader, finding_id: str) -> Finding:
    """Raises NotFound FINDING_UNKNOWN."""
    return _there(await db.one(GET, {"id": finding_id}, into=Finding), finding_id)


def _there(found: Finding | None, finding_id: str) -> Finding:
    if found is None:
        raise errors.NotFound("FINDING_UNKNOWN", f"no finding {finding_id}")
    return found


async def existing(tx: Transaction, activity_ids: Sequence[str]) -> list[Finding]:
    return await tx.all(EXISTING, {"ids": list(activity_ids)}, into=Finding)


async def page(db: Reader, params: dict[str, Any]) -> list[Finding]:
    return await db.all(LIST, params, into=Finding)


def report(by_person: bool) -> str:
    return REPORT.format(group="v.owner_id" if by_person else "v.unit_id")
