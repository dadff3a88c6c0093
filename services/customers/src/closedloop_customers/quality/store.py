"""Findings in SQL: what is doubtful, found for all records in one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import records
from closedloop_customers.freshness import QualityRules

DOUBTFUL = """
SELECT 'account' AS record_type, id AS record_id, id AS account_id, 'stale_record' AS kind, 'red' AS light,
       %(key_fields)s::text[] AS fields, last_verify_at + %(stale)s AS since
  FROM account WHERE {these} AND status NOT IN ('merged', 'retired') AND last_verify_at <= %(now)s - %(stale)s
UNION ALL
SELECT 'account', id, id, 'silent', 'yellow', '{{}}', coalesce(last_interaction_at, created_at) + %(silent)s
  FROM account WHERE {these} AND status NOT IN ('merged', 'retired')
   AND coalesce(last_interaction_at, created_at) <= %(now)s - %(silent)s
UNION ALL
SELECT 'account', id, id, 'stale_key_fields', 'red', %(key_fields)s, last_verify_at + %(key_field)s
  FROM account WHERE {these} AND status NOT IN ('merged', 'retired') AND last_verify_at <= %(now)s - %(key_field)s
UNION ALL
SELECT 'account', id, id, 'missing_fields', 'yellow',
       ARRAY(SELECT f FROM unnest(%(required)s::text[]) AS f WHERE NOT profile ? f), created_at
  FROM account WHERE {these} AND status NOT IN ('merged', 'retired') AND NOT profile ?& %(required)s
UNION ALL
SELECT 'account', a.id, a.id, 'without_owner', 'red', '{{}}', a.updated_at
  FROM account a JOIN org_person p ON p.id = a.owner_id AND NOT p.active
 WHERE {these_a} AND a.status NOT IN ('merged', 'retired')
UNION ALL
SELECT 'contact', c.id, c.account_id, 'job_changed', 'yellow', ARRAY['job_title', 'department'], c.updated_at
  FROM contact c WHERE {these_c} AND c.state = 'job_changed'
"""
FINDING = """id, record_type, record_id, account_id, kind, state, light, fields, rule, since_at, tasked,
       postponed_until, resolved_by, resolved_at, business_action, note, version"""
# Causes that are gone close by themselves; what was put off is open again when its day has come.
CLOSE = """
WITH doubtful AS MATERIALIZED ({doubtful})
UPDATE finding f SET state = 'resolved', resolved_by = 'customers', resolved_at = %(now)s, version = version + 1
 WHERE {these_f} AND f.state IN ('open', 'postponed')
   AND NOT EXISTS (SELECT FROM doubtful d WHERE d.record_id = f.record_id AND d.kind = f.kind)
RETURNING f.record_id, f.kind, f.tasked
"""
REOPEN = """
UPDATE finding SET state = 'open', version = version + 1
 WHERE state = 'postponed' AND postponed_until <= %(now)s
"""
FIND = """
INSERT INTO finding (id, record_type, record_id, account_id, kind, state, light, fields, rule, since_at, tasked, version)
SELECT gen_random_uuid(), record_type, record_id, account_id, kind, 'open', light, fields,
       %(rules)s::jsonb->kind, since, kind = 'stale_key_fields', 1
  FROM ({doubtful}) AS d
 WHERE NOT EXISTS (SELECT FROM finding f WHERE f.record_id = d.record_id AND f.kind = d.kind
                      AND f.state IN ('open', 'postponed'))
 ORDER BY since LIMIT %(most)s
ON CONFLICT (record_id, kind) WHERE state IN ('open', 'postponed') DO NOTHING
RETURNING record_id, kind, since_at, tasked
"""
# Accounts whose light is another one now.
OTHER_LIGHT = """
SELECT id, light FROM (
    SELECT id, quality_light,
           CASE WHEN last_verify_at <= %(now)s - %(key_field)s THEN 'red'
                WHEN coalesce(last_interaction_at, created_at) <= %(now)s - %(silent)s THEN 'yellow'
                ELSE 'none' END AS light
      FROM account WHERE {these} AND status NOT IN ('merged', 'retired')) AS lit
 WHERE light <> quality_light ORDER BY id LIMIT %(most)s
"""
COLUMNS = ", ".join("f." + name.strip() for name in FINDING.split(","))
OF = "a.name AS account_name, a.owner_id, a.unit_id"
GET = f"SELECT {COLUMNS}, {OF} FROM finding f JOIN account a ON a.id = f.account_id WHERE f.id = %(id)s FOR UPDATE OF f"
OF_ACCOUNT = f"""
SELECT {COLUMNS}, {OF} FROM finding f JOIN account a ON a.id = f.account_id
 WHERE f.account_id = %(account_id)s AND f.state <> 'resolved' ORDER BY f.since_at
"""
RANK = "CASE f.light WHEN 'red' THEN 0 WHEN 'yellow' THEN 1 ELSE 2 END"
LIST = f"""
SELECT {COLUMNS}, {OF}, {RANK} AS rank FROM finding f JOIN account a ON a.id = f.account_id
 WHERE {Scope.SQL} AND {records.FILTERS}
   AND (%(record_id)s::uuid IS NULL OR f.record_id = %(record_id)s)
   AND (%(kinds)s::text[] IS NULL OR f.kind = ANY(%(kinds)s))
   AND f.state = ANY(%(states)s)
   AND (%(lights)s::text[] IS NULL OR f.light = ANY(%(lights)s))
   AND f.since_at >= coalesce(%(since_from)s::timestamptz, '-infinity')
   AND f.since_at < coalesce(%(since_to)s::timestamptz, 'infinity')
   AND ({RANK}, f.since_at, f.id) > (%(after_rank)s, %(after_since)s::timestamptz, %(after_id)s::uuid)
 ORDER BY {RANK}, f.since_at, f.id LIMIT %(limit)s
"""
STILL = "SELECT 1 FROM ({doubtful}) AS d WHERE record_id = %(record_id)s::uuid AND kind = %(kind)s"
RESOLVE = """
UPDATE finding SET state = %(state)s, postponed_until = %(until)s, resolved_by = %(by)s, resolved_at = %(at)s,
       business_action = %(action)s, note = %(note)s, version = version + 1
 WHERE id = %(id)s
"""
# Of each key field: who changed or verified it last, and on which business.
TRAIL = """
SELECT DISTINCT ON (field) field, e.time, e.actor_id, e.business_action
  FROM audit_entry e CROSS JOIN LATERAL jsonb_object_keys(e.changes) AS key,
       LATERAL (SELECT regexp_replace(key, '^(profile|verified)\\.', '') AS field) AS named
 WHERE e.subject = %(account_id)s AND key ~ '^(profile|verified)\\.' AND field = ANY(%(key_fields)s)
 ORDER BY field, e.id DESC
"""
REPORT = f"""
WITH base AS (
    SELECT a.id, CASE WHEN %(by_owner)s THEN a.owner_id ELSE a.unit_id END AS key FROM account a
     WHERE {Scope.SQL} AND a.status NOT IN ('merged', 'retired') AND a.created_at < %(at)s
       AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
), lit AS (
    SELECT f.account_id, bool_or(f.kind = 'stale_record') AS stale, bool_or(f.kind = 'stale_key_fields') AS red,
           bool_or(f.kind = 'silent') AS silent, count(*) AS findings,
           coalesce(sum(cardinality(f.fields)) FILTER (WHERE f.kind = 'missing_fields'), 0) AS missing
      FROM finding f WHERE f.since_at < %(at)s AND (f.resolved_at IS NULL OR f.resolved_at >= %(at)s) GROUP BY 1
), people AS (
    SELECT c.account_id, count(*) AS keys,
           count(*) FILTER (WHERE c.state = 'left' OR EXISTS (
               SELECT FROM finding f WHERE f.record_id = c.id AND f.kind = 'job_changed' AND f.since_at < %(at)s
                  AND (f.resolved_at IS NULL OR f.resolved_at >= %(at)s))) AS moved
      FROM contact c WHERE c.key_contact AND c.state NOT IN ('merged', 'erased') AND c.created_at < %(at)s GROUP BY 1
), done AS (
    SELECT account_id, count(*) AS resolved FROM finding
     WHERE state = 'resolved' AND resolved_at < %(at)s AND resolved_at >= %(at)s - %(done_within)s GROUP BY 1
)
SELECT base.key, count(*) AS accounts,
       count(*) FILTER (WHERE stale) AS stale,
       count(*) FILTER (WHERE silent AND NOT coalesce(red, false)) AS yellow,
       count(*) FILTER (WHERE red) AS red,
       coalesce(sum(keys) FILTER (WHERE stale), 0)::bigint AS key_contacts,
       coalesce(sum(moved) FILTER (WHERE stale), 0)::bigint AS moved,
       coalesce(sum(missing), 0)::bigint AS missing,
       coalesce(sum(findings), 0)::bigint AS open,
       coalesce(sum(resolved), 0)::bigint AS resolved
  FROM base LEFT JOIN lit ON lit.account_id = base.id LEFT JOIN people ON people.account_id = base.id
       LEFT JOIN done ON done.account_id = base.id
 GROUP BY base.key ORDER BY base.key LIMIT 10000
"""


# How every owner keeps what they own: as it stands, and of the findings that fell due within the month.
STEWARDSHIP = """
WITH lit AS (
    SELECT account_id, bool_or(kind = 'stale_record') AS stale, bool_or(kind = 'stale_key_fields') AS red,
           bool_or(kind = 'silent') AS silent,
           coalesce(sum(cardinality(fields)) FILTER (WHERE kind = 'missing_fields'), 0) AS missing
      FROM finding WHERE state <> 'resolved' GROUP BY 1
), fell AS (
    SELECT account_id, count(*) AS due, count(*) FILTER (WHERE resolved_at <= since_at + %(within)s) AS in_time
      FROM finding WHERE since_at + %(within)s >= %(start)s AND since_at + %(within)s < %(end)s GROUP BY 1
)
SELECT a.owner_id, count(*) AS accounts, count(*) FILTER (WHERE lit.stale) AS stale,
       count(*) FILTER (WHERE lit.red) AS red, count(*) FILTER (WHERE lit.silent AND NOT lit.red) AS yellow,
       coalesce(sum(lit.missing), 0)::bigint AS missing, coalesce(sum(fell.due), 0)::bigint AS due,
       coalesce(sum(fell.in_time), 0)::bigint AS in_time
  FROM account a LEFT JOIN lit ON lit.account_id = a.id LEFT JOIN fell ON fell.account_id = a.id
 WHERE a.owner_id <> '' AND a.status NOT IN ('merged', 'retired') AND a.created_at < %(end)s
 GROUP BY a.owner_id ORDER BY a.owner_id
"""


@dataclass(frozen=True, slots=True)
class Finding:
    id: str
    record_type: str
    record_id: str
    account_id: str
    kind: str
    state: str
    light: str
    fields: list[str]
    rule: dict[str, Any]
    since_at: datetime
    tasked: bool
    postponed_until: datetime | None
    resolved_by: str
    resolved_at: datetime | None
    business_action: str
    note: str
    version: int
    account_name: str
    owner_id: str
    unit_id: str


@dataclass(frozen=True, slots=True)
class Figures:
    key: str
    accounts: int
    stale: int
    yellow: int
    red: int
    key_contacts: int
    moved: int
    missing: int
    open: int
    resolved: int


def fitted(statement: str, ids: Collection[str] | None) -> str:
    """The statement for all accounts, or for some."""
    where = "true" if ids is None else "{}.{} = ANY(%(ids)s::uuid[])"
    parts = {
        "these": "true" if ids is None else "id = ANY(%(ids)s::uuid[])",
        "these_a": where.format("a", "id"),
        "these_c": where.format("c", "account_id"),
        "these_f": where.format("f", "account_id"),
    }
    return statement.format(doubtful=DOUBTFUL.format(**parts), **parts)


def parameters(
    rules: QualityRules, key_fields: Collection[str], now: datetime, ids: Collection[str] | None
) -> dict[str, Any]:
    return {
        "ids": None if ids is None else list(ids),
        "now": now,
        "silent": timedelta(days=rules.silent_days),
        "key_field": timedelta(days=rules.key_field_days),
        "stale": timedelta(days=rules.stale_days),
        "key_fields": sorted(key_fields),
        "required": list(rules.required_fields),
        "most": rules.largest_look,
    }


async def of_account(reader: Reader, account_id: str) -> list[Finding]:
    return await reader.all(OF_ACCOUNT, {"account_id": account_id}, into=Finding)


async def locked(tx: Transaction, id: str) -> Finding | None:
    return await tx.one(GET, {"id": id}, into=Finding)
