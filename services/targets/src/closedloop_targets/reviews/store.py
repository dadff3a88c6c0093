"""Packs and what is written in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_targets import aggregation

SYSTEM = "system"
# From which pages of packs count.
EPOCH = date(2000, 1, 1)

# Of a fortnight's weeks: each counts as one where they do not add up.
FIGURES = ", ".join(
    f"{aggregation.asked('d.metric', f'd.{name}', '1', 'd.start_date')} AS {name}"
    for name in ("target", "forecast", "actual")
)
# A fortnight of each holder asked for, its weeks together; the newest alarm of them beside it.
FORTNIGHT = f"""
SELECT f.*, a.raised_at, a.first_answered_at
  FROM (SELECT d.holder_kind, d.holder_id, max(d.unit_id) AS unit_id, max(d.owner_id) AS owner_id, d.metric,
               max(d.target_id) AS target_id, max(d.currency) AS currency, {FIGURES},
               bool_or(d.forecast_made) AS forecast_made, max(d.rule_version) AS rule_version,
               (array_agg(d.weeks_under ORDER BY d.start_date DESC))[1] AS weeks_under,
               coalesce((array_agg(d.alarm_id ORDER BY d.start_date DESC) FILTER (WHERE d.alarm_id <> ''))[1], '') AS alarm_id
          FROM unnest(%(kinds)s::text[], %(holders)s::text[]) AS asked (kind, id)
          JOIN deviation d ON d.holder_kind = asked.kind AND d.holder_id = asked.id
           AND d.start_date >= %(since)s AND d.end_date <= %(until)s
         GROUP BY d.holder_kind, d.holder_id, d.metric) AS f
  LEFT JOIN alarm a ON a.id::text = f.alarm_id
"""
OPEN_ALARMS = """
SELECT id::text AS id, holder_kind, holder_id FROM alarm
 WHERE state IN ('open', 'answered')
   AND (holder_kind, holder_id) IN (SELECT * FROM unnest(%(kinds)s::text[], %(holders)s::text[]))
 ORDER BY light DESC, raised_at, id
"""
LOCK_OF = "SELECT * FROM review_pack WHERE unit_id = ANY(%(units)s) AND start_date = %(start)s ORDER BY id FOR UPDATE"
LOCK = "SELECT * FROM review_pack WHERE id = %(id)s FOR UPDATE"
BY_ID = "SELECT * FROM review_pack WHERE id = %(id)s"
BEFORE = """
SELECT * FROM review_pack WHERE unit_id = %(unit_id)s AND start_date < %(start)s ORDER BY start_date DESC LIMIT 1
"""
# Anew only as long as nobody has written in it.
PUT = """
INSERT INTO review_pack (id, unit_id, owner_id, period, start_date, end_date, state, data, prepared_at)
SELECT given.id, given.unit_id, given.owner_id, %(period)s, %(start)s, %(end)s, 'prepared', given.data, %(now)s
  FROM unnest(%(ids)s::uuid[], %(units)s::text[], %(owners)s::text[], %(data)s::bytea[]) AS given (id, unit_id, owner_id, data)
ON CONFLICT (unit_id, start_date) DO UPDATE
   SET owner_id = excluded.owner_id, data = excluded.data, prepared_at = excluded.prepared_at,
       version = review_pack.version + 1
"""
CLEAR_DEVIATIONS = "DELETE FROM review_deviation WHERE pack_id = ANY(%(ids)s::uuid[])"
CLEAR_NOTES = "DELETE FROM review_note WHERE pack_id = ANY(%(ids)s::uuid[])"
ADD_DEVIATIONS = """
INSERT INTO review_deviation (pack_id, position, holder_kind, holder_id, metric, data, ranked_cause)
SELECT * FROM unnest(%(packs)s::uuid[], %(positions)s::int[], %(kinds)s::text[], %(holders)s::text[], %(metrics)s::text[],
                     %(data)s::bytea[], %(causes)s::text[])
"""
DEVIATIONS = """
SELECT * FROM review_deviation WHERE pack_id = %(id)s AND position > %(after)s ORDER BY position LIMIT %(limit)s
"""
MEASURED = "SELECT holder_id, metric FROM review_deviation WHERE pack_id = %(id)s AND holder_id = ANY(%(holders)s)"
NOTES = "SELECT * FROM review_note WHERE pack_id = ANY(%(ids)s::uuid[]) ORDER BY id"
FOLLOW_UPS = "SELECT * FROM review_follow_up WHERE pack_id = ANY(%(ids)s::uuid[]) ORDER BY id"
CONFIRM = """
UPDATE review_deviation d
   SET confirmed_cause = given.cause, comment = given.comment, confirmed_by = %(by)s, confirmed_at = %(now)s
  FROM unnest(%(holders)s::text[], %(metrics)s::text[], %(causes)s::text[], %(comments)s::text[])
       AS given (holder_id, metric, cause, comment)
 WHERE d.pack_id = %(id)s AND d.holder_id = given.holder_id AND d.metric = given.metric
"""
KEPT = """
UPDATE review_pack SET state = %(state)s, minutes = %(minutes)s, closed_at = %(closed_at)s, version = version + 1
 WHERE id = %(id)s
"""
SETTLED = """
UPDATE review_follow_up SET task_id = %(task_id)s, task_state = %(state)s WHERE id = nullif(%(id)s, '')::uuid
"""
LIST = (
    """
SELECT * FROM review_pack
 WHERE (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND %(supervisor_id)s IN ('', owner_id)
   AND start_date <= coalesce(%(until)s::date, 'infinity') AND end_date >= coalesce(%(since)s::date, '-infinity')
   AND %(state)s IN ('', state) AND (-(start_date - %(epoch)s::date), id) > (%(key)s::int, %(key_id)s::uuid) AND """
    + Scope.SQL
    + " ORDER BY start_date DESC, id LIMIT %(limit)s"
)


@dataclass(frozen=True, slots=True)
class Pack:
    id: str
    unit_id: str
    owner_id: str
    period: str
    start_date: date
    end_date: date
    state: str
    data: bytes = field(repr=False)
    minutes: str
    prepared_at: datetime
    closed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class Note:
    """A proposal, or what was decided."""

    id: str
    pack_id: str
    kind: str
    text: str
    expected_effect: str
    author_id: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class FollowUp:
    id: str
    pack_id: str
    title: str
    details: str
    assignee_id: str
    due_date: date
    task_id: str = ""
    task_state: str = "requested"


async def pack(reader: Reader | Transaction, pack_id: str, sql: str = BY_ID) -> Pack:
    """Raises NotFound PACK_NOT_FOUND."""
    found = await reader.one(sql, {"id": pack_id}, into=Pack)
    if found is None:
        raise errors.NotFound("PACK_NOT_FOUND", f"there is no review pack {pack_id}")
    return found


async def deviations(reader: Reader | Transaction, pack_id: str, after: int, limit: int) -> list[dict[str, Any]]:
    return await reader.all(DEVIATIONS, {"id": pack_id, "after": after, "limit": limit})


async def notes(reader: Reader | Transaction, *ids: str) -> list[Note]:
    return await reader.all(NOTES, {"ids": list(ids)}, into=Note)


async def follow_ups(reader: Reader | Transaction, *ids: str) -> list[FollowUp]:
    return await reader.all(FOLLOW_UPS, {"ids": list(ids)}, into=FollowUp)


def add_notes(tx: Transaction, found: Sequence[Note]) -> None:
    if found:
        tx.do(rows.insert("review_note", Note), {"rows": rows.pack(found)})


def add_follow_ups(tx: Transaction, found: Sequence[FollowUp]) -> None:
    if found:
        tx.do(rows.insert("review_follow_up", FollowUp), {"rows": rows.pack(found)})
