"""The work list in one statement: what is asked of a person, and of those they stand in for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop_chassis.data.transaction import Reader

# `desk`: the person's own, and one for each they stand in for now, which lets through some kinds up to an amount.
# The figures stand in the first row alone.
WORK = """
WITH desk AS (
    SELECT %(person)s::text AS person_id, ''::text AS absent, true AS every_kind, '{}'::text[] AS request_kinds,
           '{}'::text[] AS task_kinds, NULL::bigint AS limit_minor, ''::text AS limit_currency
    UNION ALL
    SELECT delegator_id, delegator_id, cardinality(request_kinds) + cardinality(task_kinds) = 0, request_kinds,
           task_kinds, limit_minor, limit_currency
      FROM delegation WHERE delegate_id = %(person)s AND starts_at <= %(now)s AND ends_at > %(now)s
), item AS (
    SELECT 1 AS type, r.id, r.version, r.kind, r.title, r.origin, r.submitter_id AS from_person_id, d.absent, g.step,
           '{}'::text[] AS outcomes, g.asked_at AS arrived_at, r.due_at, r.escalation_level, 0 AS light, 3 AS priority,
           r.account_id, r.opportunity_id, r.amount_minor, r.currency, r.discount_ratio, r.kind AS subject_type,
           r.subject_id, coalesce(r.rules -> 0 ->> 'explanation', '') AS explanation, g.reason,
           g.from_person_id AS came_from, false AS asleep
      FROM desk d
      JOIN approval_signer g ON g.person_id = d.person_id AND g.state = 'asked'
      JOIN approval_request r ON r.id = g.request_id AND r.state = 'pending'
     WHERE d.absent = ''
        OR ((d.every_kind OR r.kind = ANY(d.request_kinds))
            AND %(person)s NOT IN (r.submitter_id, r.opened_by, r.owner_id)
            AND (d.limit_minor IS NULL OR r.amount_minor IS NULL
                 OR (r.currency = d.limit_currency AND r.amount_minor <= d.limit_minor)))
    UNION ALL
    SELECT 2, r.id, r.version, r.kind, r.title, r.origin, coalesce(b.person_id, ''), '', coalesce(b.step, 0), '{}',
           coalesce(b.answered_at, r.opened_at), r.due_at, r.escalation_level, 0, 3, r.account_id, r.opportunity_id,
           r.amount_minor, r.currency, r.discount_ratio, r.kind, r.subject_id, coalesce(b.comment, ''), '', '', false
      FROM approval_request r
      LEFT JOIN LATERAL (
           SELECT g.step, g.answered_at, g.comment, coalesce(nullif(g.signed_by, ''), g.person_id) AS person_id
             FROM approval_signer g WHERE g.request_id = r.id AND g.state = 'returned'
            ORDER BY g.answered_at DESC LIMIT 1) b ON true
     WHERE r.submitter_id = %(person)s AND r.state = 'returned'
    UNION ALL
    SELECT 3, t.id, t.version, t.kind, t.title, t.origin, t.raised_by, d.absent, 0, t.outcomes, t.raised_at, t.due_at,
           t.escalation_level, t.light, t.priority, t.account_id, t.opportunity_id, NULL, '', NULL, t.subject_type,
           t.subject_id, coalesce(t.rule ->> 'explanation', t.description), t.assignee_role, '',
           coalesce(t.snoozed_until > %(now)s, false)
      FROM desk d
      JOIN task t ON t.assignee_id = d.person_id AND t.state IN ('open', 'started')
     WHERE d.absent = '' OR d.every_kind OR t.kind = ANY(d.task_kinds)
), line AS (
    SELECT item.*, (due_at < %(now)s OR escalation_level > 0) IS TRUE AS overdue FROM item
), counted AS (
    SELECT count(*) FILTER (WHERE type = 1) AS approvals,
           count(*) FILTER (WHERE type = 2) AS returned_requests,
           count(*) FILTER (WHERE type = 3 AND NOT asleep) AS tasks,
           count(*) FILTER (WHERE overdue AND NOT asleep) AS overdue,
           count(*) FILTER (WHERE due_at < %(end_of_day)s AND NOT asleep) AS due_today,
           count(*) FILTER (WHERE asleep) AS snoozed
      FROM line
), page AS (
    SELECT line.*, a.name AS account_name,
           row_number() OVER (ORDER BY NOT overdue, due_at NULLS LAST, -priority, line.id, step, absent) AS place
      FROM line LEFT JOIN account a ON a.id = line.account_id
     WHERE NOT asleep AND (%(types)s::int[] IS NULL OR type = ANY(%(types)s)) AND (%(kind)s = '' OR kind = %(kind)s)
       AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
       AND (%(due_before)s::timestamptz IS NULL OR due_at < %(due_before)s)
       AND (NOT %(on_behalf_only)s OR absent <> '' OR came_from <> '' OR (type = 3 AND escalation_level > 0))
       AND (NOT overdue, coalesce(due_at, 'infinity'), -priority, line.id, step, absent)
           > (%(after_in_time)s, %(after_due)s::timestamptz, %(after_priority)s, %(after_id)s::uuid, %(after_step)s,
              %(after_absent)s)
     ORDER BY place LIMIT %(limit)s
)
SELECT CASE WHEN place > 1 THEN NULL ELSE to_jsonb(counted) END AS counts, page.*
  FROM counted LEFT JOIN page ON true ORDER BY place
"""

# Whose desks a list is made of, and when it changes though nobody does anything: something falls due, a delegation begins
# or ends, a sleeping task wakes.
DESKS = """
WITH standing AS (
    SELECT delegator_id, starts_at, ends_at FROM delegation WHERE delegate_id = %(person)s AND ends_at > %(now)s
), desk AS (
    SELECT %(person)s::text AS person_id UNION SELECT delegator_id FROM standing WHERE starts_at <= %(now)s
), moment AS (
    SELECT starts_at AS at FROM standing UNION ALL SELECT ends_at FROM standing
    UNION ALL
    SELECT r.due_at FROM desk JOIN approval_signer g ON g.person_id = desk.person_id AND g.state = 'asked'
      JOIN approval_request r ON r.id = g.request_id AND r.state = 'pending'
    UNION ALL
    SELECT due_at FROM approval_request WHERE submitter_id = %(person)s AND state = 'returned'
    UNION ALL
    SELECT unnest(ARRAY[due_at, snoozed_until]) FROM desk
      JOIN task t ON t.assignee_id = desk.person_id AND t.state IN ('open', 'started')
)
SELECT array_agg(person_id ORDER BY person_id) AS people, (SELECT min(at) FROM moment WHERE at > %(now)s) AS until
  FROM desk
"""


@dataclass(frozen=True, slots=True)
class Item:
    """One line. `absent` is whom the person stands in for, `came_from` who added, handed over or let it escalate."""

    type: int
    id: str
    version: int
    kind: str
    title: str
    origin: str
    from_person_id: str
    absent: str
    step: int
    outcomes: list[str]
    arrived_at: datetime
    due_at: datetime | None
    escalation_level: int
    light: int
    priority: int
    account_id: str | None
    opportunity_id: str | None
    amount_minor: int | None
    currency: str
    discount_ratio: float | None
    subject_type: str
    subject_id: str
    explanation: str
    reason: str
    came_from: str
    asleep: bool
    account_name: str | None
    overdue: bool


async def work_of(db: Reader, params: Mapping[str, Any]) -> tuple[list[Item], dict[str, int]]:
    """Up to `limit` lines and the figures over the whole list. One round trip."""
    rows = await db.all(WORK, dict(params))
    counts: dict[str, int] = rows[0]["counts"]
    items = [Item(**{name: row[name] for name in Item.__slots__}) for row in rows if row["id"] is not None]
    return items, counts


async def desks(db: Reader, person_id: str, now: datetime) -> tuple[list[str], datetime | None]:
    """People whose desks lie on the person's list, and when it changes by itself next. One round trip."""
    row = await db.one(DESKS, {"person": person_id, "now": now})
    assert row is not None
    return row["people"], row["until"]
