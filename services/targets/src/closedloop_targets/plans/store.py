"""Plans, versions and exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call, Scope, Work
from closedloop_targets import aggregation
from closedloop_targets.book import versions as books
from closedloop_targets.book.model import Plan, Version

LOCK_PLAN = books.PLAN + " FOR UPDATE"
LIST_PLANS = """
SELECT * FROM plan
 WHERE (start_date, id) < (%(before)s::date, %(before_id)s::uuid)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND start_date <= coalesce(%(until)s::date, 'infinity') AND end_date >= coalesce(%(since)s::date, '-infinity')
   AND (%(query)s = '' OR name ILIKE %(like)s)
 ORDER BY start_date DESC, id DESC LIMIT %(limit)s
"""
# Two who plan for one unit follow each other, so that overlaps are seen.
LOCK_UNIT = "SELECT pg_advisory_xact_lock(hashtext('targets.plan'), hashtext(%(unit_id)s))"
OVERLAPPING = """
SELECT id, name FROM plan
 WHERE unit_id = %(unit_id)s AND start_date <= %(end_date)s AND end_date >= %(start_date)s LIMIT 1
"""
ADD_PLAN = """
INSERT INTO plan (id, name, unit_id, owner_id, period, start_date, end_date, currency, must_sum, must_sum_reason, strategy,
                  custom_fields, created_at, updated_at)
VALUES (%(id)s, %(name)s, %(unit_id)s, %(owner_id)s, %(period)s, %(start_date)s, %(end_date)s, %(currency)s,
        %(must_sum)s, %(must_sum_reason)s, %(strategy)s, %(custom_fields)s, %(now)s, %(now)s)
"""
UPDATE_PLAN = """
UPDATE plan SET name = %(name)s, owner_id = %(owner_id)s, must_sum = %(must_sum)s,
                must_sum_reason = %(must_sum_reason)s, strategy = %(strategy)s,
                custom_fields = %(custom_fields)s, version = version + 1, updated_at = %(now)s
 WHERE id = %(id)s
"""
PLAN_MOVED = """
UPDATE plan SET version_in_force = %(in_force)s, latest_version = greatest(latest_version, %(latest)s),
                version = version + 1, updated_at = %(now)s
 WHERE id = %(id)s
"""
ADD_VERSION = """
INSERT INTO plan_version (plan_id, number, state, base_version, opened_under, cause, reason, evidence, author_id,
                          created_at)
VALUES (%(plan_id)s, %(number)s, 'draft', %(base_version)s, %(opened_under)s, %(cause)s, %(reason)s, %(evidence)s,
        %(author_id)s, %(now)s)
"""
TOP = aggregation.asked("metric", "minor", "days", "minor IS NULL, end_date")
# With their targets' count and the top's totals by metric; a mean's is that of its days.
LIST_VERSIONS = f"""
SELECT v.*, f.target_count, f.totals
  FROM plan_version v
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(n), 0)::int AS target_count,
           coalesce(jsonb_agg(jsonb_build_array(metric, currency, top::text) ORDER BY metric)
               FILTER (WHERE top IS NOT NULL), '[]')
           AS totals
      FROM (SELECT metric, currency, count(*) AS n, {TOP} AS top
              FROM (SELECT metric, currency,
                           CASE WHEN depth = 0 AND counts THEN minor END AS minor,
                           CASE WHEN depth = 0 AND counts THEN end_date - start_date + 1 END AS days, end_date
                      FROM target t WHERE t.plan_id = v.plan_id AND t.number = v.number) AS t
             GROUP BY metric, currency) AS m
  ) AS f
 WHERE plan_id = %(plan_id)s AND (%(number)s = 0 OR v.number = %(number)s) AND v.number < %(before)s
   AND (%(state)s = '' OR v.state = %(state)s)
 ORDER BY v.number DESC LIMIT %(limit)s
"""
SET_STATE = """
UPDATE plan_version SET state = %(state)s, version = version + 1
 WHERE plan_id = %(plan_id)s AND number = ANY(%(numbers)s)
"""
PUBLISH = """
UPDATE plan_version SET state = %(state)s, effective_date = %(effective_date)s, published_by = %(actor)s,
                        published_at = %(now)s, version = version + 1
 WHERE plan_id = %(plan_id)s AND number = %(number)s
"""
RECALL = """
UPDATE plan_version SET state = 'recalled', recalled_by = %(actor)s, recalled_at = %(now)s, recall_reason = %(reason)s,
                        version = version + 1
 WHERE plan_id = %(plan_id)s AND number = %(number)s
"""
BEFORE_IT = """
SELECT number FROM plan_version WHERE plan_id = %(plan_id)s AND state = 'superseded'
 ORDER BY effective_date DESC, number DESC LIMIT 1
"""
# One that waits for its day and that this version does not build on, or that comes after it: it would take it back.
WAITING = """
WITH RECURSIVE line AS (
    SELECT base_version FROM plan_version WHERE plan_id = %(plan_id)s AND number = %(number)s
    UNION SELECT v.base_version FROM plan_version v JOIN line ON v.number = line.base_version
           WHERE v.plan_id = %(plan_id)s
)
SELECT number, effective_date FROM plan_version
 WHERE plan_id = %(plan_id)s AND state = 'scheduled'
   AND (effective_date > %(day)s OR number NOT IN (SELECT base_version FROM line))
 ORDER BY effective_date, number LIMIT 1
"""
# The last of those that wait for a day after a version's own.
SCHEDULED_AFTER = """
SELECT number, effective_date FROM plan_version
 WHERE plan_id = %(plan_id)s AND state = 'scheduled' AND (effective_date, number) > (%(day)s::date, %(number)s)
 ORDER BY effective_date DESC, number DESC LIMIT 1
"""
# Who holds a target of the version may look at it.
HOLDS_TARGET = (
    "SELECT EXISTS (SELECT FROM target WHERE plan_id = %(plan_id)s AND number = %(number)s AND " + Scope.SQL + ")"
)


ADD_EXCEPTION = """
INSERT INTO sum_exception (id, plan_id, number, target_id, owner_id, unit_id, difference_minor, difference_ratio,
                           currency, reason, requested_by, requested_at, state, digest)
VALUES (%(id)s, %(plan_id)s, %(number)s, %(target_id)s, %(owner_id)s, %(unit_id)s, %(difference_minor)s,
        %(difference_ratio)s, %(currency)s, %(reason)s, %(requested_by)s, %(requested_at)s, %(state)s, %(digest)s)
"""
LIST_EXCEPTIONS = (
    """
SELECT * FROM sum_exception
 WHERE plan_id = %(plan_id)s AND (%(number)s = 0 OR number = %(number)s) AND (%(state)s = '' OR state = %(state)s)
   AND id < %(before)s::uuid AND """
    + Scope.SQL
    + """
 ORDER BY id DESC LIMIT %(limit)s
"""
)
LOCK_EXCEPTION = "SELECT * FROM sum_exception WHERE id = %(id)s FOR UPDATE"
OPENED = "UPDATE sum_exception SET approval_request_id = %(request_id)s WHERE id = %(id)s AND approval_request_id = ''"
SETTLE_EXCEPTION = """
UPDATE sum_exception
   SET state = %(state)s, decided_by = %(decided_by)s, decided_at = %(decided_at)s, comment = %(comment)s,
       approval_request_id = coalesce(nullif(%(request_id)s, ''), approval_request_id)
 WHERE id = %(id)s
"""


async def lock_plan(tx: Transaction, plan_id: str) -> Plan:
    found = await tx.one(LOCK_PLAN, {"id": plan_id}, into=Plan)
    if found is None:
        raise errors.NotFound("PLAN_NOT_FOUND", f"there is no plan {plan_id}")
    return found


@dataclass(frozen=True, slots=True)
class VersionFigures:
    version: Version
    target_count: int
    # (metric, currency, minor)
    totals: list[tuple[str, str, int]]


async def versions(work: Work, reader: Reader | Transaction, plan_id: str, **params: Any) -> list[VersionFigures]:
    """Newest first; `number`, `before`, `state` and `limit` narrow it."""
    given = {"number": 0, "before": 2**31 - 1, "state": "", "limit": 1} | params
    found = []
    for row in await reader.all(LIST_VERSIONS, {"plan_id": plan_id, **given, **aggregation.manners(work)}):
        count, totals = row.pop("target_count"), row.pop("totals")
        figures = [(metric, currency, int(minor)) for metric, currency, minor in totals]
        found.append(VersionFigures(Version(**row), count, figures))
    return found


async def may_look(call: Call, plan: Plan, number: int) -> None:
    """Whoever the plan belongs to, and whoever holds a target of the version. Raises PermissionDenied."""
    if call.scope.covers(plan.owner_id, plan.unit_id):
        return
    if not await call.db.value(HOLDS_TARGET, {"plan_id": plan.id, "number": number, **call.scope.params}):
        call.authorize(plan.owner_id, plan.unit_id)
