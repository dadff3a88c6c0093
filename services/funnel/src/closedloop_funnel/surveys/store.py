"""Samples and questionnaires in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One row of `survey`."""

    id: str
    sample_id: str
    activity_id: str
    account_id: str | None
    contact_id: str | None
    owner_id: str
    unit_id: str
    state: str
    answers: list[dict[str, str]] = field(default_factory=list)
    satisfaction: float | None = None
    contradictions: list[str] = field(default_factory=list)
    sent_at: datetime
    answered_at: datetime | None = None
    expires_at: datetime


POPULATION = """
SELECT id, owner_id, unit_id, account_id, contact_ids FROM activity
 WHERE state = 'done' AND kind = ANY(%(kinds)s) AND authenticity <> 'confirmed_false'
   AND at >= %(from)s AND at < %(to)s AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtext('survey sample'))"
EARLIER = """
SELECT id, seed, sample_ratio FROM survey_sample
 WHERE begins = %(from)s AND ends = %(to)s AND unit_id = %(unit_id)s
"""
ADD_SAMPLE = """
INSERT INTO survey_sample (id, begins, ends, unit_id, seed, sample_ratio, population, drawn, created_at)
VALUES (%(id)s, %(from)s, %(to)s, %(unit_id)s, %(seed)s, %(ratio)s, %(population)s, %(drawn)s, %(now)s)
"""
ADD = rows.insert("survey", Survey)
SAVE = rows.update("survey", Survey)
SAMPLES = f"""
SELECT s.id, s.begins, s.ends, s.seed, s.sample_ratio, s.created_at,
       count(v.id) AS drawn, s.population, s.drawn AS drawn_in_all,
       count(v.id) FILTER (WHERE v.state = 'answered') AS answered,
       count(v.id) FILTER (WHERE cardinality(v.contradictions) > 0) AS contradicting,
       coalesce(array_agg(v.satisfaction) FILTER (WHERE v.satisfaction IS NOT NULL), '{{}}') AS satisfaction
  FROM survey_sample s
       LEFT JOIN (SELECT * FROM survey WHERE {Scope.SQL}) v ON v.sample_id = s.id
 WHERE (%(id)s::uuid IS NULL OR s.id = %(id)s)
   AND (%(from)s::timestamptz IS NULL OR s.ends > %(from)s) AND (%(to)s::timestamptz IS NULL OR s.begins < %(to)s)
   AND (s.created_at < %(after)s::timestamptz OR (s.created_at = %(after)s::timestamptz AND s.id > %(after_id)s::uuid))
 GROUP BY s.id ORDER BY s.created_at DESC, s.id LIMIT %(limit)s
"""
SHOWN = rows.listed(Survey, "v").replace(
    "v.state", "CASE WHEN v.state = 'sent' AND v.expires_at <= %(now)s THEN 'expired' ELSE v.state END AS state"
)
SEEN = f"""SELECT {SHOWN}, (SELECT f.id FROM finding f WHERE f.activity_id = v.activity_id
                              AND f.kind = 'survey_contradicts') AS finding_id FROM survey v"""
LIST = f"""
SELECT * FROM ({SEEN}) v
 WHERE {Scope.SQL} AND (%(sample)s::uuid IS NULL OR sample_id = %(sample)s) AND (%(owner)s = '' OR owner_id = %(owner)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND (%(account)s::uuid IS NULL OR account_id = %(account)s)
   AND (%(state)s = '' OR state = %(state)s) AND (NOT %(contradicting)s OR cardinality(contradictions) > 0)
   AND (sent_at < %(after)s::timestamptz OR (sent_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY sent_at DESC, id LIMIT %(limit)s
"""
GET = f"SELECT {rows.listed(Survey, 'v')} FROM survey v WHERE id = %(id)s FOR UPDATE"
LOG = "SELECT kind, attitude_after FROM activity WHERE id = %(id)s"
DELIVERED = """
UPDATE survey SET state = %(state)s WHERE id = %(id)s AND state = 'sent' RETURNING id
"""


async def lock(tx: Transaction, survey_id: str) -> Survey:
    """Raises NotFound SURVEY_UNKNOWN."""
    found = await tx.one(GET, {"id": survey_id}, into=Survey)
    if found is None:
        raise errors.NotFound("SURVEY_UNKNOWN", f"no survey {survey_id}")
    return found


async def earlier(tx: Transaction, params: dict[str, Any]) -> dict[str, Any] | None:
    """The sample of the same period and unit; nobody else draws until this transaction has ended."""
    tx.do(LOCK)
    return await tx.one(EARLIER, params)
