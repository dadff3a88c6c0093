"""The decision chain in SQL. One statement reads everything of an account, so that a brief costs one round trip."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_customers.chain.rules import ChainRules

# A survivor answers for what it absorbed. What a person has confirmed of somebody stands, for the deal before all deals;
# where it says nothing, what was confirmed of whom they absorbed.
GRAPH = """
WITH a AS (
    SELECT * FROM account WHERE id = (SELECT coalesce(merged_into_id, id) FROM account WHERE id = %(account_id)s)
)
SELECT a.id, a.name, a.industry, a.owner_id, a.unit_id, a.participant_ids, a.grade, a.quality_light,
       coalesce(a.profile->>'customer_type', '') AS customer_type,
       (SELECT h.score FROM health h WHERE h.account_id = a.id) AS health,
       (SELECT count(*) FROM suggestion s WHERE s.account_id = a.id AND s.state = 'open') AS suggestions,
       coalesce((SELECT version FROM decision_chain d WHERE d.account_id = a.id), 0) AS version,
       (SELECT jsonb_agg(p) FROM (
           SELECT c.id, c.name, coalesce(c.profile->>'job_title', '') AS job_title,
                  coalesce(c.profile->>'department', '') AS department, c.state, c.key_contact, c.last_interaction_at,
                  coalesce(nullif(m.role, ''), nullif(w.role, ''), x.role, '') AS role,
                  coalesce(nullif(m.stance, ''), nullif(w.stance, ''), x.stance, '') AS stance,
                  coalesce(m.influence, w.influence, x.influence) AS influence,
                  (SELECT count(*) FROM interaction i WHERE i.contact_id = c.id AND i.effective
                      AND i.occurred_at >= %(since)s) AS touches,
                  ARRAY(SELECT DISTINCT source FROM (
                      SELECT source FROM contact_provenance f WHERE f.contact_id = c.id
                      UNION SELECT i.source FROM interaction i WHERE i.contact_id = c.id) AS known) AS sources
             FROM contact c
             LEFT JOIN chain_member m ON m.contact_id = c.id AND m.account_id = a.id
                   AND m.opportunity_id = %(opportunity_id)s AND %(opportunity_id)s <> ''
             LEFT JOIN chain_member w ON w.contact_id = c.id AND w.account_id = a.id AND w.opportunity_id = ''
             LEFT JOIN LATERAL (
                 SELECT max(nullif(role, '')) AS role, max(nullif(stance, '')) AS stance, max(influence) AS influence
                   FROM chain_member k JOIN contact g ON g.id = k.contact_id
                  WHERE g.merged_into_id = c.id AND k.account_id = a.id
                    AND k.opportunity_id IN ('', %(opportunity_id)s)) AS x ON true
            WHERE c.account_id = a.id AND c.state NOT IN ('merged', 'erased', 'left')
            ORDER BY c.id LIMIT 500) AS p) AS people,
       (SELECT jsonb_agg(r ORDER BY r.id) FROM relation r WHERE r.account_id = a.id) AS relations,
       (SELECT jsonb_agg(n) FROM (
           SELECT * FROM concern n WHERE n.account_id = a.id
              AND (%(opportunity_id)s = '' OR n.opportunity_id IS NULL OR n.opportunity_id::text = %(opportunity_id)s)
            ORDER BY n.state = 'open' DESC, n.last_raised_at DESC LIMIT 200) AS n) AS concerns,
       (SELECT jsonb_agg(o) FROM (
           SELECT opportunity_id, name, stage, closes_on FROM account_opportunity o WHERE o.account_id = a.id AND o.open
            ORDER BY closes_on NULLS LAST, opportunity_id LIMIT 50) AS o) AS opportunities
  FROM a
"""
STANDING = "SELECT coalesce(merged_into_id, id)::text FROM account WHERE id = %(account_id)s"
BUMP = """
INSERT INTO decision_chain AS d (account_id, version) VALUES (%(account_id)s, 1)
ON CONFLICT (account_id) DO UPDATE SET version = d.version + 1
"""
HOLD = """
INSERT INTO decision_chain AS d (account_id, version) VALUES (%(account_id)s, 0)
ON CONFLICT (account_id) DO UPDATE SET version = d.version RETURNING version
"""
PUT_MEMBER = """
INSERT INTO chain_member (account_id, opportunity_id, contact_id, role, stance, influence)
VALUES (%(account_id)s, %(opportunity_id)s, %(contact_id)s, %(role)s, %(stance)s, %(influence)s)
ON CONFLICT (account_id, opportunity_id, contact_id) DO UPDATE
   SET role = excluded.role, stance = excluded.stance, influence = excluded.influence
"""
MEMBER = """
SELECT role, stance, influence FROM chain_member
 WHERE account_id = %(account_id)s AND opportunity_id = %(opportunity_id)s AND contact_id = %(contact_id)s
"""
PUT_RELATION = """
INSERT INTO relation (id, account_id, from_end, to_end, kind, strength, note, provenance, renewed_at)
VALUES (%(id)s, %(account_id)s, %(from_end)s, %(to_end)s, %(kind)s, %(strength)s, %(note)s, %(provenance)s, %(now)s)
ON CONFLICT (from_end, to_end, kind) DO UPDATE
   SET strength = excluded.strength, note = excluded.note, renewed_at = excluded.renewed_at
"""
# Somebody reports to one person only.
NO_OTHER_SUPERIOR = (
    "DELETE FROM relation WHERE from_end = %(from_end)s AND kind = 'reports_to' AND to_end <> %(to_end)s"
)
DROP_RELATION = (
    "DELETE FROM relation WHERE id = %(id)s AND account_id = %(account_id)s RETURNING from_end, to_end, kind"
)
SUPERIORS = """
WITH RECURSIVE up AS (
    SELECT from_end, to_end FROM relation WHERE kind = 'reports_to' AND from_end = %(end)s
    UNION
    SELECT r.from_end, r.to_end FROM relation r JOIN up ON r.from_end = up.to_end WHERE r.kind = 'reports_to'
)
SELECT from_end, to_end FROM up
"""
CONCERN = """id, account_id, contact_id, opportunity_id, kind, state, topic, text, quote, stage, severity, occurrences,
       provenance, heard_in, raised_at, last_raised_at, answer, answered_at, version"""
# Heard again elsewhere, it is the same concern, once more; heard again in the same place, it is not.
RAISE = f"""
INSERT INTO concern AS c ({CONCERN})
VALUES (%(id)s, %(account_id)s, %(contact_id)s, %(opportunity_id)s, %(kind)s, 'open', %(topic)s, %(text)s, %(quote)s,
        %(stage)s, %(severity)s, 1, %(provenance)s, ARRAY[%(heard_in)s], %(raised_at)s, %(raised_at)s, '', NULL, 1)
ON CONFLICT (account_id, coalesce(contact_id::text, ''), topic, kind) WHERE state = 'open' DO UPDATE
   SET occurrences = c.occurrences + (excluded.heard_in[1] <> ALL (c.heard_in))::int,
       heard_in = CASE WHEN excluded.heard_in[1] = ANY (c.heard_in) THEN c.heard_in
                       ELSE (c.heard_in || excluded.heard_in)[greatest(cardinality(c.heard_in) - 98, 1):] END,
       severity = greatest(c.severity, excluded.severity),
       quote = CASE WHEN excluded.quote <> '' THEN excluded.quote ELSE c.quote END,
       last_raised_at = greatest(c.last_raised_at, excluded.last_raised_at), version = c.version + 1
RETURNING {CONCERN}
"""
LOCK_CONCERN = f"SELECT {CONCERN} FROM concern WHERE id = %(id)s FOR UPDATE"
SET_CONCERN = f"""
UPDATE concern SET state = %(state)s, answer = %(answer)s, answered_at = %(answered_at)s, version = version + 1
 WHERE id = %(id)s RETURNING {CONCERN}
"""
PUT_OPPORTUNITIES = """
INSERT INTO account_opportunity AS o (opportunity_id, account_id, name, stage, open, closes_on, version)
SELECT opportunity_id, account_id, name, stage, open, closes_on, version
  FROM jsonb_populate_recordset(NULL::account_opportunity, %(rows)s) ORDER BY opportunity_id
ON CONFLICT (opportunity_id) DO UPDATE
   SET account_id = excluded.account_id, name = excluded.name, stage = excluded.stage, open = excluded.open,
       closes_on = excluded.closes_on, version = excluded.version
 WHERE o.version < excluded.version
"""
# Everybody one tie away: drawn relations, who of ours spoke with whom, colleagues at one account.
TIES = """
SELECT from_end AS one, to_end AS other, kind, strength, renewed_at, 0::bigint AS touches FROM relation
 WHERE (from_end = ANY(%(ends)s) OR to_end = ANY(%(ends)s))
   AND NOT EXISTS (SELECT FROM contact c WHERE c.merged_into_id IS NOT NULL
                      AND c.id IN (CASE WHEN starts_with(from_end, 'contact:') THEN substr(from_end, 9)::uuid END,
                                   CASE WHEN starts_with(to_end, 'contact:') THEN substr(to_end, 9)::uuid END))
UNION ALL
(SELECT 'person:' || person_id, 'contact:' || contact_id, 'knows', 0, max(occurred_at), count(*) FROM interaction
  WHERE contact_id = ANY(%(contacts)s::uuid[]) AND person_id <> '' AND effective
  GROUP BY contact_id, person_id ORDER BY count(*) DESC LIMIT %(most)s)
UNION ALL
(SELECT 'contact:' || c.id, 'contact:' || other.id, 'works_with', -1, %(now)s, 0
   FROM contact c JOIN contact other ON other.account_id = c.account_id AND other.id <> c.id
        AND other.state IN ('current', 'job_changed')
  WHERE c.id = ANY(%(contacts)s::uuid[]) ORDER BY other.key_contact DESC, other.id LIMIT %(most)s)
"""
WHO = """
SELECT c.id, c.name, c.account_id, a.name AS account_name, a.owner_id, a.unit_id, a.participant_ids
  FROM contact c JOIN account a ON a.id = c.account_id
 WHERE c.id IN (SELECT coalesce(merged_into_id, id) FROM contact WHERE id = ANY(%(ids)s::uuid[]))
   AND c.state NOT IN ('erased', 'merged')
"""


@dataclass(frozen=True, slots=True)
class Graph:
    """An account and its buying group as read; `people`, `relations`, `concerns`, `opportunities` as rows, or None."""

    id: str
    name: str
    industry: str
    owner_id: str
    unit_id: str
    participant_ids: list[str]
    grade: str
    quality_light: str
    customer_type: str
    health: float | None
    suggestions: int
    version: int
    people: list[dict[str, Any]] | None
    relations: list[dict[str, Any]] | None
    concerns: list[dict[str, Any]] | None
    opportunities: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Known:
    """A contact in a path, and whose."""

    id: str
    name: str
    account_id: str
    account_name: str
    owner_id: str
    unit_id: str
    participant_ids: list[str]


async def graph(
    reader: Reader | Transaction, account_id: str, opportunity_id: str, now: datetime, rules: ChainRules
) -> Graph | None:
    since = now - timedelta(days=rules.activity_days)
    params = {"account_id": account_id, "opportunity_id": opportunity_id, "since": since}
    return await reader.one(GRAPH, params, into=Graph)


async def standing(reader: Reader, account_id: str) -> str:
    """The account that answers for this one, itself where there is none. One round trip."""
    return str(await reader.value(STANDING, {"account_id": account_id}) or account_id)


def topic(account_id: str) -> str:
    """Under which changes of what a brief is made of are counted; some accounts share one."""
    return f"brief:{account_id.lower()[-3:]}"


async def ties(reader: Reader, ends: Collection[str], most: int, now: datetime) -> list[dict[str, Any]]:
    contacts = [end.removeprefix("contact:") for end in ends if end.startswith("contact:")]
    return await reader.all(TIES, {"ends": list(ends), "contacts": contacts, "most": most, "now": now})
