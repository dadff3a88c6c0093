"""Bindings with what became of them, key actions, and completion beside execution."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from closedloop_chassis.work import Scope
from closedloop_targets import aggregation
from closedloop_targets.book import in_force

COUNTED = """
SELECT b.*, k.planned_count, k.done_count, k.verified_count
  FROM binding b
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state <> 'cancelled')::int AS planned_count,
           count(*) FILTER (WHERE state IN ('claimed', 'verified'))::int AS done_count,
           count(*) FILTER (WHERE state = 'verified')::int AS verified_count
      FROM key_action k WHERE k.binding_id = b.id) AS k
"""
BY_ID = COUNTED + " WHERE b.id = ANY(%(ids)s::uuid[])"
LIST = (
    COUNTED
    + """
 WHERE b.id > %(after)s::uuid AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND %(person_id)s IN ('', owner_id) AND %(kind)s IN ('', kind)
   AND CASE WHEN %(target_id)s <> '' THEN target_id = nullif(%(target_id)s, '')::uuid
            ELSE EXISTS (SELECT FROM target t JOIN plan ON plan.id = t.plan_id AND plan.version_in_force = t.number
                          WHERE t.id = b.target_id) END
   AND start_date <= coalesce(%(until)s::date, 'infinity') AND end_date >= coalesce(%(since)s::date, '-infinity') AND """
    + Scope.SQL
    + " ORDER BY b.id LIMIT %(limit)s"
)
LOCK_BINDING = "SELECT * FROM binding WHERE id = %(id)s FOR UPDATE"
REMAINING = """
SELECT count(*) FROM binding
 WHERE target_id = %(target_id)s AND id <> %(id)s AND end_date >= %(day)s
"""
PASSED_ON = "SELECT EXISTS (SELECT FROM target WHERE parent_id = %(id)s)"
END = "UPDATE binding SET end_date = %(last)s, version = version + 1 WHERE id = %(id)s"
CANCEL_FROM = """
UPDATE key_action SET state = 'cancelled', version = version + 1
 WHERE binding_id = %(id)s AND date >= %(day)s AND state = 'planned'
"""
BELOW = """
WITH RECURSIVE line AS (
    SELECT * FROM target WHERE id = %(id)s
    UNION ALL
    SELECT child.* FROM target child JOIN line ON child.parent_id = line.id WHERE %(below)s
)
SELECT id, owner_id, unit_id, holder_kind, holder_id, start_date, end_date, plan_id, number, metric FROM line ORDER BY depth, id
"""
LIST_ACTIONS = (
    """
SELECT * FROM key_action
 WHERE (date, id) > (%(after)s::date, %(after_id)s::uuid) AND date BETWEEN %(since)s AND %(until)s
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s)) AND %(person_id)s IN ('', owner_id)
   AND (%(target_id)s = '' OR target_id = nullif(%(target_id)s, '')::uuid) AND %(kind)s IN ('', kind)
   AND CASE WHEN %(state)s = '' THEN state <> 'cancelled' ELSE state = %(state)s END AND """
    + Scope.SQL
    + " ORDER BY date, id LIMIT %(limit)s"
)
LOCK_ACTION = "SELECT * FROM key_action WHERE id = %(id)s FOR UPDATE"
PUT_ACTION = """
UPDATE key_action
   SET state = %(state)s, evidence_kind = %(evidence_kind)s, evidence = %(evidence)s, evidence_note = %(evidence_note)s,
       completed_at = %(completed_at)s, verified_by = %(verified_by)s, comment = %(comment)s, version = version + 1
 WHERE id = %(id)s
"""
OWNERS = "SELECT owner_id FROM proof WHERE activity_id = ANY(%(ids)s)"
PUT_PROOFS = """
INSERT INTO proof (activity_id, owner_id, kinds, subjects, day, at, effective, version)
SELECT activity_id, owner_id, kinds, subjects, day, at, effective, version FROM jsonb_populate_recordset(NULL::proof, %(rows)s)
ON CONFLICT (activity_id) DO UPDATE
   SET owner_id = excluded.owner_id, kinds = excluded.kinds, subjects = excluded.subjects, day = excluded.day,
       at = excluded.at, effective = excluded.effective, version = excluded.version
 WHERE proof.version < excluded.version
"""
# What waits for a proof, or has one that the reactor found: what people claimed and confirmed is theirs.
PROVABLE = """
SELECT id, owner_id, kind, date, subject, CASE WHEN verified_by = 'reactor' THEN evidence ELSE '' END AS evidence
  FROM key_action
 WHERE owner_id = ANY(%(owners)s)
   AND (state IN ('planned', 'missed') OR state = 'verified' AND evidence_kind = 'activity' AND verified_by = 'reactor')
 ORDER BY id FOR UPDATE
"""
# An activity that somebody claimed by hand for a kind proves no other action of it.
PROOFS = """
SELECT activity_id, owner_id, subjects, day, at,
       ARRAY(SELECT known.kind FROM unnest(p.kinds) AS known (kind)
              WHERE NOT EXISTS (SELECT FROM key_action k
                                 WHERE k.kind = known.kind AND k.evidence_kind = 'activity' AND k.evidence = p.activity_id
                                   AND k.verified_by <> 'reactor')) AS kinds
  FROM proof p
 WHERE owner_id = ANY(%(owners)s) AND effective AND kinds <> '{}' AND day BETWEEN %(since)s AND %(until)s
"""
# First all that lose or change theirs, because an activity proves a kind once.
RELEASE = """
UPDATE key_action
   SET state = CASE WHEN date < %(until)s THEN 'missed' ELSE 'planned' END, evidence_kind = '', evidence = '',
       completed_at = NULL, verified_by = '', version = version + 1
 WHERE id = ANY(%(ids)s::uuid[])
"""
PROVE = """
UPDATE key_action k
   SET state = 'verified', evidence_kind = 'activity', evidence = n.evidence, completed_at = n.completed_at,
       verified_by = 'reactor', version = k.version + 1
  FROM jsonb_to_recordset(%(rows)s) AS n (id uuid, evidence text, completed_at timestamptz) WHERE k.id = n.id
"""
MISS = "UPDATE key_action SET state = 'missed', version = version + 1 WHERE state = 'planned' AND date < %(until)s"
BEHIND = """
SELECT k.owner_id, k.unit_id, t.id AS target_id, t.metric, t.period, t.start_date, t.end_date,
       count(*)::int AS due, count(*) FILTER (WHERE k.state IN ('claimed', 'verified'))::int AS done
  FROM key_action k
  JOIN target t ON t.id = k.target_id
  JOIN plan ON plan.id = t.plan_id AND plan.version_in_force = t.number
 WHERE k.state <> 'cancelled' AND k.date < %(until)s
 GROUP BY k.owner_id, k.unit_id, t.id
HAVING count(*) >= %(least)s
"""
ASKED = aggregation.asked("metric", "minor", "end_date - start_date + 1", "end_date")
DID = aggregation.values("goal.metric", "a")
# Of each bound target of people in force: its actions by kind, and how far its result metric went in the period.
EFFECTS = f"""
WITH bound AS (
    SELECT b.kind, b.result_metric, t.holder_id, t.holder_kind,
           count(*) FILTER (WHERE k.state <> 'cancelled') AS planned,
           count(*) FILTER (WHERE k.state IN ('claimed', 'verified')) AS done,
           count(*) FILTER (WHERE k.state = 'verified') AS verified
      FROM binding b
      JOIN target t ON t.id = b.target_id
      JOIN plan ON plan.id = t.plan_id AND plan.version_in_force = t.number
      JOIN key_action k ON k.binding_id = b.id AND k.date BETWEEN %(since)s AND %(until)s
     WHERE b.unit_id = ANY(%(units)s) AND t.holder_kind = 'person'
       AND %(action_kind)s IN ('', b.kind) AND %(result_metric)s IN ('', b.result_metric)
     GROUP BY 1, 2, 3, 4
), reached AS ({in_force.REACHED}), goal AS (
    SELECT holder_id, metric, {ASKED} AS minor, min(start_date) AS since, max(end_date) AS until
      FROM reached GROUP BY 1, 2
)
SELECT bound.kind, bound.result_metric, bound.planned, bound.done, bound.verified,
       CASE WHEN goal.metric = ANY(%(lower)s::text[]) THEN goal.minor::float8 / nullif(did.minor, 0)
            WHEN goal.metric = ANY(%(apart)s::text[]) THEN did.minor / goal.minor::float8
            ELSE coalesce(did.minor, 0) / goal.minor::float8 END AS completion
  FROM bound
  LEFT JOIN goal ON goal.holder_id = bound.holder_id AND goal.metric = bound.result_metric AND goal.minor > 0
  LEFT JOIN LATERAL (SELECT {DID} AS minor FROM actual a
                      WHERE a.metric = goal.metric AND a.owner_id = goal.holder_id
                        AND a.date BETWEEN goal.since AND goal.until) AS did ON true
 WHERE bound.planned > 0
"""


@dataclass(frozen=True, slots=True)
class KeyAction:
    id: str
    binding_id: str
    target_id: str
    owner_id: str
    unit_id: str
    kind: str
    name: str
    date: date
    state: str
    subject: str
    evidence_kind: str
    evidence: str
    evidence_note: str
    completed_at: datetime | None
    verified_by: str
    comment: str
    version: int
