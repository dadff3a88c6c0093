"""Offers in SQL, and what they are made for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One row of `lesson_offer`."""

    id: str
    version: int = 1
    person_id: str
    unit_id: str
    article_id: str
    state: str = "offered"
    opportunity_id: str | None = None
    stage_key: str = ""
    training_id: str | None = None
    rule: str = ""
    rule_version: int = 0
    explanation: str = ""
    offered_by: str
    pressing: int = 0
    score: float | None = None
    evidence_record_id: str | None = None
    evidence_attachment_ids: list[str] = field(default_factory=list)
    evidence_note: str = ""
    evidence_sentence: str = ""
    reviewer_id: str = ""
    review_comment: str = ""
    offered_at: datetime
    completed_at: datetime | None = None
    applied_at: datetime | None = None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Offer):
    """With the lesson's own words."""

    title: str
    length_ms: int | None
    body: str
    applied_hearing_keys: list[str]


# One that nobody took up in time has expired, whether anybody noted it or not.
STATE = "CASE WHEN l.state = 'offered' AND l.expires_at <= %(now)s THEN 'expired' ELSE l.state END"
COLUMNS = rows.listed(Offer, "l").replace("l.state,", f"{STATE} AS state,")
SEEN = f"""
SELECT {COLUMNS}, a.title, a.length_ms, a.body, a.applied_hearing_keys
  FROM lesson_offer l JOIN article a ON a.id = l.article_id
"""
GET = f"{SEEN} WHERE l.id = %(id)s"
LOCK = f"{GET} FOR UPDATE OF l"
LIST = f"""
{SEEN}
 WHERE {Scope.SQL.replace("owner_id", "l.person_id").replace("unit_id =", "l.unit_id =")}
   AND (%(person)s = '' OR l.person_id = %(person)s)
   AND (%(deal)s::uuid IS NULL OR l.opportunity_id = %(deal)s) AND (%(article)s::uuid IS NULL OR l.article_id = %(article)s)
   AND (%(units)s::text[] IS NULL OR l.unit_id = ANY(%(units)s))
   AND (%(states)s::text[] IS NULL OR {STATE} = ANY(%(states)s))
   AND (l.pressing, l.offered_at, l.id) < (%(pressing)s, %(after)s::timestamptz, %(after_id)s::uuid)
 ORDER BY l.pressing DESC, l.offered_at DESC, l.id DESC LIMIT %(limit)s
"""
EXPIRE = """
UPDATE lesson_offer SET state = 'expired', version = version + 1
 WHERE person_id = ANY(%(people)s) AND state = 'offered' AND expires_at <= %(now)s
"""
ADD = (
    rows.insert("lesson_offer", Offer)
    + """ ON CONFLICT (person_id, article_id)
 WHERE state IN ('offered', 'completed', 'evidence_submitted', 'refused') DO NOTHING RETURNING id"""
)
SAVE = rows.update("lesson_offer", Offer)
USED = {
    "lesson_offer_evidence": errors.FailedPrecondition("EVIDENCE_USED", "this record has proved this lesson before"),
}
LESSONS = """
SELECT id, coalesce(length_ms, 0) / 60000.0::float8 AS minutes, customer_types, industries, stage_keys, product_ids,
       ability_keys
  FROM article WHERE kind = 'lesson' AND state = 'published' AND (valid_until IS NULL OR valid_until >= %(today)s)
"""
LESSON = "SELECT id, kind, state FROM article WHERE id = %(id)s"
DEALS = """
SELECT o.id, o.owner_id, o.unit_id, o.name, o.pipeline_id || '/' || o.stage_key AS stage, o.product_ids,
       coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS customer_type, coalesce(a.industry, '') AS industry
  FROM opportunity o LEFT JOIN account a ON a.id = o.account_id WHERE o.id = ANY(%(ids)s::uuid[]) AND o.state = 'open'
 ORDER BY o.id
"""
# Lessons each person has on the table, or has been through lately.
HAD = """
SELECT DISTINCT person_id, article_id FROM lesson_offer
 WHERE person_id = ANY(%(people)s)
   AND (state IN ('offered', 'completed', 'evidence_submitted', 'refused')
        OR (state = 'applied' AND applied_at >= %(since)s))
"""
# A conversation or a log, with whose it is, when it was and what was heard.
RECORD = """
SELECT owner_id, started_at AS at, true AS talk FROM transcript WHERE id = %(id)s
UNION ALL
SELECT owner_id, at, false FROM activity WHERE id = %(id)s AND state = 'done' AND authenticity <> 'confirmed_false'
"""
HEARD = """
SELECT kind, key, sentence FROM hearing
 WHERE transcript_id = %(id)s AND review <> 'wrong' ORDER BY utterance_index
"""


async def lock(tx: Transaction, offer_id: str, now: datetime) -> Seen:
    """Raises NotFound OFFER_UNKNOWN."""
    found = await tx.one(LOCK, {"id": offer_id, "now": now}, into=Seen)
    if found is None:
        raise errors.NotFound("OFFER_UNKNOWN", f"no offer {offer_id}")
    return found


async def page(db: Reader, params: dict[str, Any]) -> list[Seen]:
    return await db.all(LIST, params, into=Seen)
