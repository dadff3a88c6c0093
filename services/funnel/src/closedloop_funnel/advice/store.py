"""Advice in SQL, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data import rows
from closedloop_chassis.work import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One row of `advice`."""

    id: str
    kind: str
    person_id: str
    unit_id: str
    activity_id: str | None = None
    proposal_id: str | None = None
    opportunity_id: str | None = None
    items: list[dict[str, Any]]
    helpful: bool | None = None
    comment: str = ""
    created_at: datetime


COLUMNS = rows.listed(Advice, "d")
ADD = rows.insert("advice", Advice) + " ON CONFLICT DO NOTHING"
OF = f"""
SELECT {COLUMNS} FROM advice d WHERE activity_id = %(activity)s::uuid OR proposal_id = %(proposal)s::uuid
"""
LOCK = f"SELECT {COLUMNS} FROM advice d WHERE id = %(id)s FOR UPDATE"
RATE = "UPDATE advice SET helpful = %(helpful)s, comment = %(comment)s WHERE id = %(id)s"
LIST = f"""
SELECT {COLUMNS} FROM advice d
 WHERE {Scope.SQL.replace("owner_id", "person_id")}
   AND (%(person)s = '' OR person_id = %(person)s) AND (%(deal)s::uuid IS NULL OR opportunity_id = %(deal)s)
   AND (%(kind)s = '' OR kind = %(kind)s)
   AND (%(from)s::timestamptz IS NULL OR created_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR created_at < %(to)s)
   AND (created_at < %(after)s::timestamptz OR (created_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY created_at DESC, id LIMIT %(limit)s
"""
# What was heard in the talks of these activities, surest first.
TALKS = """
SELECT v.id AS activity_id, v.owner_id, v.unit_id, v.opportunity_id, v.participant_ids,
       coalesce(jsonb_agg(jsonb_build_object('kind', h.kind, 'key', h.key, 'name', h.name, 'sentence', h.sentence,
                                             'confidence', h.confidence, 'reply', h.suggested_reply)
                          ORDER BY h.confidence DESC, h.utterance_index)
                FILTER (WHERE h.kind IN ('risk', 'objection') AND h.review <> 'wrong'), '[]') AS heard
  FROM activity v LEFT JOIN transcript t ON t.activity_id = v.id LEFT JOIN hearing h ON h.transcript_id = t.id
 WHERE v.id = ANY(%(ids)s::uuid[]) AND v.kind IN ('visit', 'call', 'meeting', 'demo', 'chat')
 GROUP BY v.id
"""
# Of each proposal: clauses that customers of the same type and industry (of the same type or industry, where nothing else
# is known) raised in their feedback, each customer once; and how many such customers gave feedback at all.
CLAUSES = """
WITH asked AS (
    SELECT p.id AS proposal_id, p.owner_id, p.unit_id, p.opportunity_id, p.account_id, o.participant_ids,
           coalesce(nullif(o.customer_type, ''), a.customer_type, '') AS customer_type,
           coalesce(a.industry, '') AS industry
      FROM proposal p JOIN opportunity o ON o.id = p.opportunity_id LEFT JOIN account a ON a.id = p.account_id
     WHERE p.id = ANY(%(ids)s::uuid[])
), similar_ones AS (
    SELECT q.proposal_id, p.account_id, p.clauses
      FROM asked q
           JOIN account a ON (q.customer_type <> '' OR q.industry <> '')
            AND (q.customer_type = '' OR a.customer_type = q.customer_type)
            AND (q.industry = '' OR a.industry = q.industry)
           JOIN proposal p ON p.account_id = a.id AND p.account_id IS DISTINCT FROM q.account_id
            AND p.feedback_at >= %(since)s
), counted AS (
    SELECT proposal_id, count(DISTINCT account_id) AS similar FROM similar_ones GROUP BY proposal_id
), raised AS (
    SELECT s.proposal_id, c ->> 'key' AS key, count(DISTINCT s.account_id) AS raised
      FROM similar_ones s, jsonb_array_elements(s.clauses) AS c WHERE (c -> 'raised')::boolean GROUP BY 1, 2
)
SELECT q.proposal_id, q.owner_id, q.unit_id, q.opportunity_id, q.participant_ids, q.customer_type, q.industry,
       coalesce(n.similar, 0) AS similar,
       coalesce((SELECT jsonb_agg(jsonb_build_object('key', r.key, 'raised', r.raised) ORDER BY r.key)
                   FROM raised r WHERE r.proposal_id = q.proposal_id), '[]') AS raised
  FROM asked q LEFT JOIN counted n ON n.proposal_id = q.proposal_id
"""
VOTES = """
SELECT i ->> 'key' AS key, count(*) AS rated, count(*) FILTER (WHERE helpful) AS helpful
  FROM advice, jsonb_array_elements(items) AS i WHERE helpful IS NOT NULL GROUP BY 1
"""
# Articles to read more in: those that train what was heard, and clauses by their name.
ARTICLES = """
SELECT g.key, array_agg(a.id ORDER BY a.updated_at DESC, a.id) AS ids
  FROM unnest(%(keys)s::text[], %(titles)s::text[], %(abilities)s::text[]) AS g (key, title, abilities)
       JOIN article a ON a.state = 'published'
        AND (g.key = ANY(a.applied_hearing_keys) OR a.ability_keys && string_to_array(g.abilities, ',')
             OR (a.kind = 'clause' AND position(g.title IN a.title) > 0))
 GROUP BY g.key
"""
