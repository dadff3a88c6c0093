"""New opportunities of a day, and reviews."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One row of `review`."""

    id: str
    version: int = 1
    kind: str
    state: str = "open"
    owner_id: str
    unit_id: str
    opportunity_ids: list[str] = field(default_factory=list)
    day: date
    evidence: list[dict[str, Any]] = field(default_factory=list)
    explanation: str
    rule_version: int
    action_unit_key: str = ""
    result_metric: str = ""
    process_verdict: str = ""
    reviewer_id: str = ""
    conclusion: str = ""
    rejected_ids: list[str] = field(default_factory=list)
    created_at: datetime
    concluded_at: datetime | None = None


NEW = """
SELECT owner_id, count(*) AS deals, array_agg(id ORDER BY id) AS ids FROM opportunity
 WHERE created_at >= %(from)s AND created_at < %(to)s AND NOT imported GROUP BY owner_id ORDER BY owner_id
"""
KNOWN = "SELECT owner_id FROM review WHERE kind = 'intake' AND day = %(day)s"
ADD = rows.insert("review", Review) + " ON CONFLICT (owner_id, day) WHERE kind = 'intake' DO NOTHING"
SAVE = rows.update("review", Review)
GET = f"SELECT {rows.listed(Review, 'r')} FROM review r WHERE id = %(id)s"
LIST = f"""
SELECT {rows.listed(Review, "r")} FROM review r
 WHERE {Scope.SQL} AND (%(kind)s = '' OR kind = %(kind)s) AND (%(state)s = '' OR state = %(state)s)
   AND (%(owner)s = '' OR owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(from)s::timestamptz IS NULL OR created_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR created_at < %(to)s)
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""


async def get(db: Reader, review_id: str) -> Review:
    """Raises NotFound REVIEW_UNKNOWN."""
    return _there(await db.one(GET, {"id": review_id}, into=Review), review_id)


async def lock(tx: Transaction, review_id: str) -> Review:
    """Raises NotFound REVIEW_UNKNOWN."""
    return _there(await tx.one(f"{GET} FOR UPDATE", {"id": review_id}, into=Review), review_id)


def _there(found: Review | None, review_id: str) -> Review:
    if found is None:
        raise errors.NotFound("REVIEW_UNKNOWN", f"no review {review_id}")
    return found
