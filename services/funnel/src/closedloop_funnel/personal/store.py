"""Forgetting people in SQL: rows, figures and ids stay, words about or of the person go, out of the trail too."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from closedloop_chassis.data.transaction import Transaction

# The words of a talk are those of everybody who took part in it: one of them is reason enough.
ACTIVITIES = """
UPDATE activity
   SET subject = '', content = '', next_step = '', customer_feedback = '', cancel_reason = '', custom_fields = '{}',
       actions = (SELECT coalesce(jsonb_agg(one.action - 'note' - 'content' ORDER BY one.place), '[]')
                    FROM jsonb_array_elements(actions) WITH ORDINALITY AS one (action, place)),
       version = version + 1, updated_at = %(now)s
 WHERE contact_ids && %(ids)s::uuid[] OR lead_id = ANY(%(ids)s::uuid[])
RETURNING id
"""
SURVEYS = """
UPDATE survey SET answers = '[]', contradictions = '{}'
 WHERE contact_id = ANY(%(ids)s::uuid[]) OR activity_id = ANY(%(activities)s::uuid[])
RETURNING id
"""
OPPORTUNITIES = """
UPDATE opportunity SET need = '', version = version + 1, updated_at = %(now)s
 WHERE lead_id = ANY(%(ids)s::uuid[]) AND need <> ''
RETURNING id
"""
BESIDES = (
    """UPDATE finding SET comment = '', answer = '', explanation = ''
        WHERE activity_id = ANY(%(activities)s::uuid[])""",
    "UPDATE activity_amendment SET earlier = '{}', reason = '' WHERE activity_id = ANY(%(activities)s::uuid[])",
    "UPDATE hearing SET sentence = '', suggested_reply = '' WHERE transcript_id = ANY(%(transcripts)s::uuid[])",
)
TRANSCRIPTS = """
UPDATE transcript SET utterances = '[]'
 WHERE contact_ids && %(ids)s::uuid[] OR activity_id = ANY(%(activities)s::uuid[])
RETURNING id
"""
# Photos and papers of these talks alone; what other records use as well, a brochure, says nothing of the person.
FILES = """
WITH theirs AS (
    UPDATE attachment f SET file_name = '' WHERE id IN (
        SELECT attachment_id FROM attachment_use GROUP BY attachment_id
        HAVING bool_and(record_kind = 'activity' AND record_id = ANY(%(activities)s::uuid[])))
    RETURNING id, sha256
), emptied AS (
    UPDATE attachment_content c SET content = '' WHERE sha256 IN (SELECT sha256 FROM theirs) AND NOT EXISTS (
        SELECT FROM attachment f WHERE f.sha256 = c.sha256 AND f.id NOT IN (SELECT id FROM theirs))
    RETURNING sha256
)
SELECT id FROM theirs
"""
# Who did what and when stays; what was said does not.
TRAIL = """
UPDATE audit_entry SET changes = changes - %(words)s::text[]
 WHERE subject = ANY(%(subjects)s) AND changes ?| %(words)s::text[]
"""
WORDS = [
    "subject", "content", "next_step", "customer_feedback", "cancel_reason", "custom_fields", "actions", "need",
    "answers", "contradictions", "utterances", "visit",
]  # fmt: skip


async def erase(tx: Transaction, ids: Collection[str], now: datetime) -> int:
    """Of these contacts and leads; answers how many records spoke of them. Five round trips, however many."""
    params = {"ids": list(ids), "now": now}
    activities = [row["id"] for row in await tx.all(ACTIVITIES, params)]
    surveys = [row["id"] for row in await tx.all(SURVEYS, {**params, "activities": activities})]
    deals = [row["id"] for row in await tx.all(OPPORTUNITIES, params)]
    theirs = {"ids": list(ids), "activities": activities}
    transcripts = [row["id"] for row in await tx.all(TRANSCRIPTS, theirs)]
    files = [row["id"] for row in await tx.all(FILES, theirs)] if activities else []
    subjects = [*activities, *surveys, *deals, *transcripts, *files]
    if subjects:
        for statement in BESIDES:
            tx.do(statement, {**theirs, "transcripts": transcripts})
        tx.do(TRAIL, {"subjects": subjects, "words": WORDS})
    return len(subjects)
