"""Health in SQL: all accounts, or some, in one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Scope
from closedloop_customers import records, scoring
from closedloop_customers.health.rules import HealthRules

# How each dimension is measured, out of the groups of MEASURED.
MEASURES = {
    "interaction_frequency": "coalesce(i.touches, 0)",
    "recency": "floor(extract(epoch FROM %(now)s - a.last_interaction_at) / 86400)",
    "trend": "3.0 * i.recent / nullif(i.touches, 0)",
    "content_depth": "1.0 * i.deep / nullif(i.touches, 0)",
    "initiative": "1.0 * i.theirs / nullif(i.touches, 0)",
    "channel_breadth": "coalesce(i.channels, 0)",
    "contact_breadth": "coalesce(i.people, 0)",
    "key_contact_coverage": "1.0 * c.keys_touched / nullif(c.keys, 0)",
    "contact_stability": "1.0 * c.moved / nullif(c.people, 0)",
    "resolution_time": "t.hours",
    "ticket_load": "coalesce(t.open, 0)",
    "purchase_recency": "%(today)s::date - d.last",
    "purchase_frequency": "coalesce(d.deals, 0)",
    "purchase_trend": "d.late / nullif(d.early, 0)",
    "digital_interest": "coalesce(i.visits, 0)",
}
MEASURED = """
WITH i AS (
    SELECT account_id,
           count(*) FILTER (WHERE effective) AS touches,
           count(*) FILTER (WHERE effective AND occurred_at >= %(recent_since)s) AS recent,
           count(*) FILTER (WHERE effective AND (channel = ANY(%(deep_channels)s)
                            OR duration >= %(deep_span)s OR length(summary) >= %(deep_characters)s)) AS deep,
           count(*) FILTER (WHERE effective AND direction <> 'outbound') AS theirs,
           count(DISTINCT channel) FILTER (WHERE effective) AS channels,
           count(DISTINCT contact_id) FILTER (WHERE effective) AS people,
           count(*) FILTER (WHERE channel = 'web') AS visits
      FROM interaction WHERE {only} AND occurred_at >= %(since)s AND occurred_at <= %(now)s GROUP BY account_id
), c AS (
    SELECT account_id, count(*) AS people, count(*) FILTER (WHERE state <> 'current') AS moved,
           count(*) FILTER (WHERE key_contact) AS keys,
           count(*) FILTER (WHERE key_contact AND last_interaction_at >= %(keys_since)s) AS keys_touched
      FROM contact WHERE {only} AND state NOT IN ('merged', 'erased') GROUP BY account_id
), d AS (
    SELECT account_id, max(closed_on) AS last, count(*) FILTER (WHERE closed_on >= %(deals_since)s) AS deals,
           sum(amount_minor) FILTER (WHERE closed_on >= %(deals_half)s)::float8 AS late,
           sum(amount_minor) FILTER (WHERE closed_on >= %(deals_since)s AND closed_on < %(deals_half)s)::float8 AS early
      FROM account_deal WHERE {only} AND state = 'won' AND closed_on <= %(today)s GROUP BY account_id
), t AS (
    SELECT account_id, count(*) FILTER (WHERE resolved_at IS NULL) AS open,
           avg(extract(epoch FROM resolved_at - opened_at) / 3600)
               FILTER (WHERE resolved_at >= %(since)s)::float8 AS hours
      FROM ticket WHERE {only} GROUP BY account_id
), measured AS (
    SELECT a.id, ARRAY[{measures}]::float8[] AS values
      FROM account a LEFT JOIN i ON i.account_id = a.id LEFT JOIN c ON c.account_id = a.id
           LEFT JOIN d ON d.account_id = a.id LEFT JOIN t ON t.account_id = a.id
     WHERE {these} AND a.status NOT IN ('merged', 'retired')
)
"""
EVALUATE = (
    MEASURED
    + """, scored AS MATERIALIZED (SELECT id, values, """
    + scoring.SCORE_SQL
    + """ AS score FROM measured
), put AS (
    INSERT INTO health AS h (account_id, score, light, measures, rule_version, cause, evaluated_at)
    SELECT id, score, CASE WHEN score < %(red)s THEN 'red' WHEN score < %(yellow)s THEN 'yellow' ELSE 'none' END,
           values, %(version)s, %(cause)s, %(now)s
      FROM scored ORDER BY id
    ON CONFLICT (account_id) DO UPDATE
       SET score = excluded.score, light = excluded.light, measures = excluded.measures,
           rule_version = excluded.rule_version, cause = excluded.cause, evaluated_at = excluded.evaluated_at
     WHERE (h.measures, h.rule_version) IS DISTINCT FROM (excluded.measures, excluded.rule_version)
    RETURNING account_id, score, xmax = 0 AS fresh
), pointed AS (
    INSERT INTO health_point AS p (account_id, day, score) SELECT account_id, %(today)s, score FROM put
    ON CONFLICT (account_id, day) DO UPDATE SET score = excluded.score WHERE p.score <> excluded.score
)
SELECT (SELECT count(*) FROM scored) AS read, count(*) FILTER (WHERE fresh) AS first,
       count(*) FILTER (WHERE NOT fresh) AS changed FROM put
"""
)
IN_REACH = f"SELECT id FROM account WHERE {Scope.SQL} AND status NOT IN ('merged', 'retired')"
PUT_TICKET = """
INSERT INTO ticket AS t (id, account_id, contact_id, kind, state, title, opened_at, resolved_at, version)
VALUES (%(id)s, %(account_id)s, %(contact_id)s, %(kind)s, %(state)s, %(title)s, %(opened_at)s, %(resolved_at)s, %(version)s)
ON CONFLICT (id) DO UPDATE
   SET account_id = excluded.account_id, contact_id = excluded.contact_id, kind = excluded.kind, state = excluded.state,
       title = excluded.title, resolved_at = excluded.resolved_at, version = excluded.version
 WHERE t.version < excluded.version
RETURNING account_id
"""
ROW = "h.account_id, h.score, h.light, h.measures, h.rule_version, h.cause, h.evaluated_at, a.owner_id, a.unit_id"
# The score that stood so many days before, if there was one.
BEFORE = """(SELECT p.score FROM health_point p WHERE p.account_id = h.account_id AND p.day <= %(before)s
              ORDER BY p.day DESC LIMIT 1)"""
GET = f"""
SELECT {ROW}, {BEFORE} AS score_before FROM health h JOIN account a ON a.id = h.account_id
 WHERE h.account_id = %(account_id)s
"""
HISTORY = """
SELECT day, score FROM health_point WHERE account_id = %(account_id)s AND day > %(since)s ORDER BY day DESC LIMIT 1100
"""
LIST = f"""
SELECT * FROM (
    SELECT {ROW}, {BEFORE} AS score_before FROM health h JOIN account a ON a.id = h.account_id
     WHERE a.status NOT IN ('merged', 'retired') AND {Scope.SQL} AND {records.FILTERS}
       AND (%(account_ids)s::uuid[] IS NULL OR h.account_id = ANY(%(account_ids)s))
       AND (%(grades)s::text[] IS NULL OR a.grade = ANY(%(grades)s))
       AND (%(lights)s::text[] IS NULL OR h.light = ANY(%(lights)s))
       AND (h.score, h.account_id) > (%(after_score)s, %(after_id)s::uuid)
     ORDER BY h.score, h.account_id
) AS found
 WHERE %(drop)s = 0 OR score_before - score >= %(drop)s
 ORDER BY score, account_id LIMIT %(limit)s
"""
# Scores that stood at the start, against what was lost until the end.
FORETOLD = f"""
SELECT a.id, standing.score,
       EXISTS (SELECT FROM account_deal d WHERE d.account_id = a.id AND d.state = 'lost'
                  AND d.closed_on >= %(start)s::date AND d.closed_on < %(end)s::date)
       OR EXISTS (SELECT FROM account_outcome o WHERE o.account_id = a.id AND o.kind IN ('lost', 'churned')
                     AND o.happened_at >= %(start)s AND o.happened_at < %(end)s) AS lost
  FROM account a
  JOIN LATERAL (SELECT score FROM health_point p WHERE p.account_id = a.id AND p.day <= %(start)s::date
                 ORDER BY day DESC LIMIT 1) AS standing ON true
 WHERE a.status <> 'merged' AND {Scope.SQL} AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
"""


@dataclass(frozen=True, slots=True)
class Health:
    """`measures` in the order of the rulebook's dimensions of `rule_version`."""

    account_id: str
    score: float
    light: str
    measures: list[float | None]
    rule_version: int
    cause: str
    evaluated_at: datetime
    owner_id: str
    unit_id: str
    score_before: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    read: int
    first: int
    changed: int


def statement(rules: HealthRules, *, all_accounts: bool) -> str:
    these = "true" if all_accounts else "a.id = ANY(%(ids)s::uuid[])"
    only = "account_id IS NOT NULL" if all_accounts else "account_id = ANY(%(ids)s::uuid[])"
    measures = ", ".join(f"({MEASURES[key]})" for key in rules.dimensions)
    return EVALUATE.format(only=only, these=these, measures=measures)


def parameters(
    rules: HealthRules, version: int, cause: str, now: datetime, ids: Collection[str] | None
) -> dict[str, Any]:
    today = now.date()
    return {
        **scoring.params(rules.dimensions),
        "ids": None if ids is None else list(ids),
        "now": now,
        "today": today,
        "since": now - timedelta(days=rules.interaction_days),
        "recent_since": now - timedelta(days=rules.interaction_days / 3),
        "keys_since": now - timedelta(days=rules.key_contact_days),
        "deals_since": today - timedelta(days=rules.deal_days),
        "deals_half": today - timedelta(days=rules.deal_days // 2),
        "deep_channels": sorted(rules.deep_channels),
        "deep_span": timedelta(minutes=rules.deep_minutes),
        "deep_characters": rules.deep_characters,
        "red": rules.red_below,
        "yellow": rules.yellow_below,
        "version": version,
        "cause": cause,
    }


async def get(reader: Reader, account_id: str, before: date) -> Health | None:
    return await reader.one(GET, {"account_id": account_id, "before": before}, into=Health)


async def put_ticket(tx: Transaction, row: dict[str, Any]) -> str | None:
    """Whose ticket it is; None where an older telling came late."""
    found: str | None = await tx.value(PUT_TICKET, row)
    return found
