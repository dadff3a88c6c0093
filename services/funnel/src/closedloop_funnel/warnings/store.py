"""Warnings in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_funnel.warnings.record import Warning

COLUMNS = rows.listed(Warning, "w")
# Warned of again while it is unsettled it is the same warning, darker perhaps, and with the task that came with it.
DARKNESS = "array_position(ARRAY['none', 'blue', 'yellow', 'red'], {0}.light)"
RAISE = f"""
{rows.insert("warning", Warning)}
ON CONFLICT (kind, subject_id) WHERE state IN ('open', 'acted') DO UPDATE
   SET light = excluded.light, evidence = excluded.evidence, explanation = excluded.explanation,
       task_cause_key = coalesce(nullif(excluded.task_cause_key, ''), warning.task_cause_key),
       version = warning.version + 1
 WHERE {DARKNESS.format("excluded")} > {DARKNESS.format("warning")}
"""
SAVE = rows.update("warning", Warning)
GET = f"SELECT {COLUMNS} FROM warning w WHERE id = %(id)s"
LOCK = f"SELECT {COLUMNS} FROM warning w WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"
OF_TASK = f"""
SELECT {COLUMNS} FROM warning w
 WHERE task_cause_key = %(cause)s AND state IN ('open', 'acted') ORDER BY id FOR UPDATE
"""
OPEN = f"SELECT {COLUMNS} FROM warning w WHERE state = 'open' AND raised_at < %(before)s ORDER BY id FOR UPDATE"
LIST = f"""
SELECT {COLUMNS} FROM warning w
 WHERE {Scope.SQL}
   AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s)) AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
   AND (%(owner)s = '' OR owner_id = %(owner)s) AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(subject)s = '' OR subject_id = %(subject)s) AND light = ANY(%(lights)s)
   AND (%(from)s::timestamptz IS NULL OR raised_at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR raised_at < %(to)s)
   AND (raised_at < %(after)s::timestamptz OR (raised_at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY raised_at DESC, id LIMIT %(limit)s
"""

OWNERS = "SELECT DISTINCT owner_id FROM warning WHERE state IN ('open', 'acted') ORDER BY owner_id"
OF_OWNERS = f"""
SELECT {COLUMNS} FROM warning w
 WHERE owner_id = ANY(%(people)s) AND state IN ('open', 'acted') ORDER BY id FOR UPDATE
"""

# How it stands with what was warned of, a statement for each sort of subject.
DEALS = """
SELECT id, unit_id, state, pipeline_id, stage_key, stage_entered_at FROM opportunity
 WHERE id = ANY(%(subjects)s::uuid[])
"""
# Suspect and confirmed logs of each seller among those he made since.
FALSE_LOGS = """
SELECT s.owner_id, count(v.id) AS logs, count(v.id) FILTER (WHERE v.authenticity IN ('suspect', 'confirmed_false')) AS suspect
  FROM unnest(%(subjects)s::text[], %(since)s::timestamptz[]) AS s (owner_id, since)
       LEFT JOIN activity v ON v.owner_id = s.owner_id AND v.at >= s.since AND v.state = 'done'
                           AND v.authenticity <> 'unchecked'
 GROUP BY s.owner_id
"""
# The newest talk with each customer or on each deal since.
TALKS = """
SELECT s.subject, t.churn, t.churn_light
  FROM unnest(%(subjects)s::text[], %(since)s::timestamptz[]) AS s (subject, since)
       CROSS JOIN LATERAL (SELECT churn, churn_light FROM transcript t
                            WHERE (t.account_id = s.subject::uuid OR t.opportunity_id = s.subject::uuid)
                              AND t.started_at > s.since
                            ORDER BY started_at DESC LIMIT 1) t
"""
BURSTS = """
SELECT s.owner_id, count(r.id) AS reviews
  FROM unnest(%(subjects)s::text[], %(since)s::timestamptz[]) AS s (owner_id, since)
       LEFT JOIN review r ON r.owner_id = s.owner_id AND r.kind = 'intake' AND r.created_at > s.since
 GROUP BY s.owner_id
"""
BREAKERS = """
SELECT person_id, state, visit_count, opportunity_count FROM breaker WHERE person_id = ANY(%(subjects)s)
"""
# The newest quarter of each management action of which something could be said since.
FLAT_QUARTERS = """
SELECT s.subject, q.flat, q.quarter
  FROM unnest(%(subjects)s::text[], %(since)s::timestamptz[]) AS s (subject, since)
       CROSS JOIN LATERAL (SELECT flat, quarter FROM management_quarter
                            WHERE action_id = s.subject::uuid AND measured_at > s.since AND flat IS NOT NULL
                            ORDER BY quarter DESC LIMIT 1) q
"""
STANDING = """
SELECT pipeline_id, stage_key, count(*) AS deals FROM opportunity WHERE state = 'open' GROUP BY 1, 2
"""


async def get(db: Reader, warning_id: str) -> Warning:
    """Raises NotFound WARNING_UNKNOWN."""
    return _there(await db.all(GET, {"id": warning_id}, into=Warning), warning_id)


async def lock(tx: Transaction, warning_id: str) -> Warning:
    """Raises NotFound WARNING_UNKNOWN."""
    return _there(await tx.all(LOCK, {"ids": [warning_id]}, into=Warning), warning_id)


def _there(found: Sequence[Warning], warning_id: str) -> Warning:
    if not found:
        raise errors.NotFound("WARNING_UNKNOWN", f"no warning {warning_id}")
    return found[0]
