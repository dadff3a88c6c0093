"""Questions and answers in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One row of `question`."""

    id: str
    version: int = 1
    state: str = "open"
    asker_id: str
    unit_id: str
    newcomer: bool
    title: str
    text: str
    opportunity_id: str | None = None
    ability_key: str = ""
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One row of `answer`."""

    id: str
    question_id: str
    mentor_id: str
    text: str
    article_ids: list[str] = field(default_factory=list)
    accepted: bool = False
    points: int = 0
    at: datetime


ASK = rows.insert("question", Question)
SAVE = rows.update("question", Question)
SAY = rows.insert("answer", Answer)
TAKE = "UPDATE answer SET accepted = true, points = %(points)s WHERE id = %(id)s"
GET = f"SELECT {rows.listed(Question, 'q')} FROM question q WHERE id = %(id)s"
ANSWERS = f"SELECT {rows.listed(Answer, 'w')} FROM answer w WHERE question_id = ANY(%(ids)s::uuid[]) ORDER BY at, id"
LIST = f"""
SELECT {rows.listed(Question, "q")} FROM question q
 WHERE (%(state)s = '' OR state = %(state)s) AND (%(asker)s = '' OR asker_id = %(asker)s)
   AND (%(mentor)s = '' OR EXISTS (SELECT FROM answer w WHERE w.question_id = q.id AND w.mentor_id = %(mentor)s))
   AND (%(ability)s = '' OR ability_key = %(ability)s)
   AND (%(query)s = '' OR title ILIKE %(pattern)s OR text ILIKE %(pattern)s)
   AND (asked_at < %(after)s::timestamptz OR (asked_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY asked_at DESC, id LIMIT %(limit)s
"""
STARTED = "SELECT start_date FROM onboarding WHERE person_id = %(person_id)s AND leave_date IS NULL"
# By when they earned: an answer may be taken long after it was given.
FROM_SAME = """
SELECT count(*) FROM answer w JOIN question q ON q.id = w.question_id
 WHERE w.mentor_id = %(mentor)s AND q.asker_id = %(asker)s AND w.points > 0
   AND EXISTS (SELECT FROM points_entry e WHERE e.person_id = w.mentor_id AND e.kind = 'mentoring'
                  AND e.cause_id = w.id::text AND e.at >= %(since)s)
"""
ARTICLES = "SELECT count(*) FROM article WHERE id = ANY(%(ids)s::uuid[]) AND state = 'published'"
DEALS = "SELECT id, owner_id, unit_id, participant_ids FROM opportunity WHERE id = ANY(%(ids)s::uuid[])"


async def get(db: Reader, question_id: str) -> Question:
    """Raises NotFound QUESTION_UNKNOWN."""
    return _there(await db.one(GET, {"id": question_id}, into=Question), question_id)


async def lock(tx: Transaction, question_id: str) -> Question:
    """Raises NotFound QUESTION_UNKNOWN."""
    return _there(await tx.one(f"{GET} FOR UPDATE", {"id": question_id}, into=Question), question_id)


def _there(found: Question | None, question_id: str) -> Question:
    if found is None:
        raise errors.NotFound("QUESTION_UNKNOWN", f"no question {question_id}")
    return found


async def answers(db: Reader | Transaction, question_ids: list[str]) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for one in await db.all(ANSWERS, {"ids": question_ids}, into=Answer):
        found.setdefault(one.question_id, []).append(one)
    return found


async def deals(db: Reader | Transaction, ids: list[str]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in await db.all(DEALS, {"ids": ids})} if ids else {}
