"""Conversations and hearings in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One row of `transcript` without its words: what a list shows."""

    id: str
    owner_id: str
    unit_id: str
    source: str
    source_id: str
    brought_by: str
    source_version: int = 0
    channel: str
    account_id: str | None = None
    opportunity_id: str | None = None
    activity_id: str | None = None
    contact_ids: list[str] = field(default_factory=list)
    started_at: datetime
    length_ms: int
    language: str
    intent: float
    intent_change: float
    churn: float
    churn_light: str
    seller_share: float
    rule_version: int
    late: list[str] = field(default_factory=list)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript(Read):
    """One row of `transcript`."""

    utterances: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """One row of `hearing`."""

    id: str
    transcript_id: str
    kind: str
    key: str
    name: str
    sentence: str
    utterance_index: int
    offset_ms: int
    confidence: float
    suggested_reply: str = ""
    review: str = "open"
    reviewer_id: str = ""
    corrected_key: str = ""


@dataclass(frozen=True, slots=True)
class Around:
    """What a conversation names, as far as it is known here."""

    # {"id", "owner_id", "unit_id", "participant_ids", "account_id", "customer_type", "stage_key", "account_name"}
    opportunity: dict[str, Any] | None = None
    # {"id", "owner_id", "unit_id", "participant_ids", "customer_type", "account_name"}
    account: dict[str, Any] | None = None
    # {"id", "owner_id", "unit_id", "participant_ids"}
    activity: dict[str, Any] | None = None


ADD = rows.insert("transcript", Transcript)
SAVE = rows.update("transcript", Transcript)
FORGET_HEARINGS = "DELETE FROM hearing WHERE transcript_id = %(id)s"
ADD_HEARINGS = rows.insert("hearing", Hearing)
REVIEW = rows.update("hearing", Hearing)
DUPLICATE = {
    "transcript_provenance_key": errors.AlreadyExists(
        "TRANSCRIPT_DUPLICATE", "a transcript with this source and source_id is there already"
    )
}

AROUND = """
SELECT (SELECT jsonb_build_object('id', o.id, 'owner_id', o.owner_id, 'unit_id', o.unit_id,
                                  'participant_ids', o.participant_ids, 'account_id', o.account_id,
                                  'customer_type', coalesce(nullif(o.customer_type, ''), a.customer_type, ''),
                                  'stage_key', o.stage_key, 'account_name', a.name)
          FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
         WHERE o.id = %(opportunity)s::uuid) AS opportunity,
       (SELECT jsonb_build_object('id', id, 'owner_id', account_owner_id, 'unit_id', account_unit_id,
                                  'participant_ids', account_participant_ids, 'customer_type', customer_type,
                                  'account_name', name)
          FROM account WHERE id = %(account)s::uuid) AS account,
       (SELECT jsonb_build_object('id', id, 'owner_id', owner_id, 'unit_id', unit_id,
                                  'participant_ids', participant_ids)
          FROM activity WHERE id = %(activity)s::uuid) AS activity
"""

GET = f"SELECT {rows.listed(Transcript, 'v')} FROM transcript v WHERE id = %(id)s"
OF_SOURCE = f"""
SELECT {rows.listed(Transcript, "v")} FROM transcript v
 WHERE source = %(source)s AND source_id = %(source_id)s FOR UPDATE
"""
HEARINGS = f"""
SELECT {rows.listed(Hearing, "h")} FROM hearing h
 WHERE transcript_id = ANY(%(ids)s) ORDER BY transcript_id, utterance_index, kind, key
"""
LOCK_HEARING = f"SELECT {rows.listed(Hearing, 'h')} FROM hearing h WHERE id = %(id)s FOR UPDATE"

LIST = f"""
SELECT {rows.listed(Read, "v")} FROM transcript v
 WHERE {Scope.SQL}
   AND (%(owner)s = '' OR owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(account)s::uuid IS NULL OR account_id = %(account)s)
   AND (%(opportunity)s::uuid IS NULL OR opportunity_id = %(opportunity)s)
   AND (%(from)s::timestamptz IS NULL OR started_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR started_at < %(to)s)
   AND (%(lights)s::text[] IS NULL OR churn_light = ANY(%(lights)s))
   AND ((%(kind)s = '' AND %(key)s = '') OR EXISTS (
        SELECT FROM hearing h WHERE h.transcript_id = v.id AND h.review <> 'wrong'
           AND (%(kind)s = '' OR h.kind = %(kind)s) AND (%(key)s = '' OR h.key = %(key)s)))
   AND (started_at < %(after)s::timestamptz OR (started_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY started_at DESC, id LIMIT %(limit)s
"""

# Whose customer it is reads every talk with it; others their own.
TREND = f"""
SELECT v.id, v.started_at, v.intent, v.churn, v.churn_light
  FROM (SELECT t.*, a.account_owner_id, a.account_unit_id
          FROM transcript t LEFT JOIN account a ON a.id = t.account_id
         WHERE (%(account)s::uuid IS NULL OR t.account_id = %(account)s)
           AND (%(opportunity)s::uuid IS NULL OR t.opportunity_id = %(opportunity)s)
           AND (%(from)s::timestamptz IS NULL OR t.started_at >= %(from)s)
           AND (%(to)s::timestamptz IS NULL OR t.started_at < %(to)s)) v
 WHERE {Scope.SQL} OR account_owner_id = %(scope_owner)s OR account_unit_id = ANY(%(scope_units)s)
 ORDER BY started_at DESC LIMIT 1000
"""

REPORT = f"""
WITH talks AS (
    SELECT id, {{group}} AS group_key FROM transcript
     WHERE started_at >= %(from)s AND started_at < %(to)s AND {Scope.SQL}
       AND (%(owner)s = '' OR owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
), sizes AS (SELECT group_key, count(*) AS talks FROM talks GROUP BY 1)
SELECT t.group_key, h.kind, h.key, max(h.name) AS name, s.talks,
       count(DISTINCT h.transcript_id) FILTER (WHERE h.review <> 'wrong') AS heard,
       count(*) FILTER (WHERE h.review = 'right') AS right, count(*) FILTER (WHERE h.review <> 'open') AS reviewed
  FROM talks t JOIN sizes s USING (group_key) JOIN hearing h ON h.transcript_id = t.id
 WHERE (%(kind)s = '' AND h.kind <> 'keyword') OR h.kind = %(kind)s
 GROUP BY t.group_key, h.kind, h.key, s.talks
 ORDER BY t.group_key, h.kind, heard DESC, h.key LIMIT 5000
"""
COUNT = f"""
SELECT count(*) FROM transcript
 WHERE started_at >= %(from)s AND started_at < %(to)s AND {Scope.SQL}
   AND (%(owner)s = '' OR owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
"""


def report(by_person: bool) -> str:
    return REPORT.format(group="owner_id" if by_person else "unit_id")


async def get(db: Reader | Transaction, transcript_id: str) -> Transcript:
    """Raises NotFound TRANSCRIPT_UNKNOWN."""
    found = await db.one(GET, {"id": transcript_id}, into=Transcript)
    if found is None:
        raise errors.NotFound("TRANSCRIPT_UNKNOWN", f"no transcript {transcript_id}")
    return found


async def hearings(db: Reader | Transaction, ids: list[str]) -> dict[str, list[Hearing]]:
    """By transcript, in the order of the talk; no round trip for none."""
    found: dict[str, list[Hearing]] = {one: [] for one in ids}
    for hearing in await db.all(HEARINGS, {"ids": ids}, into=Hearing) if ids else []:
        found[hearing.transcript_id].append(hearing)
    return found


async def around(db: Reader | Transaction, account_id: str, opportunity_id: str, activity_id: str = "") -> Around:
    params = {
        "account": account_id or None,
        "opportunity": opportunity_id or None,
        "activity": activity_id or None,
    }
    found = await db.one(AROUND, params, into=Around)
    assert found is not None
    return found
