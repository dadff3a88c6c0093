"""Trainings in SQL; conversations, deals and customers of attendees and of others."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One row of `training`."""

    id: str
    version: int = 1
    name: str
    description: str = ""
    owner_id: str
    unit_id: str
    start_date: date
    end_date: date
    cost_minor: int | None = None
    currency: str = ""
    attendee_ids: list[str] = field(default_factory=list)
    article_ids: list[str] = field(default_factory=list)
    ability_keys: list[str] = field(default_factory=list)
    applied_hearing_keys: list[str] = field(default_factory=list)
    customer_types: list[str] = field(default_factory=list)
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Training):
    feedback_count: int


SEEN = f"""
SELECT {rows.listed(Training, "t")},
       (SELECT count(*) FROM training_feedback f WHERE f.training_id = t.id) AS feedback_count
  FROM training t
"""
ADD = rows.insert("training", Training)
SAVE = rows.update("training", Training)
GET = f"{SEEN} WHERE id = %(id)s"
ARTICLES = "SELECT count(*) FROM article WHERE id = ANY(%(ids)s::uuid[])"
LIST = f"""
{SEEN}
 WHERE ({Scope.SQL} OR %(scope_owner)s = ANY(attendee_ids))
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(attendee)s = '' OR %(attendee)s = ANY(attendee_ids))
   AND (%(from)s::date IS NULL OR end_date >= %(from)s) AND (%(to)s::date IS NULL OR start_date <= %(to)s)
   AND (start_date < %(after)s::date OR (start_date = %(after)s::date AND id > %(after_id)s::uuid))
 ORDER BY start_date DESC, id LIMIT %(limit)s
"""
SAY = """
INSERT INTO training_feedback (training_id, person_id, rating, obstacles, comment, at)
VALUES (%(training)s, %(person)s, %(rating)s, %(obstacles)s, %(comment)s, %(now)s)
ON CONFLICT (training_id, person_id) DO UPDATE
   SET rating = excluded.rating, obstacles = excluded.obstacles, comment = excluded.comment, at = excluded.at
"""
OBSTACLES = """
SELECT o AS obstacle, count(*) AS named FROM training_feedback, unnest(obstacles) AS o
 WHERE training_id = %(id)s GROUP BY o ORDER BY named DESC, o
"""
# Conversations of these people in the two windows, and those in which it was heard.
SPOKEN = """
SELECT p.person_id, count(t.id) FILTER (WHERE NOT t.later) AS before,
       count(t.id) FILTER (WHERE NOT t.later AND t.applied) AS before_applied,
       count(t.id) FILTER (WHERE t.later) AS after, count(t.id) FILTER (WHERE t.later AND t.applied) AS after_applied
  FROM unnest(%(people)s::text[]) AS p (person_id)
       LEFT JOIN LATERAL (
           SELECT t.id, t.started_at >= %(after_from)s AS later,
                  EXISTS (SELECT FROM hearing h WHERE h.transcript_id = t.id AND h.review <> 'wrong'
                             AND h.key = ANY(%(keys)s)) AS applied
             FROM transcript t
            WHERE t.owner_id = p.person_id
              AND ((t.started_at >= %(before_from)s AND t.started_at < %(before_to)s)
                OR (t.started_at >= %(after_from)s AND t.started_at < %(after_to)s))) t ON true
 GROUP BY p.person_id ORDER BY p.person_id
"""
# Closed deals of each before and after, and won ones; days from opening to signing of the won.
DEALS = """
SELECT o.owner_id AS person_id, o.closed_at >= %(end)s AS later, count(*) AS ended,
       count(*) FILTER (WHERE o.state = 'won') AS won,
       coalesce(array_agg((o.close_date - o.engage_date)::float8) FILTER (WHERE o.state = 'won' AND o.engage_date IS NOT NULL),
                '{}') AS cycles
  FROM opportunity o
 WHERE o.owner_id = ANY(%(people)s) AND o.state <> 'open'
   AND ((o.closed_at >= %(before_from)s AND o.closed_at < %(before_to)s)
     OR (o.closed_at >= %(end)s AND o.closed_at < %(after_to)s))
 GROUP BY 1, 2 ORDER BY 1, 2
"""
CUSTOMERS = """
SELECT o.owner_id AS person_id, coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS kind, count(*) AS deals
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
 WHERE o.owner_id = ANY(%(people)s) AND o.created_at < %(after_to)s
   AND (o.state = 'open' OR o.closed_at >= %(before_from)s)
 GROUP BY 1, 2
"""


async def get(db: Reader, training_id: str) -> Seen:
    """Raises NotFound TRAINING_UNKNOWN."""
    return _there(await db.one(GET, {"id": training_id}, into=Seen), training_id)


async def lock(tx: Transaction, training_id: str) -> Seen:
    """Raises NotFound TRAINING_UNKNOWN."""
    return _there(await tx.one(f"{GET} FOR UPDATE OF t", {"id": training_id}, into=Seen), training_id)


def _there(found: Seen | None, training_id: str) -> Seen:
    if found is None:
        raise errors.NotFound("TRAINING_UNKNOWN", f"no training {training_id}")
    return found


async def spoken(db: Reader, params: dict[str, Any]) -> list[dict[str, Any]]:
    return await db.all(SPOKEN, params)
